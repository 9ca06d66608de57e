"""Short training runs on the sample: a one-layer model whose summaries score above 0 and change as it learns."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import bisum
from bisum.cli.main import main
from bisum.runs.metrics import read_metrics

SMALL = [
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.architecture.dropout=0.1",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.num_beams=1",
    "generation.min_tokens=4",
    "generation.no_repeat_ngram_size=1",
    "evaluation.bootstrap_samples=100",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.learning_rate=2e-2",
    "trainer.log_every=1",
    "hardware=cpu",
]


def metrics(directory: Path) -> list[dict]:
    """The lines of `metrics.jsonl`, without the speed."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "train/examples_per_second"} for line in lines]


def series(directory: Path, name: str) -> list[float]:
    """The values of one metric, in the order they were logged."""
    return [line[name] for line in metrics(directory) if name in line]


def record(directory: Path) -> dict:
    return json.loads((directory / "run.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def small() -> list[str]:
    return SMALL


@pytest.fixture(scope="session")
def read():
    """The readers of a run directory: `read.metrics`, `read.series`, `read.record`."""

    class Readers:
        pass

    Readers.metrics, Readers.series, Readers.record = map(staticmethod, (metrics, series, record))
    return Readers


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Train once per session for each set of arguments: `trained(*arguments)` returns the run directory."""
    done: dict[tuple[str, ...], Path] = {}

    def run(*arguments: str) -> Path:
        if arguments not in done:
            directory = tmp_path_factory.mktemp("run")
            bisum.train(bisum.compose([*SMALL, *arguments]), directory)
            done[arguments] = directory
        return done[arguments]

    return run


@pytest.fixture(scope="session")
def start() -> Callable[..., BaseProcess]:
    """Start a command line in a process that can be killed, forked from a server with all imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bisum.cli.dispatch", "bisum.commands.train", "bisum.training.transformers_backend"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(bisum.__file__).parents[1]))
        forkserver.ensure_running()

    def run(*arguments: str) -> BaseProcess:
        process = context.Process(target=main, args=(arguments,))
        process.start()
        return process

    return run


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a run's `metrics.jsonl` has a line with the step and the metric."""

    def wait(directory: Path, process: BaseProcess, step: int, name: str = "train/loss", seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert process.is_alive(), (directory / "train.log").read_text("utf-8")
            if any(name in line and line["step"] >= step for line in read_metrics(directory)):
                return
            time.sleep(0.002)
        raise TimeoutError

    return wait


@pytest.fixture(scope="session")
def kill_at(start, wait_for):
    """Start a run with the arguments in a directory, and kill it with -9 once it has logged a step."""

    def kill(directory: Path, step: int, *arguments: str, seconds: float = 120) -> None:
        process = start(*arguments, f"hydra.run.dir={directory}")
        wait_for(directory, process, step, seconds=seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.join()

    return kill
