"""debug=profile: the trace of a few training steps, and the table of their most expensive operators."""

import gzip
import io
import json
import re
import shutil

import pytest
from rich.console import Console

import bisum
from bisum.display.profile_table import Operator, profile_table
from bisum.runs.profile import TRACE
from bisum.training.profiling import WARMUP

ARGUMENTS = [
    "debug=profile",
    "corpus.max_train_rows=64",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.max_document_tokens=32",
    "model.max_summary_tokens=8",
    "trainer.batch_size=4",
    "debug.profile_steps=2",
    "hardware=cpu",
]


@pytest.fixture
def profiled(tmp_path, call_bisum):
    """A run's output, and the steps and events of its trace."""

    def run(*arguments):
        done = call_bisum(*ARGUMENTS, *arguments, "hydra.run.dir=run")
        assert (done.code, done.err) == (0, "")
        events = json.loads(gzip.decompress((tmp_path / "run" / TRACE).read_bytes()))["traceEvents"]
        steps = {event["name"] for event in events if event.get("name", "").startswith("ProfilerStep")}
        return done.out, steps, events

    return run


def rows(out):
    """The cells of the table, by operator."""
    lines = out.partition("self time on the CPU\n")[2].partition("\nprofile ")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in (re.split(r" {2,}", line.strip()) for line in lines)}


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_table_covers_the_recorded_steps(backend, profiled, tmp_path):
    out, steps, events = profiled(f"trainer={backend}")
    assert steps == {f"ProfilerStep#{WARMUP + number}" for number in range(2)}
    assert "profile of 2 steps (" in out
    table = rows(out)
    assert len(table) == 11  # ten, and the others
    shares = [float(cells[1].rstrip("%")) for cells in table.values()]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert shares[:10] == sorted(shares[:10], reverse=True)
    multiplied = sum(event.get("name") == "aten::mm" and event.get("ph") == "X" for event in events)
    assert float(table["aten::mm"][2]) == multiplied / 2
    assert out.count("(open it at https://ui.perfetto.dev)") == 2
    assert "aten::mm" in (tmp_path / "run/train.log").read_text("utf-8")


def test_too_few_steps_are_divided_and_reported(profiled):
    out, steps, _ = profiled("trainer.max_steps=2")
    assert "> profile: 2 steps are left, too few for 3 warmup and 2 recorded steps (debug.profile_steps); using " in out
    assert len(steps) == 1
    assert "profile of 1 step (" in out


def test_single_step_is_recorded_without_warmup(profiled):
    out, steps, _ = profiled("trainer.max_steps=1")
    assert "> profile: 1 step is left, " in out
    assert len(steps) == 1


def test_evaluation_is_not_recorded(profiled):
    out, steps, events = profiled("trainer.evaluate_every=1", "trainer.max_steps=6")
    assert len(steps) == 1
    assert "profile of 1 step (" in out
    assert not any("evaluat" in str(event.get("name")) and "engine" not in event["name"] for event in events)


def test_profiling_a_whole_training_changes_no_number(read, small, trained, tmp_path):
    arguments = ["debug.profile=true", "trainer=accelerate"]
    bisum.train(bisum.compose([*small, *arguments]), tmp_path / "run")
    assert (tmp_path / "run" / TRACE).is_file()
    whole = trained("trainer=accelerate")
    assert read.metrics(tmp_path / "run") == read.metrics(whole)


def test_training_that_ends_during_warmup_is_reported(call_bisum):
    arguments = ["debug.overfit=true", "debug.overfit_loss=100", "trainer.max_steps=20"]
    done = call_bisum(*ARGUMENTS, *arguments, "hydra.run.dir=run")
    assert done.code == 0
    assert done.out.count("> warning: profile: training ended before a step was recorded") == 1


def test_resumed_run_can_be_profiled(trained, read, tmp_path, call_bisum):
    directory = shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")
    done = call_bisum(f"resume={directory}", "trainer.epochs=3", "debug.profile=true", "debug.profile_steps=1")
    assert (done.code, done.err) == (0, "")
    assert (directory / TRACE).is_file()
    assert read.series(directory, "train/loss")[:32] == read.series(trained("trainer=accelerate"), "train/loss")


def test_long_names_of_operators_leave_the_numbers_whole():
    name = "autograd::engine::evaluate_function: ScaledDotProductFlashAttentionForCpuBackward0"
    operators = [Operator(name, 15.20841, 20410.0), Operator("aten::mm", 0.1, 0.5)]
    console = Console(width=80, file=io.StringIO())
    console.print(profile_table(operators))
    shown = re.split(r" {2,}", console.file.getvalue().splitlines()[2].strip())
    assert shown == [f"{name[:39]}…", "15,208.41", "99.3%", "20,410"]
