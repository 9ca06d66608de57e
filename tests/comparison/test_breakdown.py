"""Where two systems differ, against counts from their predictions."""

import json
import statistics
from collections import Counter, defaultdict

import pytest
from compared_runs import RATES, change, record, rewrite, scores_path, texts_of, with_column
from rouge_score.rouge_scorer import RougeScorer

from bisum import compare
from bisum.comparison.breakdown import where
from bisum.errors import UserError

ROUGE = RougeScorer(["rougeL"], use_stemmer=True)


@pytest.fixture(scope="module")
def comparison(sweep):
    return compare(sweep, samples=1000)


@pytest.fixture(scope="module")
def rows(sweep):
    """Rows with rouge_score's scores by learning rate, one per seed."""
    found = {}
    for run in sorted(sweep.glob("[0-9]")):
        rate = record(run)["config"]["trainer"]["learning_rate"]
        for row in texts_of(scores_path(run, ".jsonl")):
            own = found.setdefault(row["id"], {**row, "summaries": defaultdict(list), "scores": defaultdict(list)})
            own["summaries"][rate].append(row["prediction"])
            score = ROUGE.score(row["reference"], row["prediction"])["rougeL"].fmeasure
            own["scores"][rate].append(100 * score)
    for row in found.values():
        row["difference"] = statistics.fmean(row["scores"][RATES[0]]) - statistics.fmean(row["scores"][RATES[1]])
    return found


def numbers(comparison) -> list[int]:
    """The numbers of the systems with the first and the second learning rate."""
    by_rate = {system.settings.get("trainer.learning_rate"): system.number for system in comparison.systems}
    return [by_rate[rate] for rate in RATES]


def counted(differences: list[float]) -> tuple[int, int, int, int]:
    won, lost = (sum(sign * number > 1e-9 for number in differences) for sign in (1, -1))
    return len(differences), won, len(differences) - won - lost, lost


@pytest.mark.parametrize("division", ["language", "category"])
def test_wins_and_losses_are_counted_by_language_and_category(comparison, rows, division):
    found = where(comparison, numbers(comparison), 3).buckets[division]
    by_hand = defaultdict(list)
    for row in rows.values():
        by_hand[row[division]].append(row["difference"])
    named = [bucket for bucket in found if bucket.name in by_hand]
    for bucket in named:
        assert (bucket.rows, bucket.wins, bucket.ties, bucket.losses) == counted(by_hand[bucket.name])
        assert bucket.difference == pytest.approx(statistics.fmean(by_hand[bucket.name]))
        assert (bucket.low is None) == (bucket.rows < 10)
        assert bucket.low is None or bucket.low <= bucket.difference <= bucket.high
    rest = [row["difference"] for row in rows.values() if row[division] not in {bucket.name for bucket in named}]
    others = [bucket for bucket in found if bucket not in named]
    assert [(bucket.rows, bucket.wins, bucket.ties, bucket.losses) for bucket in others] == (
        [counted(rest)] if rest else []
    )
    assert [bucket.rows for bucket in named] == sorted((bucket.rows for bucket in named), reverse=True)


def test_lengths_are_counted_in_words(comparison, rows):
    (first, *_, last) = where(comparison, numbers(comparison), 3).buckets["reference length"]
    lengths = Counter(len(row["reference"].split()) for row in rows.values())
    low, high = (int(word) for bucket, word in ((first, first.name.split("-")[0]), (last, last.name.split("-")[1][:2])))
    assert abs(low - min(lengths)) <= 1  # hyphens separate words
    assert abs(high - max(lengths)) <= 2


def test_every_row_is_in_one_bucket_of_each_division(comparison, rows):
    total = counted([row["difference"] for row in rows.values()])
    found = where(comparison, numbers(comparison), 3)
    assert set(found.buckets) == {"language", "document length", "reference length", "category"}
    for buckets in found.buckets.values():
        sums = [sum(getattr(bucket, name) for bucket in buckets) for name in ("rows", "wins", "ties", "losses")]
        assert tuple(sums) == total
        assert len({bucket.name for bucket in buckets}) == len(buckets) > 1


def test_reversing_a_pair_swaps_wins_and_losses(comparison):
    one, other = (where(comparison, pair, 3) for pair in (numbers(comparison), numbers(comparison)[::-1]))
    for division, buckets in one.buckets.items():
        for bucket, mirrored in zip(buckets, other.buckets[division], strict=True):
            assert (bucket.name, bucket.wins, bucket.losses) == (mirrored.name, mirrored.losses, mirrored.wins)
            assert bucket.difference == -mirrored.difference
    assert [row.id for row in one.rows] == [row.id for row in other.rows]


def test_most_different_rows_are_shown_with_their_texts(comparison, rows):
    pair = numbers(comparison)
    found = where(comparison, pair, 5)
    most = sorted((abs(row["difference"]) for row in rows.values()), reverse=True)[:5]
    assert [abs(rows[row.id]["difference"]) for row in found.rows] == pytest.approx(most)
    for shown in found.rows:
        row = rows[shown.id]
        assert (shown.document, shown.reference) == (row["document"], row["reference"])
        assert (shown.language, shown.category) == (row["language"], row["category"])
        for number, rate in zip(pair, RATES, strict=True):
            assert shown.summaries[str(number)] == row["summaries"][rate][0]
            assert shown.scores[str(number)] == pytest.approx(statistics.fmean(row["scores"][rate]))


def test_equal_rows_are_not_shown(comparison, rows):
    found = where(comparison, numbers(comparison), 1000)
    assert len(found.rows) == sum(abs(row["difference"]) > 1e-9 for row in rows.values())
    assert where(comparison, None, 0).rows == ()


def test_pair_defaults_to_the_best_two_models(comparison):
    found = where(comparison, None, 3)
    models = [system for system in comparison.systems if not system.is_baseline]
    assert (found.first, found.second) == (models[0], models[1])
    lead = next(system.number for system in comparison.systems if system.is_baseline)
    named = where(comparison, [lead, models[1].number], 3)
    assert (named.first.label, named.second) == ("lead-2", models[1])


def test_single_model_is_compared_with_its_baseline(sweep):
    found = where(compare(sweep / "0", samples=1000), None, 3)
    assert {found.first.is_baseline, found.second.is_baseline} == {True, False}


def test_only_rows_of_the_selected_language_count(sweep, rows):
    comparison = compare(sweep, language="es", samples=1000)
    found = where(comparison, numbers(comparison), 1000)
    assert {row.language for row in found.rows} == {"es"}
    assert "language" not in found.buckets
    spanish = [row["difference"] for row in rows.values() if row["language"] == "es"]
    sums = [
        sum(getattr(b, name) for b in found.buckets["document length"]) for name in ("rows", "wins", "ties", "losses")
    ]
    assert tuple(sums) == counted(spanish)


def test_lower_score_wins_if_lower_is_better(runs):
    for run in runs.glob("[0-9]"):
        entries = record(run)["scores"]
        change(run, scores={**entries, "words": {**entries["words"], "higher_is_better": False}})
    comparison = compare(runs, by="words", samples=1000)
    assert comparison.systems[0].value == min(system.value for system in comparison.systems)
    buckets = where(comparison, [1, comparison.systems[-1].number], 0).buckets["language"]
    assert sum(bucket.wins for bucket in buckets) > sum(bucket.losses for bucket in buckets)
    assert all(bucket.difference < 0 for bucket in buckets)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ([1, 9], "pair: no system 9 with row scores; choose two of 1, 2, 3"),
        ([2, 2], "pair: 2 is repeated; choose two of 1, 2, 3"),
    ],
)
def test_invalid_pair_is_rejected(comparison, pair, message):
    with pytest.raises(UserError, match=r"^pair: ") as raised:
        where(comparison, pair, 3)
    assert str(raised.value) == message


def test_pair_is_rejected_for_a_score_without_row_values(sweep):
    comparison = compare(sweep, by="loss", samples=1000)
    assert where(comparison, None, 3) is None
    with pytest.raises(UserError, match="pair: no system has row scores"):
        where(comparison, [1, 2], 3)


def edited(path, edit) -> None:
    rows = [edit(at, row) for at, row in enumerate(texts_of(path))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows if row is not None), "utf-8")


def test_texts_of_different_rows_are_rejected(runs):
    for run in runs.glob("[0-9]"):
        edited(scores_path(run, ".jsonl"), lambda at, row: {**row, "id": f"other-{at}"})
    with pytest.raises(UserError, match=r"\.jsonl': missing row '.*', which has scores"):
        where(compare(runs, samples=1000), None, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 41: not a bisum prediction"),
        ('{"id": 1}', "line 41"),
        ("[" * 10_000, "line 41"),
        ("\xff", "line 41"),
    ],
)
def test_damaged_line_is_reported_with_its_number(runs, line, message):
    for run in runs.glob("[0-9]"):
        with scores_path(run, ".jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    with pytest.raises(UserError, match=message):
        where(compare(runs, samples=1000), None, 3)


def test_non_text_category_counts_as_none(runs):
    kinds = [["a"], 5, {"a": 1}, None, "libs"]
    for run in runs.glob("[0-9]"):
        edited(scores_path(run, ".jsonl"), lambda at, row: {**row, "category": kinds[at % 5]})
    buckets = where(compare(runs, samples=1000), None, 3).buckets["category"]
    assert {bucket.name: bucket.rows for bucket in buckets} == {"(none)": 32, "libs": 8}


def test_rows_without_a_score_are_in_no_bucket(runs):
    values = [None] * 15 + [0.5] * 25
    rewrite(runs / "0", with_column("rougeL", values))
    found = where(compare(runs, samples=1000), None, 1000)
    for buckets in found.buckets.values():
        assert sum(bucket.rows for bucket in buckets) == 25
    assert all(None not in row.scores.values() for row in found.rows)


def test_rows_of_counts_are_scored_individually(sweep):
    from sacrebleu.metrics import CHRF

    comparison = compare(sweep / "0", sweep / "2", by="chrf", samples=1000)
    models = [system for system in comparison.systems if not system.is_baseline]
    found = where(comparison, [system.number for system in models], 3)
    for row in found.rows:
        for number, summary in row.summaries.items():
            golden = CHRF().sentence_score(summary, [row.reference]).score
            assert row.scores[number] == pytest.approx(golden, abs=1e-6)
