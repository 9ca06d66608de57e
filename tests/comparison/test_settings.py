"""Systems are labelled by exactly the settings that distinguish them."""

from pathlib import Path

import pytest

from bisum.comparison.finding import FoundRun
from bisum.comparison.settings import (
    distinguishing_keys,
    hashable,
    settings_label,
    settings_of,
    short_names,
    shown,
    with_short_paths,
)

CONFIG = {
    "corpus": {"_target_": "bisum.corpus.sample.Sample", "timeout": 10, "max_train_rows": 64},
    "filter": {"long_titles": {"_target_": "bisum.corpus.filters.LongTitles", "words": 20}},
    "metric": {},
    "model": {"checkpoint": None, "prefix": None, "max_document_tokens": 64, "max_summary_tokens": 12},
    "trainer": {"_target_": "bisum.training.Accelerate", "learning_rate": 0.001, "epochs": 2, "log_every": 10},
    "evaluation": {"lead": 3, "bootstrap_samples": 1000, "batch_size": 8, "shown_summaries": 0},
    "generation": {"num_beams": 1},
    "seed": 1,
    "log": "info",
    "tracker": {"project": "one"},
    "cache_dir": "/cache",
}
CHOICES = {
    "corpus": "sample",
    "model": "starter",
    "trainer": "accelerate",
    "tracker": "none",
    "hydra/launcher": "local",
}


def run(job: str = "train", choices: dict | None = None, **changes: dict | int | str) -> FoundRun:
    """A run with changed config entries: run(trainer={"learning_rate": 0.1})."""
    config = dict(CONFIG)
    for key, value in changes.items():
        config[key] = {**CONFIG.get(key, {}), **value} if isinstance(value, dict) and key != "filter" else value
    return FoundRun(Path("outputs/run"), {"job": job, "config": config, "choices": {**CHOICES, **(choices or {})}})


def named(*runs: FoundRun) -> tuple[list[str], list[str]]:
    """The keys that distinguish runs, and the label of each run."""
    settings = [settings_of(own) for own in runs]
    keys = distinguishing_keys(settings)
    return keys, [settings_label(own, keys) for own in settings]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"log": "quiet"},
        {"tracker": {"project": "two"}},
        {"cache_dir": "/elsewhere"},
        {"corpus": {"timeout": 99}},
        {"metric": {"chrf": {"_target_": "bisum.evaluation.metrics.Chrf"}}},
        {"evaluation": {"lead": 1, "bootstrap_samples": 100, "shown_summaries": 3}},
        {"trainer": {"log_every": 1}},
    ],
    ids=lambda change: "-".join(change),
)
def test_settings_without_effect_on_summaries_are_ignored(change):
    assert hashable(settings_of(run())) == hashable(settings_of(run(**change)))
    assert named(run(), run(**change)) == ([], ["", ""])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"trainer": {"learning_rate": 0.002}}, "trainer.learning_rate"),
        ({"corpus": {"max_train_rows": 32}}, "corpus.max_train_rows"),
        ({"generation": {"num_beams": 4}}, "generation.num_beams"),
        ({"evaluation": {"batch_size": 4}}, "evaluation.batch_size"),
    ],
)
def test_settings_that_can_change_summaries_distinguish_runs(change, key):
    assert named(run(), run(**change))[0] == [key]
    assert hashable(settings_of(run())) != hashable(settings_of(run(**change)))


def test_group_option_hides_the_keys_that_it_determines():
    other = run(choices={"trainer": "seq2seq_trainer"}, trainer={"_target_": "bisum.training.Other", "arguments": 1})
    assert named(run(), other) == (["trainer"], ["trainer=accelerate", "trainer=seq2seq_trainer"])


def test_key_that_varies_within_an_option_is_shown_with_it():
    other = run(choices={"trainer": "seq2seq_trainer"}, trainer={"_target_": "bisum.training.Other"})
    keys, labels = named(run(), run(trainer={"learning_rate": 0.002}), other)
    assert set(keys) == {"trainer", "trainer.learning_rate"}
    assert [set(line.split()) for line in labels] == [
        {"trainer=accelerate", "learning_rate=0.001"},
        {"trainer=accelerate", "learning_rate=0.002"},
        {"trainer=seq2seq_trainer", "learning_rate=0.001"},
    ]


def test_filters_are_listed_by_name():
    books = {"books": {"_target_": "bisum.corpus.filters.Books"}}
    runs = run(), run(filter={**books, **CONFIG["filter"]}), run(filter={})
    assert named(*runs) == (["filter"], ["filter=long_titles", "filter=books+long_titles", "filter=none"])
    keys, labels = named(run(), run(filter={"long_titles": {**CONFIG["filter"]["long_titles"], "words": 5}}))
    assert keys == ["filter.long_titles.words"]
    assert labels == ["words=20", "words=5"]


def test_evaluations_of_runs_are_labelled_by_training_settings():
    runs = [
        run("evaluate", run=f"outputs/{at}", trainer={"learning_rate": rate}, model={"checkpoint": path})
        for at, rate, path in (
            (1, 0.1, "/a/outputs/1/checkpoints/epoch-2"),
            (2, 0.2, "/b/outputs/2/checkpoints/epoch-1"),
        )
    ]
    assert named(*runs)[1] == ["learning_rate=0.1", "learning_rate=0.2"]
    assert named(runs[0], run(trainer={"learning_rate": 0.1}))[1][0].startswith("job=evaluate")


def test_evaluations_of_checkpoints_are_labelled_by_checkpoint():
    folder = "/a/outputs/1/checkpoints"
    runs = [
        run("evaluate", run=f"{folder}/epoch-{epoch}", model={"checkpoint": f"{folder}/epoch-{epoch}"})
        for epoch in (1, 2)
    ]
    assert named(*runs) == (["checkpoint"], ["checkpoint=epoch-1", "checkpoint=epoch-2"])


def test_evaluations_of_hub_models_are_labelled_only_by_model():
    runs = [
        run("evaluate", run=name, trainer={"learning_rate": rate}, model={"checkpoint": name})
        for name, rate in (("google/mt5-small", 0.1), ("facebook/bart-large-cnn", 0.2))
    ]
    assert named(*runs) == (["run"], ["run=google/mt5-small", "run=facebook/bart-large-cnn"])
    assert not any(key.startswith("trainer") for key in settings_of(runs[0]))


def test_keys_are_shortened_to_their_last_part_if_unique():
    keys = ["trainer.learning_rate", "corpus.path", "corpus.test.path", "seed"]
    assert short_names(keys) == {
        "trainer.learning_rate": "learning_rate",
        "corpus.path": "corpus.path",
        "corpus.test.path": "corpus.test.path",
        "seed": "seed",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1e-05, "1e-05"),
        (["en", None], "[en,null]"),
        ([], "[]"),
        ("google/mt5-small", "google/mt5-small"),
        ("https://host/a/b/c", "https://host/a/b/c"),
        ("", ""),
    ],
)
def test_value_is_shown_in_command_line_syntax(value, text):
    assert shown(value) == text


def test_missing_differs_from_null_and_1_from_true():
    assert distinguishing_keys([{"a": None}, {}]) == ["a"]
    assert distinguishing_keys([{"a": 1}, {"a": True}]) == ["a"]
    assert distinguishing_keys([{"a": 1}, {"a": 1}]) == []
    assert distinguishing_keys([]) == []


def test_paths_are_shortened_but_stay_distinct():
    settings = [{"corpus.path": f"/data{at}/news/train.csv", "seed": at} for at in range(2)]
    assert [of["corpus.path"] for of in with_short_paths(settings)] == ["data0/news/train.csv", "data1/news/train.csv"]
    settings.append({"corpus.path": "https://host/news/train.csv"})
    assert with_short_paths(settings)[2]["corpus.path"] == "https://host/news/train.csv"
    assert with_short_paths(settings[:1])[0]["corpus.path"] == "news/train.csv"


def test_integer_equals_the_same_float():
    assert distinguishing_keys([{"trainer.epochs": 1, "x": True}, {"trainer.epochs": 1.0, "x": 1}]) == ["x"]
