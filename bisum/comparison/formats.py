"""Export of a comparison as Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO

from bisum.comparison.breakdown import Where
from bisum.comparison.excluded import listed, pruned_line
from bisum.comparison.importance_tables import importance_explanations
from bisum.comparison.result import BEST, SAME, Comparison, Group, System
from bisum.comparison.settings import brief
from bisum.comparison.tables import DASH, explanations, heading, interval, mark, p_value, size, speed
from bisum.display.metric_tables import number
from bisum.errors import one_line
from bisum.printing import as_json, finite

_NUMBERS = re.compile(r"-?[\d.]+(e[+-]?\d+)?( -?[\d.]+(e[+-]?\d+)?)*")


def as_markdown(comparison: Comparison, found: Where | None) -> str:
    """Return a comparison as Markdown: tables of systems, of tests and of wins and losses, then notes."""
    lines: list[str] = []
    for group in comparison.groups:
        if group.why:
            lines += [f"Not tested against the systems above: {group.why}.", ""]
        lines += [_md(heading(comparison, group)), ""]
        lines += [*_markdown_table(*_cells(comparison, group)), ""]
        lines += [*map(_md, explanations(comparison, group)), ""]
        if group.importance is not None:
            rows = [[key, f"{share:.0%}"] for key, share in group.importance.shares.items()]
            lines += [*_markdown_table(["setting", "importance"], rows), ""]
            lines += [*map(_md, importance_explanations(group.importance)), ""]
        if len(group.pairs) > 1:
            rows = [
                [
                    f"{pair.first} minus {pair.second}",
                    number(pair.difference, comparison.score, "+"),
                    interval(comparison, pair.low, pair.high, sign=True),
                    *map(p_value, (pair.p, pair.p_adjusted, pair.p_randomization)),
                ]
                for pair in group.pairs
            ]
            titles = ["pair", "difference", "95% interval", "p", "p, adjusted", "p, randomization"]
            lines += [*_markdown_table(titles, rows), ""]
    if found is not None and found.buckets:
        titles = [f"{found.first.number} vs. {found.second.number}", "rows", "wins", "ties", "losses"]
        titles += ["difference", "95% interval"]
        rows = [
            [
                f"{division}: {bucket.name}",
                *(f"{count:,}" for count in (bucket.rows, bucket.wins, bucket.ties, bucket.losses)),
                number(bucket.difference, comparison.score, "+"),
                DASH
                if bucket.low is None or bucket.high is None
                else interval(comparison, bucket.low, bucket.high, sign=True),
            ]
            for division, buckets in found.buckets.items()
            for bucket in buckets
        ]
        lines += [*_markdown_table(titles, rows), ""]
    if others := listed(comparison):
        rows = [[str(other.directory), other.status, other.reason] for other in others]
        lines += [*_markdown_table(["not compared", "status", ""], rows), ""]
    notes = [pruned_line(comparison), *comparison.notes]
    lines += [f"- {_md(note)}" for note in notes if note]
    return "\n".join(lines).rstrip("\n") + "\n"


def as_latex(comparison: Comparison) -> str:
    """Return the tables of systems in LaTeX, for the booktabs package.

    A dagger marks systems that are not distinguishable from the best.
    """
    parts = []
    for group in comparison.groups:
        titles, rows = _cells(comparison, group)
        marks = [system.verdict for system in group.systems]
        score = 2 + max(len(group.keys), 1)
        titles, rows = titles[:-1], [row[:-1] for row in rows]  # marks replace the last column
        lines = [
            f"% {one_line(heading(comparison, group))}",
            rf"\begin{{tabular}}{{{'l' * score}{'r' * (len(titles) - score)}}}",
            r"\toprule",
            " & ".join(map(_tex, titles)) + r" \\",
            r"\midrule",
        ]
        for row, verdict in zip(rows, marks, strict=True):
            cells = [_tex(cell) for cell in row]
            cells[score] = {BEST: rf"\textbf{{{cells[score]}}}", SAME: rf"{cells[score]}$^\dagger$"}.get(
                verdict, cells[score]
            )
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [f"% {one_line(line)}" for line in explanations(comparison, group, marks=False)]
        if SAME in marks:
            lines.append(r"% \dagger: not distinguishable from the best at the 5% level")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def as_csv(comparison: Comparison) -> str:
    """Return a line per system, with numbers at full precision."""
    output = StringIO()
    rows = comparison.to_arrow().to_pylist()
    writer = csv.writer(output, lineterminator="\n")
    if rows:
        writer.writerow(map(_csv, rows[0]))
        writer.writerows([_csv(value) for value in row.values()] for row in rows)
    return output.getvalue()


def as_data(comparison: Comparison, found: Where | None) -> str:
    """Return the comparison as JSON, with the breakdown of two systems under `where`."""
    data = finite({**comparison.to_dict(), "where": found.to_dict() if found else None})
    return as_json(data, indent=1) + "\n"


def _cells(comparison: Comparison, group: Group) -> tuple[list[str], list[list[str]]]:
    """Return the headers and cells of a table of systems."""
    keys = list(group.keys) or ["system"]
    titles = [
        "",
        *keys,
        "seeds",
        comparison.by,
        "95% interval",
        *comparison.metrics,
        "p, adjusted",
        "rows/s",
        "parameters",
        "",
    ]
    rows = []
    for system in group.systems:
        pair = group.minus_best(system)
        rows.append(
            [
                str(system.number),
                *_settings(group, system),
                str(len(system.seeds)) if system.seeds else DASH,
                number(system.value, comparison.score),
                DASH if system.low is None or system.high is None else interval(comparison, system.low, system.high),
                *(number(system.metrics[name], score) for name, score in comparison.metrics.items()),
                "" if pair is None else p_value(pair.p_adjusted),
                speed(system),
                size(system),
                mark(system),
            ]
        )
    return titles, rows


def _settings(group: Group, system: System) -> list[str]:
    if not group.keys:
        return [system.label]
    own = [brief(system.settings[key]) if key in system.settings else DASH for key in group.keys]
    return [system.label, *own[1:]] if system.is_baseline else own


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_md, titles))} |"
    yield f"|{'|'.join(' --- ' for _ in titles)}|"
    for row in rows:
        yield f"| {' | '.join(map(_md, row))} |"


def _md(text: str) -> str:
    """Escape a text for Markdown."""
    text = one_line(text)
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(entities.get(sign, f"\\{sign}" if sign in "\\`*_[]|#~$" else sign) for sign in text)


def _tex(text: str) -> str:
    """Escape a text for LaTeX."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    signs |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"<": r"\textless{}", ">": r"\textgreater{}"}
    return "".join(signs.get(letter, letter) for letter in one_line(text))


def _csv(value: object) -> object:
    """Return a value for a cell: lists are joined by spaces, and texts that look like formulas are quoted."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, str):
        value = one_line(value)
        return f"'{value}" if value.startswith(("=", "+", "-", "@")) and not _NUMBERS.fullmatch(value) else value
    return "" if value is None else value
