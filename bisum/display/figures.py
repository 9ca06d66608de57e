"""Style of bisum's figures, and their files, which do not depend on the user's matplotlib settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bisum.printing import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color; vermillion is reserved for limits.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
LIMIT_COLOR = "#D55E00"
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "svg.hashsalt": "bisum",
    "text.parse_math": False,
}
# Used, if installed, for scripts that matplotlib's default font lacks.
_FALLBACK_FONTS = (
    "Noto Sans CJK JP", "Noto Sans JP", "Noto Sans SC", "Hiragino Sans", "Yu Gothic", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Unifont", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Hebrew", "Noto Sans Thai",
)  # fmt: skip
_UNDATED = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
"""Metadata that make a file depend on the figure alone."""
WIDTH = 9.0
"""Width of a figure in inches."""


@contextmanager
def new_figure(height: float) -> Iterator[Figure]:
    """Create a figure in bisum's style, with its height in inches, without changing matplotlib's global settings."""
    os.environ["MPLBACKEND"] = "agg"  # matplotlib fails to import with an unknown one
    import matplotlib.style
    from matplotlib import font_manager
    from matplotlib.figure import Figure

    fonts = ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in font_manager.get_font_names())]
    with matplotlib.style.context(["default", _STYLE | {"font.family": fonts}]):
        yield Figure(figsize=(WIDTH, height))


def save(figure: Figure, path: Path, suffixes: Sequence[str] = (".png", ".svg")) -> list[Path]:
    """Write a figure in each format, with control characters removed from its texts; return the files."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # names can contain characters that XML forbids
        text.set_text(clean(text.get_text()).encode(errors="backslashreplace").decode())
    path.parent.mkdir(exist_ok=True)
    files = [path.with_suffix(suffix) for suffix in suffixes]
    for file in files:
        figure.savefig(file, metadata=_UNDATED[file.suffix])
    return files
