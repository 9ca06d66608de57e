"""Fixtures for tracked runs on the sample that take seconds."""

import json
from pathlib import Path

import pytest

SMALL = [
    "corpus.max_train_rows=32",
    "corpus.max_eval_rows=8",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.min_tokens=4",
    "evaluation.bootstrap_samples=100",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.learning_rate=2e-2",
    "trainer.log_every=2",
    "hardware=cpu",
]


@pytest.fixture(scope="session")
def small() -> list[str]:
    return SMALL


@pytest.fixture(scope="session")
def read():
    """Readers for run directories: `read.lines` for JSON-lines files and `read.record`."""

    class Readers:
        @staticmethod
        def lines(path: Path) -> list[dict]:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

        @staticmethod
        def record(directory: Path) -> dict:
            return json.loads((directory / "run.json").read_text("utf-8"))

    return Readers


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """Run a command line in this process as `command(*arguments, cwd=FOLDER)`; returns the exit code."""
    from bisum.cli.main import main

    def run(*arguments: str, cwd: Path | None = None) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or tmp_path_factory.mktemp("cwd"))
            with pytest.raises(SystemExit) as exit_:
                main(list(arguments))
        return exit_.value.code

    return run
