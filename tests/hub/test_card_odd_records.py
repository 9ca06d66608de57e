"""A run that is unfinished or sparse still has a card, which says so."""

import json
from dataclasses import replace

import pytest

from bisum.errors import UserError

SECTIONS = ["small", "Intended use and limits", "How to use it", "Scores", "Data", "Training", "Licence"]


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        ("running", "Training is unfinished."),
        ("interrupted", "Training was interrupted."),
        ("pruned", "A search ended this training early."),
    ],
)
def test_unfinished_run_shows_validation_scores(card, status, phrase):
    def change(record):
        record.update(status=status, reason="below the median", best=record["last"])
        del record["test"]

    page = card(change, checkpoint="epoch-2")
    assert f"**{phrase}** The weights are those after epoch 2 of 2." in page.text
    assert ("The search's reason: below the median." in page.text) is (status == "pruned")
    assert "Validation split: F1 x 100" in page.text
    last, baseline = page.record["last"], page.record["baseline"]
    assert page.tables[0][1][4].startswith(f"{last['eval/rougeL']:.1f} (")
    assert page.tables[0][2][4].startswith(f"{baseline['baseline/rougeL']:.1f} (")
    assert page.tables[0][3][4].startswith(f"{last['difference/rougeL']:+.1f} (")
    assert {one.dataset_split for one in page.data.eval_results} == {"validation"}


def test_another_checkpoint_of_a_finished_run_shows_its_own_scores(card, trained):
    def change(record):
        record["test"]["checkpoint"] = "epoch-2"
        record["best"] = record["last"]

    lines = map(json.loads, (trained / "metrics.jsonl").open())
    first = next(line for line in lines if line.get("epoch") == 1 and "eval/loss" in line)
    page = card(change, checkpoint="epoch-1", metrics=True)
    assert "This is not the checkpoint that the run chose." in page.text
    assert "The test split was scored with `epoch-2`." in page.text
    assert page.tables[0][1][4].startswith(f"{first['eval/rougeL']:.1f} (")


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_scored_test_split_shows_that_training_ended(card, status):
    """The run could have been killed before it recorded its end."""
    page, usual = card(lambda record: record.update(status=status)), card()
    assert page.text == usual.text
    assert "Test split: F1 x 100" in page.text
    assert page.data.eval_results == usual.data.eval_results


def test_checkpoint_in_mid_epoch_has_no_scores(card):
    page = card(lambda record: record.update(status="running"), checkpoint="epoch-0.5")
    assert page.text.count("No scores are recorded for these weights.") == 2
    assert page.data.eval_results is None
    assert "model-index" not in page.data.to_dict()


def test_run_without_metrics_has_a_card_without_a_figure(card):
    page = card()
    assert page.headings == SECTIONS
    assert "curves.png" not in page.text
    assert not (page.folder / "curves.png").exists()


def test_record_of_a_run_that_has_only_begun(card):
    def change(record):
        kept = ("job", "status", "config", "choices", "versions", "command", "commit", "seconds", "started")
        for name in record.keys() - set(kept):
            del record[name]
        record.update(status="running", data=None)

    page = card(change, checkpoint="epoch-0.25")
    assert page.headings == SECTIONS
    assert page.data.language == ["en", "es"]  # from the configuration


def test_scores_that_are_not_finite_are_left_out(card):
    def change(record):
        record["test"] |= {"test/rouge2": None, "test/es/rougeL": float("nan"), "test/loss": float("inf")}

    page = card(change)
    assert page.tables[0][1][3] == "–"
    assert page.tables[0][7][4] == "–"
    names = {(one.dataset_config, one.metric_name) for one in page.data.eval_results}
    assert not names & {(None, "ROUGE-2"), ("es", "ROUGE-L"), (None, "loss")}
    assert "nan" not in page.text
    assert "inf " not in page.text


def test_run_on_one_batch_is_called_a_test(card):
    assert "This is a test of the training code" not in card().text
    page = card(lambda record: record.update(overfit={"rows": 4, "cut": 0, "steps": 9, "first_loss": 5.0, "loss": 0.1}))
    assert "The run fitted a single batch of 4 rows" in page.text


def test_card_without_a_repository_names_a_placeholder(card):
    page = card(repo_id=None)
    assert page.headings[0] == "tiny on sample"
    assert 'REPO = "path/to/this/folder"' in page.text


def test_a_run_that_trains_nothing_is_refused(card):
    with pytest.raises(UserError, match="is a run of `bisum baseline`, which trains no model"):
        card(lambda record: record.update(job="baseline"))


def test_own_family_is_loaded_with_bisum(card, reader):
    class Titles(type(reader.family)):
        pass

    assert not Titles.__module__.startswith("bisum.")
    page = card(
        lambda record: record["config"]["model"].update(family={"_target_": "mine.models.Titles"}),
        reader=replace(reader, family=Titles()),
    )
    assert "```python" not in page.text
    assert "The model needs the class `Titles`, which is in neither transformers nor bisum." in page.text
    assert "'allow_targets=[mine]' model.family._target_=mine.models.Titles" in page.text
