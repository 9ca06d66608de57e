"""Tables and lines that compare evaluated models with lead-k and with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bisum.display.metric_tables import evaluated_metrics
from bisum.display.scored_rows import ScoredRows, explain_mark, few_rows_mark
from bisum.display.tables import SHOWN, Fitting, new_table
from bisum.evaluation.bootstrap import FEWEST_ROWS
from bisum.interfaces.score import score_name


def prefix_of(split: str) -> str:
    """Return the prefix of a split's metric names."""
    return "test" if split == "test" else "eval"


def difference_table(metrics: Mapping[str, float], rows: ScoredRows) -> Fitting:
    """Return the differences in ROUGE, their 95 % intervals and the share of resamples that are better in ROUGE-L.

    Args:
        metrics: scores that include `difference/...`.
        rows: the rows that were scored.
    """
    names = [name for _, name in SHOWN]
    return Fitting([_difference(metrics, rows, intervals) for intervals in (names, names[-1:], [])])


def _difference(metrics: Mapping[str, float], rows: ScoredRows, intervals: Sequence[str]) -> Table:
    table = new_table("")
    for title in ("rows", *(title for title, _ in SHOWN), "better in\nresamples"):
        table.add_column(title, justify="right", no_wrap=True)
    for language in _parts(metrics, rows):
        cells = []
        for _, name in SHOWN:
            key = rows.name("difference", name, language)
            cells.append(Text(f"{metrics[key]:+z.1f}", "bold"))
            if name in intervals:
                cells[-1] += Text(f" {_interval(metrics, key)}{few_rows_mark(rows.count(language))}", "dim")
        better = metrics[f"{rows.name('difference', 'rougeL', language)}_better"]
        table.add_row(language or "all", f"{rows.count(language):,}", *cells, f"{better:.0f} %")
    if intervals:
        explain_mark(table, map(rows.count, _parts(metrics, rows)))
    return table


def verdicts(metrics: Mapping[str, float], rows: ScoredRows, baseline: str) -> Iterator[str]:
    """Yield a sentence for all rows and per language on whether the system's ROUGE-L is above the baseline's.

    Args:
        metrics: scores that include `difference/...`.
        rows: the rows that were scored.
        baseline: the name of the baseline.
    """
    for language in _parts(metrics, rows):
        key = rows.name("difference", "rougeL", language)
        mean, interval = metrics[key], f"95 % interval {_interval(metrics, key, 2)}"
        label, count = language or "all", rows.count(language)
        if count < FEWEST_ROWS:
            yield f"{label}: {count} {'row is' if count == 1 else 'rows are'} too few to tell ROUGE-L from {baseline}'s"
        elif metrics[f"{key}_low"] <= 0 <= metrics[f"{key}_high"]:
            yield f"{label}: ROUGE-L is not distinguishable from {baseline}'s ({interval}, which holds 0)"
        else:
            where, verdict = ("above", "better") if mean > 0 else ("below", "worse")
            yield f"{label}: ROUGE-L is {abs(mean):.2f} {where} {baseline} ({interval}): {verdict}"


def _parts(metrics: Mapping[str, float], rows: ScoredRows) -> list[str]:
    """Return "" for all rows, and each language with rows if there are several."""
    of = [language for language in rows.counts if rows.name("difference", "rougeL", language) in metrics]
    return ["", *(of if len(of) > 1 else [])]


def _interval(metrics: Mapping[str, float], key: str, decimals: int = 1) -> str:
    return f"{metrics[f'{key}_low']:z.{decimals}f} to {metrics[f'{key}_high']:z.{decimals}f}"


def evaluations_report(jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield a table with one row per evaluation, and the notes needed to read it.

    Args:
        jobs: the `run.json` of each job, by label; a job without scores shows its status instead.
    """
    done = [record for record in jobs.values() if "evaluation" in record]
    scored = {record["evaluation"]["fingerprint"] for record in done}
    profile = "unicode" if any(record.get("profile") == "unicode" for record in done) else "rouge"
    baselines = {record["evaluation"]["baseline"]: record["baseline"] for record in done}
    if len(scored) == 1:
        evaluation = done[0]["evaluation"]
        names = [score_name("baseline", rouge, profile=profile) for _, rouge in SHOWN]
        baseline_scores = (
            f"{name} has " + " / ".join(f"{scores[key]:.1f}" for key in names) for name, scores in baselines.items()
        )
        of = "ROUGE F" if profile == "rouge" else f"ROUGE F of the profile {profile}"
        yield "; ".join(
            [f"{evaluation['split']}, {evaluation['rows']:,} rows: {of}, 95 % intervals of L", *baseline_scores]
        )
    minus = next(iter(baselines)) if len(baselines) == 1 else "lead-k"
    yield Fitting([_evaluations(jobs, minus, profile, len(scored) == 1, joint) for joint in (" ", "\n")])
    prefixes = [prefix_of(record["evaluation"]["split"]) if "evaluation" in record else "" for record in jobs.values()]
    for table in evaluated_metrics(jobs, prefixes, same_rows=len(scored) == 1):
        yield ""
        yield table
    if len(scored) > 1:
        yield "The jobs did not score the same rows: compare how far each is above its own baseline, not its scores."
        if profile != "rouge":
            yield f"ROUGE is shown in the profile {profile}, which reads the languages of all jobs."


def _evaluations(
    jobs: Mapping[str, Mapping[str, Any]], baseline: str, profile: str, same_rows: bool, joint: str
) -> Table:
    """Return the table; `joint` separates a score from its interval, and a job from its model."""
    done = {label: record for label, record in jobs.items() if "evaluation" in record}
    scores = {label: _scores(record["evaluation"], profile) for label, record in done.items()}
    languages = list(dict.fromkeys(chain.from_iterable(map(_languages, done.values()))))

    def number(label: str, name: str, spec: str = "z.1f") -> Text:
        """Return a score, bold if it is the best of several on the same rows."""
        value = scores[label].get(name)
        values = {other[name] for other in scores.values() if name in other}
        is_best = same_rows and len(values) > 1 and value == max(values)
        return Text("-" if value is None else f"{value:{spec}}", "bold" if is_best else "")

    slash = Text(" / ")
    table = new_table("job")
    table.padding = (0, 1, 0, 0)
    table.columns[0].overflow = "fold"
    by_language = [f"ROUGE-L\n{' / '.join(languages)}"] if len(languages) > 1 else []
    rows = [] if same_rows else ["rows"]
    for title in (*rows, "ROUGE\n1 / 2 / L", *by_language, f"L minus\n{baseline}", "mean\ntokens"):
        table.add_column(title, justify="right", no_wrap=title not in by_language or len(languages) < 4)
    for label in jobs:
        if label not in done:
            table.add_row(label, *("" for _ in rows), str(jobs[label].get("status", "lost")))
            continue
        of, evaluation = scores[label], done[label]["evaluation"]
        mark = few_rows_mark(evaluation["rows"])
        table.add_row(
            _above(label, evaluation["model"], joint),
            *(f"{evaluation['split']}{joint}{evaluation['rows']:,}" for _ in rows),
            _above(
                slash.join(number(label, name) for _, name in SHOWN),
                f"{of['rougeL_low']:.1f}-{of['rougeL_high']:.1f}{mark}",
                joint,
            ),
            *([slash.join(number(label, f"{language}/rougeL") for language in languages)] if by_language else []),
            _above(number(label, "difference/rougeL", "+z.1f"), f"{_interval(of, 'difference/rougeL')}{mark}", joint),
            f"{of['gen_len']:.1f}",
        )
    explain_mark(table, (record["evaluation"]["rows"] for record in done.values()))
    return table


def _above(first: str | Text, second: str, joint: str) -> Text:
    """Return a text and a dim one, with `joint` between them."""
    return Text.assemble(first, joint, (second, "dim"))


def _languages(record: Mapping[str, Any]) -> list[str]:
    """Return the languages of a run; its configuration may take them from the environment."""
    languages = record["config"]["languages"]
    return languages if isinstance(languages, list) else list(record["data"]["rows"][record["evaluation"]["split"]])


def _scores(evaluation: Mapping[str, Any], profile: str) -> dict[str, Any]:
    """Return an evaluation's metrics, without the split's prefix and the profile in their names."""
    prefix = f"{prefix_of(evaluation['split'])}/"
    bare = {name.removeprefix(prefix): value for name, value in evaluation.items()}
    of_profile = {name.replace(f"{profile}/", "", 1): value for name, value in bare.items() if f"{profile}/" in name}
    return bare | of_profile
