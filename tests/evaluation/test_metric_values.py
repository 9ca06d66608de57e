"""Values that a metric can return. tests/interfaces/test_own_metric.py covers the messages that users see."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from bisum.errors import UserError
from bisum.evaluation.metric_values import measured
from bisum.interfaces.metric import Metric, Summaries
from bisum.interfaces.score import Score, name_problem, share

ROWS = Summaries(
    ids=["a", "b", "c"],
    documents=["x"] * 3,
    predictions=["x"] * 3,
    references=["x"] * 3,
    languages=["en", "es", "es"],
)


@dataclass(frozen=True, kw_only=True)
class Given(Metric):
    """A metric that returns the given values."""

    values: Any
    score: Score = Score("anything", higher_is_better=True)  # noqa: RUF009 - it is frozen

    @property
    def scores(self):
        return {"x": self.score}

    def compute(self, summaries):
        return {"x": self.values}


def columns(values, **settings):
    return measured({"given": Given(values=values, **settings)}, ROWS)[0]


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 1],
        [True, False, True],
        (1.0, 0.0, 1.0),
        np.array([1, 0, 1]),
        np.array([1, 0, 1], dtype=np.float32),
        torch.tensor([1.0, 0.0, 1.0]),
        [np.float64(1), np.int64(0), np.bool_(True)],
    ],
)
def test_numbers_of_any_type_are_accepted(values):
    assert columns(values).columns["x"].values.tolist() == [1, 0, 1]


@pytest.mark.parametrize("value", [2, 2.0, True + 1, np.float32(2), np.int64(2)])
def test_single_number_of_any_type_is_a_corpus_score(value):
    assert columns(value).corpus_scores["x"].values == {"": 2, "en": 2, "es": 2}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2", "3"], "must be a number or None for each row: .*a value is text"),
        ([10**400, 1, 1], "must be a number or None for each row: "),
        (object(), "must be a number or None for each row: "),
        ([1, 2], "must be a number or None for each row; it has 2 values for 3 rows"),
        ([[1], [2], [3]], "must be a number or None for each row; it has 3 x 1 values for 3 rows"),
    ],
)
def test_values_that_are_not_one_number_per_row_are_refused(values, message):
    with pytest.raises(UserError, match=f"^metric.given: 'x' {message}"):
        columns(values)


def test_values_outside_the_range_are_refused():
    shares = share("a share", higher_is_better=True)
    for values, line in (
        ([0.5, 1.5, 2], "metric.given: 'x' of row b is 1.5; must be from 0 to 1"),
        (7.0, "metric.given: 'x' is 7; must be from 0 to 1"),
    ):
        with pytest.raises(UserError) as raised:
            columns(values, score=shares)
        assert str(raised.value) == line
    ratio = Score("a ratio", higher_is_better=True, lowest=0, highest=1, aggregate=lambda c: c[..., 0] / c[..., 1])
    with pytest.raises(UserError, match="'x' is 3; must be from 0 to 1"):
        columns([[3, 1], [3, 1], [3, 1]], score=ratio)


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (lambda counts: 1.0, "must return 1 score for each of 2 samples"),
        (lambda counts: counts, "must return 1 score for each of 2 samples"),
        (lambda counts: counts[:, 9], "the aggregate of 'x' failed: IndexError"),
        (lambda counts: "text", "the aggregate of 'x' failed: ValueError"),
    ],
)
def test_invalid_aggregate_is_refused(aggregate, message):
    with pytest.raises(UserError, match=message):
        columns([[1, 2]] * 3, score=Score("a ratio", higher_is_better=True, aggregate=aggregate))


@pytest.mark.parametrize(
    "values", [[1, float("nan"), None], np.array([1, np.inf, np.nan]), torch.tensor([1, np.nan, 2])]
)
def test_non_finite_values_are_reported(values, caplog):
    found = columns(values).columns["x"]
    lost = 3 - int(found.present.sum()) - sum(value is None for value in values)
    assert lost > 0
    assert [record.getMessage() for record in caplog.records] == [
        f"metric.given: 'x' is not finite in {lost} of 3 rows; they are ignored"
    ]


def test_non_finite_counts_are_reported(caplog):
    ratio = Score("a ratio", higher_is_better=True, aggregate=lambda c: c[..., 0] / c[..., 1])
    found = columns([[1, 2], [float("nan"), 2], [1, 2]], score=ratio).columns["x"]
    assert found.present.tolist() == [True, False, True]
    assert len(caplog.records) == 1


def test_metric_that_advances_shows_its_progress():
    shown = []

    class Bar:
        def __init__(self, title, total=None, done=0):
            shown.append((title, total))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            shown.append("closed")

        def advance(self, done, text=None):
            shown.append(done)

    class Slow(Given):
        def compute(self, summaries):
            for done in (1, 3):
                summaries.advance(done)
            return super().compute(summaries)

    measured({"fast": Given(values=[1, 2, 3])}, ROWS, Bar)
    assert shown == []
    measured({"slow": Slow(values=[1, 2, 3])}, ROWS, Bar)
    assert shown == [("scoring slow", 3), 1, 3, "closed"]


@pytest.mark.parametrize("name", ["id", "language", "x_low", "x_rows", "1x", "a b", "unicode/x", "", 7, "ñ"])
def test_invalid_score_name_has_a_problem(name):
    assert name_problem(name) is not None


@pytest.mark.parametrize("name", ["x", "new_1grams", "BLEU-4", "ids"])
def test_valid_score_name_has_no_problem(name):
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"higher_is_better": 1},
        {"description": None},
        {"unit": None},
        {"scale": 0},
        {"scale": float("inf")},
        {"lowest": 2, "highest": 1},
    ],
)
def test_invalid_score_field_is_refused(fields):
    with pytest.raises(ValueError, match=r"^Score: "):
        Score(**{"description": "a score", "higher_is_better": True, **fields})
