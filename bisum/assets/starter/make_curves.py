"""Draw the starter's training over consecutive runs: `python -m bisum.assets.starter.make_curves RUN...`.

The plots show the training and validation loss, and each language's validation ROUGE-L with lead-3, by optimizer step.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bisum.assets.script import script
from bisum.errors import UserError

LANGUAGES = {"en": "#0072B2", "es": "#E69F00"}


def main(runs: Sequence[str], file: Path) -> None:
    """Write the figure of the runs' metrics.jsonl into `file`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    records = read_records(runs)
    for key, name, color in (("train/loss", "training", "#999999"), ("eval/loss", "validation", "#0072B2")):
        losses.plot(*_points(records, key), label=name, color=color, linewidth=1)
    for language, color in LANGUAGES.items():
        scores.plot(*_points(records, f"eval/{language}/rougeL"), label=language, color=color, marker=".")
        steps, leads = _points(records, f"baseline/{language}/rougeL")
        if steps:
            scores.axhline(leads[-1], label=f"lead-3 {language}", color=color, linestyle="--", linewidth=0.8)
    for axes, title in ((losses, "loss (nats a token)"), (scores, "ROUGE-L on validation")):
        axes.set(title=title, xlabel="optimizer steps")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="lower right")
        axes.grid(color="#DDDDDD", linewidth=0.6)
    figure.savefig(file, dpi=110)


def read_records(runs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of all runs; each run's steps continue those of the previous run."""
    records: list[dict[str, Any]] = []
    start = 0
    for run in runs:
        lines = Path(run, "metrics.jsonl").read_text("utf-8").splitlines()
        of_run = [{**record, "step": start + record["step"]} for record in map(json.loads, lines) if "step" in record]
        if not of_run:
            raise UserError(f"run: '{run}' has no steps in its metrics.jsonl")
        records += of_run
        start = of_run[-1]["step"]
    return records


def _points(records: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    found = [(record["step"], record[key]) for record in records if key in record]
    return [step for step, _ in found], [value for _, value in found]


if __name__ == "__main__":
    script(lambda *runs: main(runs, Path(__file__).with_name("curves.png")), "RUN...")
