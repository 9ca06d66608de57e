"""A short sweep on the sample for tests that read run directories, and edits of its runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built_once import built_once
from trained_model import ARGUMENTS

from bisum.cli.main import main

SHARED = [*ARGUMENTS, "evaluation.shown_summaries=0", "evaluation.bootstrap_samples=1000", "tracker=none"]
RATES, SEEDS = (0.02, 0.005), (1, 2)


def bisum(*arguments: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    assert exit_.value.code == 0


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two learning rates with two seeds each, from the command line: jobs 0 to 3.

    Its metrics include a score with counts (chrf) and one that lead-k lacks (at_limit).
    """
    rates, seeds = (",".join(map(str, values)) for values in (RATES, SEEDS))
    swept = ["metric=[chrf,length]", f"trainer.learning_rate={rates}", f"seed={seeds}", "hydra/launcher=basic"]
    return built_once(
        tmp_path_factory, "sweep", lambda folder: bisum("-m", *SHARED, *swept, f"hydra.sweep.dir={folder}")
    )


@pytest.fixture
def runs(sweep: Path, tmp_path: Path) -> Path:
    """A copy of the sweep without its checkpoints, for edits."""
    return copied(sweep, tmp_path / "runs")


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("checkpoints")))


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text("utf-8"))


def change(run: Path, **entries: Any) -> Path:
    """Set entries of a run's record, with __ for dots in keys: change(run, config__seed=3)."""
    values = record(run)
    for key, value in entries.items():
        *parents, name = key.split("__")
        node = values
        for parent in parents:
            node = node[parent]
        node[name] = value
    (run / "run.json").write_text(json.dumps(values), "utf-8")
    return run


def scores_path(run: Path, suffix: str = ".scores.parquet") -> Path:
    """The path of the scores of a run's test rows, or of their texts with the suffix .jsonl."""
    return run / "predictions" / f"test-{record(run)['test']['checkpoint']}{suffix}"


def rewrite(run: Path, edit: Callable[[pa.Table], pa.Table], path: Path | None = None) -> Path:
    """Edit a table of scores, by default that of the test rows, and keep its metadata."""
    path = path or scores_path(run)
    table = pq.read_table(path)
    pq.write_table(edit(table).replace_schema_metadata(table.schema.metadata), path)
    return run


def with_column(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def texts_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def all_found(comparison: Any) -> list[Any]:
    """The systems of all groups."""
    return [system for group in comparison.groups for system in group.systems]


@pytest.fixture(scope="session")
def evaluations(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test evaluations of jobs 0 and 2: in `same` on the rows of the training runs, in `fewer` on fewer rows."""

    def evaluate(folder: Path) -> None:
        for rows, name in ((40, "same"), (20, "fewer")):
            arguments = [f"corpus.max_eval_rows={rows}", f"hydra.sweep.dir={folder / name}"]
            bisum("evaluate", str(sweep / "0"), str(sweep / "2"), *arguments)

    return built_once(tmp_path_factory, "evaluations", evaluate)


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `bisum baseline` run with lead-1 on the sweep's test rows."""
    arguments = [*SHARED[:2], "metric=[chrf,length]", "evaluation.lead=1", "evaluation.bootstrap_samples=1000"]
    arguments += ["split=test", "tracker=none"]
    return built_once(tmp_path_factory, "lead", lambda folder: bisum("baseline", *arguments, f"hydra.run.dir={folder}"))
