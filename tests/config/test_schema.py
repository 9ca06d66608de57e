"""Checks across keys, and the schema's bounds."""

import re

import pytest

from bisum import compose
from bisum.config.schema import BaselineConfig, Config, check
from bisum.errors import UserError


@pytest.fixture(scope="module")
def defaults() -> dict:
    return compose(["model=tiny"]).provenance.resolved


def changed(values: dict, **changes) -> dict:
    """Return the values with changes under dotted keys, whose dots are written as two underscores."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for path, value in changes.items():
        *parents, key = path.split("__")
        node = values
        for parent in parents:
            node = node[parent]
        node[key] = value
    return values


def test_a_checked_configuration_keeps_its_name_and_plain_values(defaults):
    config = check(defaults)
    assert isinstance(config, Config)
    assert config.provenance.command == "train"
    assert config.provenance.resolved == defaults
    baseline = check({**defaults, "split": "test"}, "baseline")
    assert isinstance(baseline, BaselineConfig)
    assert (baseline.provenance.command, baseline.split) == ("baseline", "test")


@pytest.mark.parametrize(
    "metric",
    [
        "eval/loss",
        "eval/rouge1",
        "eval/rougeLsum_recall",
        "eval/es/rouge2_precision",
        "eval/unicode/rougeL",
        "eval/unicode/en/rougeL",
        "auto",
    ],
)
def test_metric_of_every_evaluation_can_select_the_best(defaults, metric):
    assert check(changed(defaults, trainer__best_metric=metric)).trainer.best_metric == metric


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("rougeL", "must be auto or begin with eval/"),
        ("train/loss", "must be auto or begin with eval/"),
        (
            "eval/rouge3",
            "no metric 'eval/rouge3', did you mean 'rougeL'? (valid: eval/loss, eval/rouge1, eval/rouge2, ",
        ),
        ("eval/chrf", "no metric 'eval/chrf' (valid: eval/loss, eval/rouge1,"),
        ("eval/gen_len", "neither higher nor lower is better for 'eval/gen_len' (tokens of a generated summary"),
        ("eval/rougeL_low", "no metric 'eval/rougeL_low'"),
        ("eval/en/loss", "no metric 'eval/en/loss'"),
        ("eval/es/unicode/rougeL", "no metric 'eval/es/unicode/rougeL'"),
        ("eval/fr/rouge1", "needs 'fr', which is not in languages"),
        ("eval/unicode/fr/rouge1", "needs 'fr', which is not in languages"),
    ],
)
def test_unknown_best_metric_is_refused(defaults, metric, message):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        check(changed(defaults, trainer__best_metric=metric))
    assert str(raised.value).startswith("trainer.best_metric")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ["en", "es", "en"]}, "languages: ['en', 'es', 'en'] lists a language twice"),
        ({"model__architecture": None}, "model"),
        ({"model__revision": "abc"}, "model.revision"),
        ({"seed": 2**32}, "seed: expected a whole number >= 0 and < 4,294,967,296"),
        ({"evaluation__bootstrap_samples": 99}, "evaluation.bootstrap_samples: expected a whole number >= 100"),
        ({"model__max_summary_tokens": 1}, "model.max_summary_tokens: expected a whole number >= 2"),
        ({"evaluation__metrics": ["bleu"]}, "evaluation"),
        ({"languages": ["en", "???"]}, "languages"),
        ({"languages": ["en", "a/b"]}, "languages: 'a/b' is not a language code; use codes such as en, es, pt_BR"),
        ({"languages": [" "]}, "languages: ' ' is not a language code"),
    ],
)
def test_incompatible_or_out_of_range_values_are_reported(defaults, changes, message):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        check(changed(defaults, **changes))
    assert str(raised.value).startswith(message)


def test_bounds_are_inclusive(defaults):
    edges = changed(
        defaults,
        seed=2**32 - 1,
        languages=["sw"],
        trainer__epochs=1,
        trainer__label_smoothing=0,
        trainer__warmup=0,
        trainer__max_gradient_norm=None,
        evaluation__bootstrap_samples=100,
        evaluation__shown_summaries=0,
        generation__length_penalty=-1,
        model__max_summary_tokens=2,
        model__prefix="",
    )
    assert check(edges).trainer.label_smoothing == 0.0


def test_any_languages_are_valid(defaults):
    assert check(changed(defaults, languages=["ja", "de", "fr"])).languages == ["ja", "de", "fr"]
