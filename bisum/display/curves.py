"""The figure of a training run: its losses, and each language's ROUGE-L beside lead-k's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.display.figures import COLORS, LIMIT_COLOR, new_figure, save
from bisum.interfaces.score import ROUGE_PROFILES, rouge_name, score_name, split_score_name
from bisum.printing import clean
from bisum.runs.entries import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 3.6  # inches
_LABEL_LETTERS = 24
_LEGEND = {"frameon": False, "fontsize": 8, "handlelength": 1.6, "columnspacing": 1.4}
_MAX_LANGUAGES = 8
_LARGEST = 1e12
"""Values from here on, in an edited file, would overflow the arithmetic of axes."""
Lines = Sequence[Mapping[str, Any]]


def plot_curves(
    path: Path,
    lines: Lines,
    *,
    profile: str = ROUGE_PROFILES[0],
    lead: str = "lead-k",
    along: str = "epoch",
    label: str = "epochs",
    chosen: float | None = None,
) -> list[Path]:
    """Plot the losses and the validation ROUGE-L of a run as a PNG file; return it, or [] if nothing was logged.

    Args:
        path: path of the file, without suffix.
        lines: the lines of `metrics.jsonl`.
        profile: the ROUGE profile.
        lead: the name of the baseline.
        along: the entry of a line that is its position, `epoch` or `step`.
        label: the label of that axis.
        chosen: the position of the checkpoint to mark.
    """
    losses = [("train/loss", "training", "#999999", None), ("eval/loss", "validation", COLORS[0], ".")]
    languages = _languages(lines, profile)
    scores = {language: score_name("eval", "rougeL", language=language, profile=profile) for language in languages}
    if not any(_points(lines, along, key)[0] for key in [*(key for key, *_ in losses), *scores.values()]):
        return []
    with new_figure(_HEIGHT) as figure:
        left, right = figure.subplots(1, 2, sharex=True)
        for key, name, color, marker in losses:
            _draw(left, _points(lines, along, key), label=name, color=color, marker=marker)
        for number, (language, key) in enumerate(scores.items()):
            color = COLORS[number % len(COLORS)]
            _draw_scores(right, lines, along, key, language, color)
            _draw_lead(right, lines, along, score_name("baseline", "rougeL", language=language, profile=profile), color)
        if any(line.get_linestyle() == "--" for line in right.lines):
            right.plot(
                [], [], "--", color="#666666", linewidth=1, label=f"{clean(lead)[:_LABEL_LETTERS]}, same colours"
            )
        left.locator_params(axis="x", integer=True)
        for axis, title in ((left, "Loss (nats per token)"), (right, "ROUGE-L on validation, with 95% intervals")):
            axis.set_title(title)
            axis.set_xlabel(label)
            if axis.lines:
                if chosen is not None:
                    mark = "this checkpoint" if axis is left else None
                    axis.axvline(chosen, color=LIMIT_COLOR, linewidth=1.5, linestyle=":", label=mark, zorder=0)
                axis.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=4, **_LEGEND)
            else:
                axis.text(0.5, 0.5, "none recorded", ha="center", transform=axis.transAxes, color="#666666")
        return save(figure, path, [".png"])


def _languages(lines: Lines, profile: str) -> list[str]:
    """Return the languages with a ROUGE-L in the lines, at most `_MAX_LANGUAGES`; "" (all rows) without any."""
    names = dict.fromkeys(name for line in lines for name in line if name.startswith("eval/"))
    wanted = rouge_name(profile, "rougeL")
    found = [language for score, language in map(split_score_name, names) if score == wanted and language]
    return found[:_MAX_LANGUAGES] or [""]


def _draw_scores(axis: Axes, lines: Lines, along: str, key: str, language: str, color: str) -> None:
    """Draw a language's ROUGE-L and the band of its intervals."""
    name = clean(language)[:_LABEL_LETTERS].lstrip("_") or "all"  # matplotlib hides labels that begin with _
    _draw(axis, _points(lines, along, key), label=name, color=color, marker=".")
    ranged = [line for line in lines if all(_fits(line.get(f"{key}{end}")) for end in ("_low", "_high"))]
    bounds = [_points(ranged, along, f"{key}{end}") for end in ("_low", "_high")]
    axis.fill_between(bounds[0][0], bounds[0][1], bounds[1][1], color=color, alpha=0.12, linewidth=0)


def _draw_lead(axis: Axes, lines: Lines, along: str, key: str, color: str) -> None:
    _, values = _points(lines, along, key)
    if values:
        axis.axhline(values[-1], color=color, linestyle="--", linewidth=1)


def _draw(axis: Axes, points: tuple[list[float], list[float]], **style: Any) -> None:
    if points[0]:
        axis.plot(*points, linewidth=1.2, **style)


def _points(lines: Lines, along: str, key: str) -> tuple[list[float], list[float]]:
    """Return the positions and values of a metric, where both are numbers that matplotlib can scale."""
    found = [(line[along], line[key]) for line in lines if _fits(line.get(along)) and _fits(line.get(key))]
    return [at for at, _ in found], [value for _, value in found]


def _fits(value: Any) -> bool:
    return is_number(value) and abs(value) < _LARGEST
