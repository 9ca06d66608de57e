"""The options of the group debug on the command line, with other groups and in sweeps."""

import json
from pathlib import Path

import pytest
import yaml

SMALL = [
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.max_document_tokens=32",
    "model.max_summary_tokens=8",
    "hardware=cpu",
]


def record(run):
    return json.loads((Path(run) / "run.json").read_text("utf-8"))


@pytest.fixture
def composed(call_bisum):
    def values(*arguments):
        done = call_bisum(*arguments, "--cfg", "job", "--resolve")
        assert (done.code, done.err) == (0, "")
        return yaml.safe_load(done.out)

    return values


def test_fast_runs_every_stage_in_a_separate_directory(call_bisum, tmp_path):
    done = call_bisum("debug=fast", *SMALL)
    assert (done.code, done.err) == (0, "")
    assert done.seconds < 20
    (run,) = (tmp_path / "outputs/debug").glob("*/*/run.json")
    found = record(run.parent)
    assert found["status"] == "finished"
    assert found["choices"]["debug"] == "fast"
    assert found["config"]["tracker"]["_target_"] == "bisum.trackers.no_tracker.NoTracker"
    stages = {"corpus", "baseline", "training", "evaluation", "checkpoints", "test"}
    assert stages <= found["seconds"].keys()
    lines = [json.loads(line) for line in (run.parent / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == [1, 2]
    assert len(list((run.parent / "checkpoints").iterdir())) == 2
    assert sum(1 for _ in (run.parent / "predictions").glob("*.jsonl")) == 4


def test_fast_sets_only_existing_keys(composed):
    usual, fast = (
        composed("model=t5_small", "corpus=wikilingua"),
        composed("model=t5_small", "corpus=wikilingua", "debug=fast"),
    )
    assert {
        key: sorted(node) if isinstance(node, dict) else node for key, node in usual.items() if key != "tracker"
    } == {key: sorted(node) if isinstance(node, dict) else node for key, node in fast.items() if key != "tracker"}
    assert fast["model"] == usual["model"]
    assert fast["debug"] == usual["debug"]
    assert fast["trainer"]["max_steps"] == 2


def test_null_selects_no_option(composed):
    assert composed("debug=fast", "debug=null") == composed()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("debug=overfitt", "debug=overfitt: no such option, did you mean 'overfit'? (valid: fast, overfit, profile)"),
        ("debug.overfitt=true", "debug.overfitt: no such key, did you mean 'overfit'?"),
        ("debug.overfit_loss=0", "debug.overfit_loss: expected a number > 0"),
        ("debug.profile_steps=0", "debug.profile_steps: expected a whole number >= 1"),
    ],
)
def test_misspelled_argument_is_reported_in_one_line(argument, message, call_bisum, one_line):
    assert message in one_line(call_bisum(argument))


def test_debug_overrides_an_experiment_and_arguments_override_debug(composed, write, tmp_path):
    experiment = (
        "# @package _global_\n# A recipe.\n#   bisum experiment=mine\n"
        "defaults:\n  - override /tracker: trackio\n  - override /trainer: seq2seq_trainer\n"
        "trainer:\n  patience: 1\n  evaluate_every: 7\n  label_smoothing: 0.1\n  gradient_accumulation: 4\n"
    )
    write(tmp_path / "mine/experiment/mine.yaml", experiment)
    values = composed("--config-dir", "mine", "experiment=mine", "debug=overfit", "trainer.batch_size=2")
    trainer = values["trainer"]
    assert (trainer["patience"], trainer["label_smoothing"], trainer["batch_size"]) == (None, 0.0, 2)
    assert (trainer["_target_"], trainer["gradient_accumulation"]) == (
        "bisum.training.seq2seq_trainer.TransformersTrainer",
        4,
    )
    assert trainer["evaluate_every"] > trainer["max_steps"]
    assert values["tracker"]["_target_"].endswith("NoTracker")
    assert composed("debug=fast", "tracker=trackio")["tracker"]["_target_"].endswith("TrackioTracker")


def test_sweep_with_fast_ends_with_a_table(call_bisum, tmp_path):
    done = call_bisum("-m", "debug=fast", *SMALL, "seed=1,2", "hydra/launcher=basic")
    assert done.code == 0
    assert len(list((tmp_path / "outputs/debug/sweeps").glob("*/*/[01]/run.json"))) == 2
    assert " sweep " in done.out


def test_sweep_can_overfit_batches_of_several_sizes(call_bisum):
    arguments = ["debug=overfit", *SMALL, "trainer.max_steps=2", "trainer.batch_size=2,3", "hydra/launcher=basic"]
    done = call_bisum("-m", *arguments, "hydra.sweep.dir=sweep")
    assert done.code == 0
    assert [record(f"sweep/{job}")["overfit"]["rows"] for job in (0, 1)] == [2, 3]


def test_resumed_run_refuses_settings_that_change_results(call_bisum, one_line):
    assert call_bisum("debug=fast", *SMALL, "hydra.run.dir=run").code == 0
    for argument in ("debug=overfit", "debug.overfit=true", "debug.overfit_loss=1"):
        assert "changes the experiment" in one_line(call_bisum("resume=run", argument))
    assert call_bisum("resume=run", "debug.profile=true").code == 0
