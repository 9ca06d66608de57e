"""Draw the starter's training over consecutive runs: `python -m bisum.assets.starter.make_curves RUN...`.

The plots show the training and validation loss, and each language's validation ROUGE-L with lead-3, by optimizer step.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bisum.assets.script import script
from bisum.display.curves import plot_curves
from bisum.errors import UserError
from bisum.runs.metrics import read_metrics


def main(runs: Sequence[str], file: Path) -> None:
    """Write the figure of the runs' metrics.jsonl into `file`, a PNG."""
    if not plot_curves(file.with_suffix(""), read_records(runs), lead="lead-3", along="step", label="optimizer steps"):
        raise UserError(f"run: {', '.join(runs)}: no losses or scores in metrics.jsonl")


def read_records(runs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of all runs; each run's steps continue those of the previous run."""
    records: list[dict[str, Any]] = []
    start = 0
    for run in runs:
        of_run = [{**record, "step": start + record["step"]} for record in read_metrics(Path(run))]
        if not of_run:
            raise UserError(f"run: '{run}' has no steps in its metrics.jsonl")
        records += of_run
        start = of_run[-1]["step"]
    return records


if __name__ == "__main__":
    script(lambda *runs: main(runs, Path(__file__).with_name("curves.png")), "RUN...")
