"""Contents of a run directory: documented names, every row once, readable after a crash."""

import json
import os
import platform
import shutil
import signal
import time
from importlib.metadata import version

import numpy as np
import pyarrow.parquet as pq
import pytest
from rouge_score.rouge_scorer import RougeScorer

import bisum
from bisum.evaluation.evaluator import Evaluation
from bisum.evaluation.row_scores import Column, RowScores
from bisum.evaluation.sentences import split_sentences
from bisum.interfaces.score import Score

ARGUMENTS = [
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.max_document_tokens=64",
    "evaluation.bootstrap_samples=100",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "hardware=cpu",
]


def read_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    bisum.train(bisum.compose(ARGUMENTS), directory)
    return directory


@pytest.fixture(scope="module")
def record(directory):
    return json.loads((directory / "run.json").read_text("utf-8"))


def test_run_json_describes_the_finished_run(directory, record):
    assert (record["status"], record["reason"], record["exit_code"]) == ("finished", None, 0)
    assert isinstance(record["command"], str)
    assert record["config"]["trainer"]["batch_size"] == 4
    assert record["config"]["model"]["architecture"]["d_model"] == 32
    for package in ("torch", "transformers", "accelerate", "datasets"):
        assert record["versions"][package] == version(package)
    assert record["versions"]["python"] == platform.python_version()
    assert "commit" in record
    assert len(record["data"]["fingerprint"]) == 64
    assert record["data"]["rows"]["train"]["es"]["kept"] == 32
    assert {"corpus", "model", "tokenization", "baseline", "evaluation", "checkpoints", "test"} <= record[
        "seconds"
    ].keys()
    assert record["baseline"]["system"] == "lead-3"
    lines = read_lines(directory / "metrics.jsonl")
    evaluations = [line for line in lines if "eval/loss" in line]
    assert {name: record["last"][name] for name in evaluations[-1]} == evaluations[-1]
    best = max(evaluations, key=lambda line: (line["eval/rougeL"], -line["eval/loss"]))
    assert {name: record["best"][name] for name in best} == best


def test_metrics_have_the_documented_names(directory):
    lines = read_lines(directory / "metrics.jsonl")
    names = set().union(*lines)
    assert {"train/loss", "train/learning_rate", "train/examples_per_second"} <= names
    for prefix in ("eval", "test", "baseline"):
        expected = {
            f"{prefix}/{profile}{language}{rouge}{suffix}"
            for profile in ("", "unicode/")
            for language in ("", "en/", "es/")
            for rouge in ("rouge1", "rouge2", "rougeL", "rougeLsum")
            for suffix in ("", "_precision", "_recall", "_low", "_high")
        }
        own = {f"{prefix}/loss", f"{prefix}/gen_len"} if prefix != "baseline" else set()
        assert {name for name in names if name.startswith(f"{prefix}/")} == expected | own
    assert all({"step", "epoch"} <= line.keys() for line in lines)
    assert [line["epoch"] for line in lines if "eval/loss" in line] == [1, 2]
    assert sum("test/loss" in line for line in lines) == 1
    assert sum("baseline/rouge1" in line for line in lines) == 1


def test_every_scored_row_is_written_once(directory, record):
    best = record["test"]["checkpoint"]
    names = {"validation-lead3", "test-lead3", "validation-epoch-1", "validation-epoch-2", f"test-{best}"}
    files = {f"{name}.{ending}" for name in names for ending in ("jsonl", "scores.parquet")}
    assert {path.name for path in (directory / "predictions").iterdir()} == files
    rows = {name: read_lines(directory / f"predictions/{name}.jsonl") for name in names}
    assert all(
        set(row) == {"id", "language", "category", "document", "reference", "prediction"}
        for some in rows.values()
        for row in some
    )
    for name, some in rows.items():
        keys = [row["id"] for row in some]
        assert len(set(keys)) == len(keys) == 8
        assert keys == [row["id"] for row in rows["test-lead3" if name.startswith("test") else "validation-lead3"]]
    for name in ("validation-lead3", "test-lead3"):
        for row in rows[name]:
            assert row["prediction"] == "\n".join(split_sentences(row["document"], row["language"])[:3])


def test_metrics_match_the_predictions(directory, record):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    last = record["last"]
    for name, prefix, metrics in (
        ("validation-epoch-2", "eval", last),
        ("validation-lead3", "baseline", record["baseline"]),
        (f"test-{record['test']['checkpoint']}", "test", record["test"]),
    ):
        rows = read_lines(directory / f"predictions/{name}.jsonl")
        scores = [scorer.score(row["reference"], row["prediction"]) for row in rows]
        for rouge in ("rouge1", "rouge2", "rougeL"):
            mean = 100 * sum(score[rouge].fmeasure for score in scores) / len(scores)
            assert metrics[f"{prefix}/{rouge}"] == pytest.approx(mean, abs=1e-9)
    assert record["baseline"]["baseline/rouge1"] > 5


def test_run_directory_contains_the_documented_files(directory):
    assert {"run.json", "metrics.jsonl", "train.log", "predictions", "checkpoints"} <= {
        path.name for path in directory.iterdir()
    }
    assert {path.name for path in (directory / "checkpoints").iterdir()} == {"epoch-1", "epoch-2"}
    log = (directory / "train.log").read_text("utf-8")
    assert "lead-3" in log
    assert "\x1b" not in log


def test_baseline_command_reproduces_the_baseline_of_train(record, directory, call_bisum, tmp_path):
    assert call_bisum("baseline", *ARGUMENTS, f"hydra.run.dir={tmp_path / 'b'}").code == 0
    alone = json.loads((tmp_path / "b/run.json").read_text("utf-8"))
    assert alone["baseline"] == record["baseline"]
    assert read_lines(tmp_path / "b/predictions/validation-lead3.jsonl") == read_lines(
        directory / "predictions/validation-lead3.jsonl"
    )
    arguments = [*ARGUMENTS, "split=test", "evaluation.lead=1"]
    assert call_bisum("baseline", *arguments, f"hydra.run.dir={tmp_path / 't'}").code == 0
    test = json.loads((tmp_path / "t/run.json").read_text("utf-8"))["baseline"]
    rows = read_lines(tmp_path / "t/predictions/test-lead1.jsonl")
    scorer = RougeScorer(["rouge2"], use_stemmer=True)
    mean = 0.0
    for row in rows:
        (first, *_) = split_sentences(row["document"], row["language"])
        mean += 100 / len(rows) * scorer.score(row["reference"], first)["rouge2"].fmeasure
    assert test["baseline/rouge2"] == pytest.approx(mean, abs=1e-9)
    assert (test["system"], test["split"]) == ("lead-1", "test")


def test_record_is_readable_after_a_crash(directory, tmp_path):
    """A process killed at any time leaves readable JSON."""
    child = os.fork()
    if child == 0:
        try:
            from bisum.records.run import Run
            from bisum.runs.signals import Interrupts

            run = Run(tmp_path / "run", bisum.compose(ARGUMENTS), Interrupts())
            ids = tuple(str(n) for n in range(50))
            column = Column(Score("a number", higher_is_better=None), np.arange(50.0))
            scores = RowScores(ids, ("en",) * 50, {"number": column})
            rows = [{"id": name} for name in ids]
            evaluation = Evaluation(scores, "fingerprint", {}, {}, rows, {}, {"rouge": 0.1})
            for step in range(10**6):
                run.log({"train/loss": step / 3}, step, step / 10)
                run.write_evaluation("validation-epoch-1", evaluation)
                run.update(last={"step": step})
        finally:
            os._exit(1)
    while not (tmp_path / "run/predictions/validation-epoch-1.scores.parquet").exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    from bisum.runs.metrics import read_metrics

    record = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert record["status"] == "running"
    steps = [line["step"] for line in read_metrics(tmp_path / "run")]
    assert steps == list(range(len(steps)))
    assert record["last"]["step"] in (len(steps) - 1, len(steps) - 2)
    assert len(read_lines(tmp_path / "run/predictions/validation-epoch-1.jsonl")) == 50
    values = pq.read_table(tmp_path / "run/predictions/validation-epoch-1.scores.parquet")
    assert values.to_pydict() == {
        "id": [str(n) for n in range(50)],
        "language": ["en"] * 50,
        "number": [float(n) for n in range(50)],
    }


@pytest.mark.parametrize("contents", ["", "{", "[]", '{"status": "finished"}'])
def test_resuming_a_directory_that_is_not_a_run_is_refused(contents, call_bisum, tmp_path):
    missing = call_bisum("resume=nowhere")
    assert (missing.code, len(missing.err.splitlines())) == (2, 1)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/run.json").write_text(contents)
    odd = call_bisum("resume=odd")
    assert (odd.code, len(odd.err.splitlines())) == (2, 1)
    assert "odd" in odd.err


def test_resuming_with_different_rows_is_refused(directory, call_bisum, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "copy")
    done = call_bisum(f"resume={copy}", "corpus.max_train_rows=32")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    # A wrong argument does not turn a finished run into a failed one.
    assert call_bisum(f"resume={copy}").code == 0
    assert json.loads((copy / "run.json").read_text("utf-8"))["status"] == "finished"
