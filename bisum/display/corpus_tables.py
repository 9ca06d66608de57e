"""Tables and lines that describe a corpus."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text

from bisum.corpus.exploration import FilterEffect, Repeats
from bisum.display.tables import new_table
from bisum.errors import one_line
from bisum.interfaces.filter import Filter

_COLUMN_WIDTH = 36  # minimum for comfortable reading
_SHOWN_LINES = 8


def samples_tables(samples: Mapping[str, Sequence[Mapping[str, Any]]], width: int) -> Iterator[Table]:
    """Yield one table per sample, with the languages side by side: category, summary and start of the document."""
    columns = max(1, (width + 2) // (_COLUMN_WIDTH + 2))
    languages = [language for language in samples if samples[language]]
    for number in range(max((len(rows) for rows in samples.values()), default=0)):
        for group in _groups([name for name in languages if number < len(samples[name])], columns):
            table = Table.grid(padding=(0, 2), expand=True)
            cell_width = width // columns - 2
            rows = [samples[language][number] for language in group]
            for _ in range(columns):
                table.add_column(ratio=1, overflow="fold")
            heads = (
                Text(f"{language}  {one_line(row['category'] or '')}", style="dim", overflow="ellipsis", no_wrap=True)
                for language, row in zip(group, rows, strict=True)
            )
            table.add_row(*heads)
            table.add_row(*(Text(one_line(row["summary"]), style="bold") for row in rows))
            table.add_row(*(Text(_truncated(row["document"], cell_width * _SHOWN_LINES)) for row in rows))
            table.add_row("")
            yield table


def categories_tables(
    counts: Mapping[str | None, Mapping[str, int]], totals: Mapping[str, int], shown: int, width: int
) -> Iterator[Table]:
    """Yield tables of the rows and shares of the first `shown` categories, as many as the languages need."""
    names = list(counts)[:shown]
    for group in _groups(list(totals), max(1, (width - 26) // 17)):
        table = new_table("category")
        for language in group:
            table.add_column(language, justify="right")
        for name in names:
            table.add_row(_category(name), *(_share(counts[name][language], totals[language]) for language in group))
        if others := list(counts)[shown:]:
            rest = {language: sum(counts[name][language] for name in others) for language in group}
            table.add_row(f"{len(others)} more", *(_share(rest[language], totals[language]) for language in group))
        yield table


def describe_filter(row_filter: Filter, node: Mapping[str, Any]) -> tuple[str, str]:
    """Return a filter's settings, from its config node, and the first line of its class docstring, or ""."""
    settings = {name: value for name, value in node.items() if name != "_target_"}
    about = (inspect.getdoc(type(row_filter)) or "").partition("\n")[0]
    if about.startswith(f"{type(row_filter).__name__}("):  # the default docstring of a dataclass
        about = ""
    return ", ".join(f"{name}={_listed(value)}" for name, value in settings.items() if value is not None), about


def filter_table(effects: Sequence[FilterEffect], languages: Sequence[str]) -> Table:
    """Return the rows that a filter drops per split and language, and those it drops `alone` if they differ."""
    table = new_table("dropped")
    for effect in effects:
        table.add_column(effect.split, justify="right")
    for language in languages:
        table.add_row(language, *(_share(effect.dropped[language], effect.before[language]) for effect in effects))
    if any(effect.alone != effect.dropped for effect in effects):
        for language in languages:
            alone = (_share(effect.alone[language], effect.total[language]) for effect in effects)
            table.add_row(f"{language} alone", *alone, style="dim")
    return table


def lengths_table(
    described: Mapping[str, Mapping[str, Mapping[str, float]]], units: Mapping[str, str] | None = None
) -> Table:
    """Return percentiles of document and summary lengths, labelled with each language's unit if `units` are given.

    For lengths in tokens, the table also shows the limit, the share of rows cut and the share with an unknown token.
    """
    limited = any("limit" in numbers for texts in described.values() for numbers in texts.values())
    table = new_table("")
    for column in ("5%", "median", "mean", "95%", "longest", *(["limit", "cut", "unknown"] if limited else [])):
        table.add_column(column, justify="right")
    for language, texts in described.items():
        for text, numbers in texts.items():
            if not numbers["rows"]:
                continue
            cells = [f"{numbers[name]:,.0f}" for name in ("p5", "p50")]
            cells += [f"{numbers['mean']:,.1f}", *(f"{numbers[name]:,.0f}" for name in ("p95", "max"))]
            if limited:
                cells += [f"{numbers['limit']:,.0f}", f"{numbers['cut']:.1%}", f"{numbers['unknown']:.1%}"]
            table.add_row(f"{language} {text} {units[language] if units else ''}".rstrip(), *cells)
    return table


def special_lines(counts: Mapping[str, Mapping[str, Counter[str]]], split: str) -> Iterator[str]:
    """Yield a line per language and text of which some rows contain a special token of the model."""
    plural = {"document": "documents", "summary": "summaries"}
    for language, texts in counts.items():
        for text, tokens in texts.items():
            if tokens:
                rows = f"{tokens.total():,} {language} {plural[text] if tokens.total() > 1 else text} of {split}"
                shown = ", ".join(token for token, _ in tokens.most_common(3))
                yield f"special tokens in {rows}, such as {shown}: tokenized as text"


def repeats_table(before: Sequence[Repeats], after: Sequence[Repeats]) -> Table:
    """Return the number of repeated rows, before and after the filters."""
    table = new_table("rows with the same")
    for text in dict.fromkeys(repeats.text for repeats in before):
        table.add_column(text, justify="right")
        table.add_column("kept", justify="right", style="bold")
    places = sorted({(r.split, r.of): None for r in before}, key=lambda place: place[0] != place[1])
    for split, of in places:
        numbers = [
            f"{r.rows:,}" for pair in zip(before, after, strict=True) for r in pair if (r.split, r.of) == (split, of)
        ]
        table.add_row(f"within {split}" if split == of else f"{split}, also in {of}", *numbers)
    return table


def dropped_lines(effect: FilterEffect, units: Mapping[str, str]) -> Iterator[str]:
    """Yield a line per example of a dropped row: the lengths of its summary and document, and the summary."""
    if any(effect.examples.values()):
        yield f"  examples from {effect.split} (summary/document length):"
    for language, rows in effect.examples.items():
        for row in rows:
            lengths = f"{row['summary_words']}/{row['document_words']} {units[language]}"
            yield f"  {language} {lengths}: {one_line(row['summary'])}"


def repeats_lines(after: Sequence[Repeats]) -> Iterator[str]:
    """Yield one line per kind of repeat among the kept rows, with the ids of an example."""
    for repeats in after:
        if repeats.example is not None:
            place = f"within {repeats.split}" if repeats.split == repeats.of else f"in {repeats.split} and {repeats.of}"
            yield f"  same {repeats.text} {place}: {' = '.join(repeats.example)}"


def _share(rows: int, total: int) -> Text:
    return Text.assemble(f"{rows:,} ", (f"{rows / max(total, 1):6.1%}", "dim"))


def _groups(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _truncated(text: str, cells: int) -> str:
    """Return a text truncated to `cells` terminal cells."""
    text = one_line(text)
    return text if cell_len(text) <= cells else f"{chop_cells(text, max(cells - 1, 2))[0].rstrip()}…"


def _category(name: str | None) -> Text:
    return Text(_truncated(name, 24)) if name is not None else Text("(no category)", style="dim")


def _listed(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
