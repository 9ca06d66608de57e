"""Terminal tables of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bisum.comparison.excluded import listed, others_table, pruned_line
from bisum.comparison.importance_tables import importance_report
from bisum.comparison.result import ALPHA, BEST, SAME, UNTESTED, Comparison, Group, System
from bisum.comparison.settings import brief, settings_label, short_names
from bisum.display.metric_tables import BETTER, number
from bisum.display.tables import Fitting, new_table
from bisum.evaluation.bootstrap import MIN_ROWS

MOST_PAIRS = 15
"""Maximum number of pairs listed on the terminal."""
MOST_LISTED = 100
"""Maximum number of systems listed on the terminal; baselines are always listed."""
_MOST_LANGUAGES = 4
_METRICS_PER_TABLE = 6
DASH = "-"


def report(comparison: Comparison, *, pairs: bool = True) -> Iterator[RenderableType]:
    """Yield the tables of all groups, those of all tests if `pairs`, and the notes."""
    for at, group in enumerate(comparison.groups):
        if at:
            yield f"\nNot tested against the systems above: {group.why}."
        yield f"{heading(comparison, group)}\n"
        if len(comparison.groups) > 1 and group.shared:
            yield f"shared settings: {settings_label(group.shared, list(group.shared))}\n"
        count, group = len(group.systems), _listed(group)
        yield Fitting([_systems(comparison, group, shape) for shape in _SHAPES])
        if len(group.systems) < count:
            yield Text(f"{count - len(group.systems):,} more systems rank lower; format=csv lists them.", "dim")
        yield ""
        yield from map(Text, explanations(comparison, group))
        yield from _metrics(comparison, group)
        if group.importance is not None:
            yield from importance_report(group.importance)
        if pairs and 1 < len(group.pairs) <= MOST_PAIRS:
            yield ""
            yield Fitting([_pairs(comparison, group, every_p) for every_p in (True, False)])
        elif pairs and len(group.pairs) > MOST_PAIRS:
            yield Text(f"{len(group.pairs)} pairs were tested; format=json and format=html list them.", "dim")
    if listed(comparison):
        yield ""
        yield others_table(comparison)
    if line := pruned_line(comparison):
        yield Text(f"> {line}", "dim")
    for note in comparison.notes:
        yield Text(f"> {note}", "dim")


def _listed(group: Group) -> Group:
    """Return a group with only the systems to list on the terminal."""
    shown_here = (system for system in group.systems if system.number <= MOST_LISTED or system.is_baseline)
    return replace(group, systems=tuple(shown_here))


def heading(comparison: Comparison, group: Group) -> str:
    """Return the line above a table: the split, the rows and the description of the score."""
    counts = ", ".join(f"{language} {rows:,}" for language, rows in group.languages.items())
    rows = f"{group.rows:,} rows" + (f" ({counts})" if len(group.languages) > 1 else "")
    of = f" in {comparison.language}" if comparison.language else ""
    direction = {True: "higher is better", False: "lower is better", None: "neither direction is better"}
    what = comparison.score.get("description", "")
    return f"{comparison.split}, {rows}: {comparison.by}{of}, {what}; {direction[comparison.score['higher_is_better']]}"


def explanations(comparison: Comparison, group: Group, *, marks: bool = True) -> Iterator[str]:
    """Yield notes on the intervals and tests and, if `marks`, on the marks in the table."""
    seeds = [len(system.seeds) for system in group.systems if not system.is_baseline]
    if not group.pairs:
        if group.rows and group.rows < MIN_ROWS:
            yield f"Not tested: too few rows ({group.rows}; at least {MIN_ROWS} are needed)."
        elif len(group.systems) > 1:
            yield f"Not tested: no row values of {comparison.by}."
        return
    several = f", Holm-adjusted over {group.tests:,} pairs" if group.tests > 1 else ""
    if marks and any(system.verdict == SAME for system in group.systems):
        first = "best" if group.systems[0].verdict == BEST else "first"
        yield f"= not distinguishable from the {first} at the 5% level."
    yield f"p-values: paired bootstrap, {comparison.samples:,} resamples{several}. Intervals are not adjusted."
    if len(set(seeds)) == 1 and seeds[0] > 1:
        few = " With two seeds, only large differences can be found; train three or more." if seeds[0] == 2 else ""
        yield f"{seeds[0]} seeds per system: intervals and tests account for variation across rows and seeds.{few}"
    elif max(seeds, default=0) == 1:
        yield "One seed per system: intervals and tests account for variation across rows, not seeds."
    elif seeds:
        single = "A system with one seed is assumed to vary across seeds as much as the system it is compared with."
        yield f"Tests account for variation across rows and seeds. {single if min(seeds) == 1 else ''}".rstrip()
    if any(system.value is not None and system.verdict == UNTESTED for system in group.systems[1:]):
        if group.systems[0].values is None:
            yield "The first system has no row scores, so no system is tested against it."
        else:
            yield f"Systems without p have no row scores or share fewer than {MIN_ROWS} rows with the first."
    yield randomization(group)
    for same in _equal_systems(group):
        yield f"{', '.join(same[:-1])} and {same[-1]} have identical scores on every row with every seed."
    if comparison.split == "test" and len(seeds) > 2:
        yield "To choose a system, compare on validation (split=validation); report its score on test."


def _equal_systems(group: Group) -> list[list[str]]:
    """Return sets of systems with equal scores on every row, by number."""
    sets: list[list[int]] = []
    for first, second in group.equal:
        known = next((same for same in sets if first in same or second in same), None)
        if known is None:
            sets.append([first, second])
        else:
            known += [number for number in (first, second) if number not in known]
    return [list(map(str, same)) for same in sets]


def randomization(group: Group) -> str:
    """Return a line on whether approximate randomization agrees with the bootstrap."""
    differing = [pair for pair in group.pairs if (pair.p <= ALPHA) != (pair.p_randomization <= ALPHA)]
    several = any(len(system.seeds) > 1 for system in group.systems)
    check = f"Approximate randomization of rows{' (seeds fixed)' if several else ''}"
    if not differing:
        return f"{check} agrees for every pair at the 5% level, before adjustment."
    named = ", ".join(f"{pair.first} vs. {pair.second}" for pair in differing[:5])
    more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
    return f"{check} disagrees at the 5% level, before adjustment, for {named}{more}."


@dataclass(frozen=True)
class _Shape:
    """Content of a table of systems, depending on its width."""

    columns: bool
    """Each differing key has its own column; otherwise one column contains them all."""
    intervals: bool
    """Differences from the best have intervals."""
    speed: bool
    """Columns for rows per second and parameters."""
    languages: bool = True
    """A column for the scores of each language."""
    own_interval: bool = True
    """Scores have intervals."""


_SHAPES = (
    _Shape(columns=True, intervals=True, speed=True),
    _Shape(columns=True, intervals=False, speed=True),
    _Shape(columns=True, intervals=False, speed=False),
    _Shape(columns=True, intervals=False, speed=False, languages=False),
    _Shape(columns=False, intervals=False, speed=False, languages=False),
    _Shape(columns=False, intervals=False, speed=False, languages=False, own_interval=False),
)


def _systems(comparison: Comparison, group: Group, shape: _Shape) -> Table:
    """Return the table of systems."""
    table = new_table("")
    models = [system for system in group.systems if not system.is_baseline]
    keys = group.keys if shape.columns else ()
    names = short_names(keys)
    for key in keys:
        table.add_column(names[key], no_wrap=True)
    if not keys:
        table.add_column("system", overflow="fold", min_width=20)
    has_seeds = len({len(system.seeds) for system in models}) > 1
    has_speed = shape.speed and any(system.rows_per_second is not None for system in models)
    has_size = shape.speed and any(system.parameters is not None for system in models)
    has_languages = shape.languages and 1 < len(group.languages) <= _MOST_LANGUAGES
    of_model = {"seeds": has_seeds, "rows/s": has_speed, "parameters": has_size}
    for title in (
        *(["seeds"] if has_seeds else []),
        comparison.by,
        *([" / ".join(group.languages)] if has_languages else []),
        "vs.\nbest",
        "p,\nadjusted",
        *(title for title in ("rows/s", "parameters") if of_model[title]),
    ):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for system in group.systems:
        own = [brief(system.settings[key]) if key in system.settings else DASH for key in keys] or [system.label]
        cells: list[str | Text] = [system.label, *own[1:]] if system.is_baseline else [*own]
        cells += [str(len(system.seeds) or DASH)] if has_seeds else []
        cells.append(_score(comparison, system, shape.own_interval))
        if has_languages:
            cells.append(" / ".join(number(value, comparison.score) for value in system.by_language.values()))
        cells += _against_best(comparison, group, system, shape.intervals)
        cells += [speed(system)] if has_speed else []
        cells += [size(system)] if has_size else []
        style = "bold" if system.verdict == BEST else "dim" if system.is_baseline else ""
        table.add_row(str(system.number), *cells, mark(system), style=style)
    return table


def speed(system: System) -> str:
    """Return a system's rows per second."""
    return DASH if system.rows_per_second is None else f"{system.rows_per_second:.0f}"


def size(system: System) -> str:
    """Return a system's number of parameters."""
    return DASH if system.parameters is None else f"{system.parameters / 1e6:.1f} M"


def _metrics(comparison: Comparison, group: Group) -> Iterator[RenderableType]:
    """Yield tables of the further scores, a few per table, with the best in bold."""
    named = list(comparison.metrics.items())
    for start in range(0, len(named), _METRICS_PER_TABLE):
        shown_here = named[start : start + _METRICS_PER_TABLE]
        table = new_table("")
        for name, score in shown_here:
            direction = BETTER[score["higher_is_better"]]
            table.add_column(f"{name} {score['unit']}\n{direction}".rstrip(), justify="right", no_wrap=True)
        best = {name: _best(group, name, score["higher_is_better"]) for name, score in shown_here}
        for system in group.systems:
            cells = []
            for name, score in shown_here:
                value = system.metrics[name]
                is_best = value is not None and value == best[name]
                cells.append(Text(number(value, score), "bold" if is_best else ""))
            table.add_row(str(system.number), *cells)
        yield ""
        yield table


def _best(group: Group, name: str, higher_is_better: bool | None) -> float | None:
    """Return the best value of a score; None without a direction or different values."""
    known = {value for system in group.systems if (value := system.metrics[name]) is not None}
    if higher_is_better is None or len(known) < 2:
        return None
    return max(known) if higher_is_better else min(known)


def mark(system: System) -> str:
    """Return a system's mark in tables: best, or = if it is not distinguishable from the best."""
    return {BEST: "best", SAME: "="}.get(system.verdict, "")


def _score(comparison: Comparison, system: System, has_interval: bool) -> Text:
    cell = Text(number(system.value, comparison.score))
    if has_interval and system.low is not None and system.high is not None:
        cell.append(f" {interval(comparison, system.low, system.high)}", "dim")
    return cell


def interval(comparison: Comparison, low: float, high: float, sign: bool = False) -> str:
    """Format the ends of an interval."""
    joint = " to " if sign or low < 0 else "-"
    return joint.join(number(end, comparison.score) for end in (low, high))


def _against_best(comparison: Comparison, group: Group, system: System, intervals: bool) -> list[str | Text]:
    """Return two cells: the difference from the best, and its p-value."""
    pair = group.minus_best(system)
    if pair is None:
        return ["", ""]
    cell = Text(number(pair.difference, comparison.score, "+"))
    if intervals:
        cell.append(f" {interval(comparison, pair.low, pair.high, sign=True)}", "dim")
    return [cell, p_value(pair.p_adjusted)]


def p_value(p: float) -> str:
    """Format a p-value for tables."""
    if not math.isfinite(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _pairs(comparison: Comparison, group: Group, every_p: bool) -> Table:
    """Return the table of all tests, with only the adjusted p-values unless `every_p`."""
    table = new_table("pair")
    titles = ("p", "p, adjusted", "p, randomization") if every_p else ("p, adjusted",)
    for title in ("difference", "95% interval", *titles):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in group.pairs:
        p_values = (pair.p, pair.p_adjusted, pair.p_randomization) if every_p else (pair.p_adjusted,)
        table.add_row(
            f"{pair.first} minus {pair.second}",
            number(pair.difference, comparison.score, "+"),
            interval(comparison, pair.low, pair.high, sign=True),
            *map(p_value, p_values),
        )
    return table
