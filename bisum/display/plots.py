"""Corpus figures as PNG and SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bisum.display.figures import COLORS, LIMIT_COLOR, new_figure, save
from bisum.printing import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bisum.corpus.exploration import Integers


_BINS = 50
_PANELS_PER_ROW = 5
_LABEL_LETTERS = 24
_LIMIT_TOP = 0.86
"""Height of a limit's line and label, as a share of the axis; the note on rows beyond the axis is above it."""
_FEWEST_LENGTHS = 10
"""Minimum end of a length axis."""
_COMPARABLE = 4
"""Maximum ratio of the languages' axis ends for a shared scale."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """The lengths of one language's documents or summaries."""

    lengths: Integers
    """Shape (rows,)."""
    unit: str
    """Unit of the lengths, such as tokens."""
    before: Integers | None = None
    """The lengths before any filter, drawn as an outline; shape (rows before,)."""
    limit: int | None = None
    """Maximum length that the model reads."""
    cut: int = 0
    """Number of rows cut at `limit`."""


def plot_lengths(path: Path, title: str, histograms: Mapping[str, Mapping[str, Histogram]]) -> list[Path]:
    """Plot two panels for each language, documents and summaries, and return the files written.

    An axis ends at the longest row within twice the 95th percentile. A note reports the rows beyond. The languages
    share a scale unless their lengths differ greatly.

    Args:
        path: path of the files, without suffix.
        title: title of the figure.
        histograms: by language, then `document` and `summary`.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with new_figure(1.3 + 1.6 * len(histograms)) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
        axes = figure.subplots(len(histograms), 2, squeeze=False, sharey="col")
        for column, name in enumerate(("document", "summary")):
            panels = [of_language[name] for of_language in histograms.values()]
            for row, (language, panel) in enumerate(zip(histograms, panels, strict=True)):
                axis = axes[row, column]
                shared = _shared_end([other for other in panels if other.unit == panel.unit])
                _draw_histogram(axis, panel, shared or _axis_end(panel), COLORS[row % len(COLORS)])
                axis.set_title(_histogram_title(language, panel.lengths), fontsize=8)
                if row + 1 == len(panels) or panels[row + 1].unit != panel.unit:
                    scale = "" if shared else " (each language on its own scale)"
                    axis.set_xlabel(f"{panel.unit} of a {name}{scale}")
            axes[0, column].set_ylim(0, 1.3 * max(axes[0, column].get_ylim()[1], 0.001))  # room for two notes
        figure.supylabel("share of the language's rows", fontsize=9)
        if any(panel.before is not None for panels in histograms.values() for panel in panels.values()):
            keys = [
                Patch(color="gray", label="kept rows"),
                Line2D([], [], color="black", ls=":", label="before filters"),
            ]
            figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False)
        return save(figure, path)


def plot_categories(
    path: Path, title: str, counts: Mapping[str | None, Mapping[str, int]], totals: Mapping[str, int]
) -> list[Path]:
    """Plot each category's share and number of rows, with one panel per language, and return the files written.

    Args:
        path: path of the files, without suffix.
        title: title of the figure.
        counts: rows by category (None: without a name), then by language.
        totals: rows by language, including those of categories not in `counts`.
    """
    lines = math.ceil(len(totals) / _PANELS_PER_ROW)
    columns = math.ceil(len(totals) / lines)
    shares = {
        language: [100 * rows[language] / max(total, 1) for rows in counts.values()]
        for language, total in totals.items()
    }
    with new_figure(0.7 + lines * (0.7 + 0.2 * len(counts))) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
        axes = figure.subplots(lines, columns, squeeze=False, sharey=True, sharex=True)
        names = [_readable(name, rank) for rank, name in enumerate(counts, start=1)]
        for number, (axis, (language, total)) in enumerate(zip(axes.flat, totals.items(), strict=False)):
            bars = axis.barh(range(len(counts)), shares[language], color=COLORS[number % len(COLORS)], height=0.75)
            axis.bar_label(bars, [f"{rows[language]:,}" for rows in counts.values()], padding=2, fontsize=7)
            axis.set_title(f"{language}: {total:,} rows")
            axis.set_yticks(range(len(counts)), names)
            axis.grid(axis="y", visible=False)
            axis.xaxis.set_major_formatter("{x:g}%")
            axis.tick_params(labelbottom=number + columns >= len(totals))
        for axis in axes.flat[len(totals) :]:
            axis.set_visible(False)
        axes[0, 0].set_ylim(len(counts) - 0.4, -0.6)
        # The longest label, about half an inch, must fit next to the longest bar.
        axes[0, 0].set_xlim(0, max(map(max, shares.values())) * (1.05 + 0.1 * columns))
        figure.supxlabel("share of the language's rows; labels are row counts", fontsize=9)
        return save(figure, path)


def _draw_histogram(axis: Axes, panel: Histogram, longest: int, color: str) -> None:
    width = math.ceil((longest + 1) / _BINS)
    edges = np.arange(0, longest + 2 * width, width) - 0.5
    axis.stairs(
        _shares(panel.lengths, edges),
        edges,
        fill=True,
        color=color,
    )
    if panel.before is not None:
        axis.stairs(_shares(panel.before, edges), edges, color="black", linestyle=":")
    axis.set_xlim(edges[0], edges[-1])
    axis.locator_params(axis="x", integer=True)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%" if share <= 1 else "")
    _note_rows_beyond(axis, panel, edges[-1])
    if panel.limit is not None:
        _draw_limit(axis, panel, panel.limit, edges[-1])


def _note_rows_beyond(axis: Axes, panel: Histogram, end: float) -> None:
    """Note the number of rows beyond the axis and the longest one, above the limit's label."""
    beyond = int((panel.lengths > end).sum())
    before = 0 if panel.before is None else int((panel.before > end).sum())
    if not max(beyond, before):
        return
    unfiltered = f" ({before:,} before filters)" if before > beyond else ""
    longest = f", longest {panel.lengths.max():,}" if beyond else ""
    axis.annotate(
        f"{_rows(beyond)} beyond{unfiltered}{longest} →",
        (1, 0.98),
        xycoords="axes fraction",
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color="#444444",
    )


def _draw_limit(axis: Axes, panel: Histogram, limit: int, end: float) -> None:
    """Mark the maximum length that the model reads, or point to it beyond the end of the axis."""
    label = f"limit {limit:,}: {panel.cut / max(len(panel.lengths), 1):.1%} cut"
    shown = limit < end
    left = limit < 0.55 * end
    if shown:
        axis.axvline(limit + 0.5, ymax=_LIMIT_TOP, color=LIMIT_COLOR, linestyle="--")
        axis.axvspan(limit + 0.5, end, ymax=_LIMIT_TOP, color=LIMIT_COLOR, alpha=0.08, linewidth=0)
    axis.annotate(
        label if shown else f"{label} →",
        (min(limit + 0.5, end), _LIMIT_TOP),
        xycoords=("data", "axes fraction"),
        xytext=(4 if left else -4, 0),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        fontsize=8,
        color=LIMIT_COLOR,
    )


def _histogram_title(language: str, lengths: Integers) -> str:
    if not lengths.size:
        return f"{language}: no rows"
    median, high = np.percentile(lengths, (50, 95))
    return f"{language}: {_rows(lengths.size)}, median {median:,.0f}, 95% ≤ {high:,.0f}, longest {lengths.max():,}"


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _shared_end(panels: Sequence[Histogram]) -> int | None:
    """Return a shared axis end for all panels with rows, or None if it would squeeze some of them."""
    ends = [_axis_end(panel) for panel in panels if len(_all_lengths(panel))] or [_FEWEST_LENGTHS]
    return max(ends) if max(ends) <= _COMPARABLE * max(min(ends), _FEWEST_LENGTHS) else None


def _axis_end(panel: Histogram) -> int:
    """Return the longest row within twice the 95th percentile, or a limit not far beyond it."""
    lengths = _all_lengths(panel)
    if not lengths.size:
        return _FEWEST_LENGTHS
    # Without interpolation, which would include the one outlier among a few rows.
    most = max(2 * int(np.percentile(lengths, 95, method="lower")), _FEWEST_LENGTHS)
    end = int(lengths[lengths <= most].max())
    return max(end, math.ceil(1.05 * panel.limit)) if panel.limit and panel.limit < 2 * end else end


def _all_lengths(panel: Histogram) -> Integers:
    return panel.lengths if panel.before is None else panel.before


def _shares(lengths: Integers, edges: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.histogram(lengths, edges)[0] / max(lengths.size, 1)


def _readable(name: str | None, rank: int) -> str:
    """Return a label of limited width; names that no available font can draw are replaced by a number."""
    import matplotlib
    from matplotlib import font_manager

    if name is None:
        return "(no category)"
    name = clean(name)
    if len(name) > _LABEL_LETTERS:
        name = name[: _LABEL_LETTERS - 1] + "…"
    fonts = [font_manager.get_font(font_manager.findfont(font)) for font in matplotlib.rcParams["font.family"]]
    if all(any(ord(letter) in font.get_charmap() for font in fonts) for letter in name):
        return name
    return f"category {rank} (see table)"
