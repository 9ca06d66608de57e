"""A user's own metric, outside bisum, in every place where a metric appears."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pages import ROOT, blocks_of

CODE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from bisum.interfaces.metric import Metric
from bisum.interfaces.score import Score


@dataclass(frozen=True, kw_only=True)
class Distance(Metric):
    """Difference in length between a summary and its reference."""

    least: Annotated[int, Ge(0)]

    scores = {
        "distance": Score("characters between the lengths of summary and reference", higher_is_better=False, lowest=0),
        "language_tag": Score("a number that depends on nothing", higher_is_better=None),
    }

    def prepare(self, languages, progress):
        yield f"distance of {', '.join(languages)}"

    def compute(self, summaries):
        pairs = zip(summaries.predictions, summaries.references)
        return {
            "distance": [max(self.least, abs(len(own) - len(other))) for own, other in pairs],
            "language_tag": [None if language == "es" else 7 for language in summaries.languages],
        }
'''

OPTION = """\
# @package metric.distance
# The difference in length.
#   bisum --config-dir conf allow_targets=[yard] metric=[distance]
_target_: yard.lengths.Distance
least: 0
"""

ARGUMENTS = [
    "--config-dir",
    "conf",
    "allow_targets=[yard]",
    "metric=[chrf,distance]",
    "model=tiny",
    "corpus.max_train_rows=48",
    "corpus.max_eval_rows=24",
    "model.architecture.d_model=16",
    "model.architecture.num_heads=2",
    "model.architecture.d_ff=16",
    "model.architecture.num_layers=1",
    "evaluation.bootstrap_samples=100",
    "hardware=cpu",
]
TRAINING = [
    *ARGUMENTS,
    "trainer.evaluate_every=2",
    "trainer.epochs=3",
    "trainer.max_steps=8",
    "trainer.learning_rate=0.05",
]


@pytest.fixture
def yard(write_folder) -> Path:
    """A user's folder: a package with the metric, and its YAML."""
    return write_folder({"yard/__init__.py": "", "yard/lengths.py": CODE, "conf/metric/distance.yaml": OPTION})


def record(directory):
    return json.loads((directory / "run.json").read_text(encoding="utf-8"))


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def predictions(directory, name):
    path = directory / "predictions" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_metric_selects_the_best_checkpoint_and_appears_in_every_table(yard, call_bisum):
    best = ["trainer.best_metric=eval/es/distance", "tracker=wandb", "tracker.mode=offline"]
    done = call_bisum(*TRAINING, *best, "hydra.run.dir=run")
    assert done.code == 0, done.err
    run = record(yard / "run")
    evaluated = [line for line in lines(yard / "run") if "eval/loss" in line]
    assert len(evaluated) == 4
    values = [line["eval/es/distance"] for line in evaluated]
    assert len(set(values)) > 1
    assert run["best"]["eval/es/distance"] == min(values)
    assert run["best_metric"] == "eval/es/distance"

    # Values by hand, from the recorded texts.
    best = next(line for line in evaluated if line["eval/es/distance"] == min(values))
    rows = predictions(yard / "run", f"validation-epoch-{best['epoch']:g}")
    by_hand = {row["id"]: abs(len(row["prediction"]) - len(row["reference"])) for row in rows}
    spanish = [by_hand[row["id"]] for row in rows if row["language"] == "es"]
    assert best["eval/es/distance"] == pytest.approx(sum(spanish) / len(spanish))
    assert best["eval/distance"] == pytest.approx(sum(by_hand.values()) / len(rows))
    assert best["eval/distance_low"] < best["eval/distance"] < best["eval/distance_high"]
    table = pq.read_table(yard / "run/predictions" / f"validation-epoch-{best['epoch']:g}.scores.parquet").to_pylist()
    assert {row["id"]: row["distance"] for row in table} == by_hand
    assert len(table[0]["chrf"]) == 18

    # A score that only some rows have.
    assert best["eval/language_tag"] == best["eval/en/language_tag"] == 7
    assert best["eval/language_tag_rows"] == 12
    assert [name for name in best if name.startswith("eval/es/language_tag")] == ["eval/es/language_tag_rows"]
    assert best["eval/es/language_tag_rows"] == 0

    assert run["scores"]["distance"] == {
        "description": "characters between the lengths of summary and reference",
        "higher_is_better": False,
        "range": [0, None],
        "scale": 1,
        "unit": "",
        "metric": "distance",
    }
    assert "> metric.distance: distance of en, es" in done.out
    table = done.out[done.out.rindex("test, 24 rows") :]
    assert "best checkpoint by eval/es/distance" in table
    cells = next(line for line in table.splitlines() if line.startswith("distance")).split()
    assert cells[:3] == ["distance", "lower", f"{run['test']['test/distance']:.2f}"]
    assert "rows with a value (of 24): language_tag 12" in table
    assert f"es/distance {values[0]:.4g}" in done.out
    assert run["seconds"].keys() >= {"metric.rouge", "metric.chrf", "metric.distance"}

    # The tracker's log is W&B's own file.
    (log,) = (yard / "run").glob("wandb/offline-run-*/run-*.wandb")
    assert b"eval/es/distance" in log.read_bytes()
    assert b"baseline/distance_low" in log.read_bytes()

    # An evaluation of that run compares it with lead-3, and keeps the run's metric.
    done = call_bisum("evaluate", "run", *ARGUMENTS[:3], "hydra.run.dir=evaluated", "tracker=none")
    assert done.code == 0, done.err
    evaluation = record(yard / "evaluated")["evaluation"]
    system, lead = (
        {
            row["id"]: abs(len(row["prediction"]) - len(row["reference"]))
            for row in predictions(yard / "evaluated", name)
        }
        for name in (f"test-{run['test']['checkpoint']}", "test-lead3")
    )
    assert evaluation["difference/distance"] == pytest.approx(sum(system[row] - lead[row] for row in lead) / len(lead))
    low, high, better = (evaluation[f"difference/distance_{end}"] for end in ("low", "high", "better"))
    assert low < evaluation["difference/distance"] < high
    assert better == 100  # in all resamples, lead-3 is further off
    assert high < 0
    shown = done.out[done.out.index("difference from lead-3") :]
    cells = next(line for line in shown.splitlines() if line.startswith("distance")).split()
    assert cells[:2] == ["distance", "lower"]
    assert cells[-1] == "better"


def test_metric_appears_in_a_sweeps_table(yard, call_bisum):
    arguments = [*ARGUMENTS[:6], "metric=[distance]", "corpus.max_eval_rows=8", "evaluation.bootstrap_samples=100"]
    done = call_bisum(
        "evaluate",
        "-m",
        *arguments,
        "model=starter",
        "generation.num_beams=1,2",
        "hydra/launcher=basic",
        "hydra.sweep.dir=sweep",
    )
    assert done.code == 0, done.err
    table = done.out[done.out.rindex("job 0") :]
    values = [record(yard / f"sweep/{job}")["evaluation"]["test/distance"] for job in (0, 1)]
    lines = table.splitlines()
    header = next(at for at, line in enumerate(lines) if "distance" in line.split())
    column = lines[header].split().index("distance") + 1  # after the number of the system
    shown = [line.split()[column] for line in lines[header:] if re.match(r"\d ", line)]
    assert set(shown) >= {f"{value:.2f}" for value in values}


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        (
            '"distance": [',
            '"distanse": [',
            "metric.distance: returns 'distanse', which is missing from its scores (dist",
        ),
        ("[max(self.least", "[-1 - max(self.least", "metric.distance: 'distance' of row "),
        ("for own, other in pairs]", "for own, other in pairs][1:]", "metric.distance: 'distance' must be a number or"),
        ("else 7 for", "else 'x' for", "metric.distance: 'language_tag' must be a number or None for each row: "),
        ("        pairs = zip(", "        pairs = zip(1, ", "metric.distance: Distance failed: "),
        (
            "        pairs = zip(",
            "        raise SystemExit(3)\n        pairs = zip(",
            "metric.distance: Distance failed: ",
        ),
        (
            '"language_tag": Score(',
            '"rougeL": Score(',
            "metric.distance: 'rougeL' is already a score of every evaluation;",
        ),
        (
            '"language_tag": Score(',
            '"chrf": Score(',
            "metric.distance: 'chrf' is already a score of metric.chrf; remove",
        ),
        ("scores = {", "scores = 7\n    others = {", "metric.distance: Distance.scores must be a mapping of names"),
        (
            "    scores = {",
            "    def __post_init__(self):\n        raise SystemExit\n\n    scores = {",
            "metric.distance: Distance rejects its settings",
        ),
        (
            "    scores = {",
            "    @property\n    def scores(self):\n        raise KeyError('x')\n\n    others = {",
            "metric.distance._target_: 'yard.lengths.Distance' does not implement Metric: a property fails: KeyError",
        ),
        (
            "(Metric)",
            "",
            "metric.distance._target_: 'yard.lengths.Distance' does not implement Metric: it does not ",
        ),
        (
            "        yield f",
            "        raise KeyError('x')\n        yield f",
            "metric.distance: Distance failed: ",
        ),
    ],
)
def test_error_in_the_metric_is_one_line(yard, call_bisum, right, wrong, line):
    path = yard / "yard/lengths.py"
    assert right in CODE
    path.write_text(CODE.replace(right, wrong), encoding="utf-8")
    done = call_bisum("baseline", *ARGUMENTS, "hydra.run.dir=run")
    assert done.code == 2
    assert done.err.startswith(f"bisum: {line}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        (
            "eval/distanc",
            "no metric 'eval/distanc', did you mean 'distance'? (valid: eval/loss, eval/rouge1, eval/rouge2",
        ),
        (
            "eval/language_tag",
            "neither higher nor lower is better for 'eval/language_tag' (a number that depends on ",
        ),
        (
            "eval/gen_len",
            "neither higher nor lower is better for 'eval/gen_len' (tokens of a generated summary",
        ),
        ("eval/fr/distance", "'eval/fr/distance' needs 'fr', which is not in languages ['en', 'es']"),
    ],
)
def test_invalid_best_metric_is_refused_before_anything_is_read(yard, call_bisum, metric, line):
    done = call_bisum(*ARGUMENTS, f"trainer.best_metric={metric}", "hydra.run.dir=run")
    assert done.code == 2
    assert done.err.startswith(f"bisum: trainer.best_metric: {line}")
    assert not (yard / "run").exists()


def test_value_that_is_not_finite_is_dropped_and_reported(yard, call_bisum):
    path = yard / "yard/lengths.py"
    path.write_text(CODE.replace("max(self.least, abs(len(own) - len(other)))", "float('nan') if 'a' in other else 1"))
    done = call_bisum("baseline", *ARGUMENTS, "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert "metric.distance: 'distance' is not finite in " in done.out + done.err
    (line,) = lines(yard / "run")
    assert line["baseline/distance"] == 1
    assert 0 < line["baseline/distance_rows"] < 24


def test_missing_best_metric_is_reported_and_training_continues(yard, call_bisum):
    path = yard / "yard/lengths.py"
    value = "max(self.least, abs(len(own) - len(other)))"
    path.write_text(CODE.replace(value, "1 if len(own) > 60 else None"))  # only lead-3 has values
    best = ["trainer.best_metric=eval/distance", "trainer.learning_rate=1e-9", "model.max_summary_tokens=6"]
    done = call_bisum(*TRAINING, *best, "hydra.run.dir=run", "tracker=none")
    assert done.code == 2
    assert "eval/distance is missing, since no row has a value; this checkpoint cannot be the best" in done.out
    assert "trainer.best_metric: eval/distance was not a finite number in any evaluation" in done.err
    assert [line["step"] for line in lines(yard / "run") if "eval/loss" in line] == [2, 4, 6, 8]


def test_best_metric_without_values_is_refused_before_training(yard, call_bisum):
    path = yard / "yard/lengths.py"
    path.write_text(
        CODE.replace('"a number that depends on nothing", higher_is_better=None', '"a", higher_is_better=True')
    )
    done = call_bisum(*TRAINING, "trainer.best_metric=eval/es/language_tag", "hydra.run.dir=run", "tracker=none")
    assert done.code == 2
    assert done.err == "bisum: trainer.best_metric: no row has a value for 'eval/es/language_tag'\n"


def test_metric_in_the_docs_works(write_folder, call_bisum):
    blocks = blocks_of(ROOT / "docs/reference/metrics.md")
    files = {block.file: "\n".join(block.lines) for block in blocks if block.file}
    assert files.keys() == {"lab/metrics.py", "my_conf/metric/questions.yaml"}
    tmp_path = write_folder({"lab/__init__.py": "", **files})
    arguments = ["--config-dir", "my_conf", "allow_targets=[lab]", "metric=[questions]"]
    done = call_bisum("baseline", *arguments, "hydra.run.dir=run", "tracker=none")
    assert done.code == 0, done.err
    rows = predictions(tmp_path / "run", "validation-lead3")
    expected = 100 * sum(row["prediction"].endswith("?") for row in rows) / len(rows)
    assert lines(tmp_path / "run")[0]["baseline/questions"] == pytest.approx(expected)


def test_best_metric_that_is_not_returned_is_refused_before_training(yard, call_bisum):
    path = yard / "yard/lengths.py"
    path.write_text(CODE.replace("        return {", "        return {} and {"))
    done = call_bisum(*TRAINING, "trainer.best_metric=eval/distance", "hydra.run.dir=run", "tracker=none")
    assert done.code == 2
    assert done.err == "bisum: trainer.best_metric: no metric returns 'eval/distance' (valid: ROUGE, eval/chrf)\n"


def test_metric_cannot_replace_rouge(yard, call_bisum):
    option = yard / "conf/metric/rouge.yaml"
    option.write_text(OPTION.replace("metric.distance", "metric.rouge"))
    done = call_bisum("baseline", *ARGUMENTS, "metric=[rouge]", "hydra.run.dir=run")
    assert (done.code, done.err) == (
        2,
        "bisum: metric.rouge: ROUGE is part of every evaluation; give this metric another name\n",
    )
