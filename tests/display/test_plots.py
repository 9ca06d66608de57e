"""Figures: the same numbers give the same files, everything is inside the picture, and the words in it are right."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from bisum.display.plots import Histogram, plot_categories, plot_lengths

COUNTS = {
    "book": {"en": 12345, "es": 10, "de": 7, "ja": 3, "zh": 0},
    None: {"en": 500, "es": 5, "de": 0, "ja": 1, "zh": 9},
    "a name of a category that is much too long to stand beside a bar": {"en": 1, "es": 0, "de": 0, "ja": 0, "zh": 1},
    "$5 and $10": {"en": 2, "es": 1, "de": 1, "ja": 1, "zh": 1},
    "本・雑誌": {"en": 3, "es": 1, "de": 1, "ja": 1, "zh": 1},
}
TOTALS = {"en": 20000, "es": 20, "de": 10, "ja": 8, "zh": 12}


def histograms(languages, **options):
    rng = np.random.default_rng(0)
    return {
        language: {
            "document": Histogram(lengths=rng.integers(20, 800, 200), unit="tokens", **options),
            "summary": Histogram(lengths=rng.integers(1, 9, 200), unit="tokens", **options),
        }
        for language in languages
    }


@pytest.fixture(autouse=True)
def _nothing_is_warned_of():
    """A glyph that no font has is a warning of matplotlib's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def words(svg):
    """What is written in a figure: matplotlib notes each text in a comment beside its outlines."""
    return [
        line.strip()[5:-4] for line in svg.read_text(encoding="utf-8").splitlines() if line.strip().startswith("<!--")
    ]


def test_categories_show_rows_of_every_language_and_names_of_bounded_length(tmp_path):
    png, svg = plot_categories(tmp_path / "plots/categories", "Rows per category", COUNTS, TOTALS)
    shown = words(svg)
    assert {"Rows per category", "en: 20,000 rows", "zh: 12 rows", "12,345", "book", "(no category)"} <= set(shown)
    assert "a name of a category th…" in shown
    assert max(map(len, shown)) == len("share of the language's rows; the numbers are rows")
    assert png.name == "categories.png"


def test_the_limit_is_drawn_with_the_share_of_rows_cut(tmp_path):
    _, svg = plot_lengths(tmp_path / "tokens", "Lengths", histograms(["en", "ja"], limit=512, cut=50))
    assert words(svg).count("limit 512: 25.0% cut") == 2
    assert words(svg).count("limit 512: 25.0% cut →") == 2  # far beyond every summary: it would squeeze them
    assert {"tokens of a document", "tokens of a summary"} <= set(words(svg))


def test_a_panels_title_tells_its_rows(tmp_path):
    lengths = np.arange(1, 2002)
    panels = {"en": dict.fromkeys(("document", "summary"), Histogram(lengths=lengths, unit="words", before=lengths))}
    _, svg = plot_lengths(tmp_path / "words", "Lengths", panels)
    assert "en: 2,001 rows, median 1,001, 95% ≤ 1,901, longest 2,001" in words(svg)
    assert {"kept rows", "before filters"} <= set(words(svg))


def test_a_language_without_rows_has_a_panel_that_says_so(tmp_path):
    empty = Histogram(lengths=np.array([], dtype=np.int64), unit="tokens", limit=512)
    panels = histograms(["en"]) | {"es": {"document": empty, "summary": empty}}
    _, svg = plot_lengths(tmp_path / "tokens", "Lengths", panels)
    assert "es: no rows" in words(svg)


def test_nothing_is_cut_off_at_the_edges(tmp_path):
    languages = ["en", "es", "de", "ja", "zh", "pt_BR"]
    drawn = [
        plot_categories(tmp_path / "categories", "Rows", COUNTS, TOTALS),
        plot_categories(
            tmp_path / "many", "Rows", {"book": dict.fromkeys(languages, 9999999)}, dict.fromkeys(languages, 9999999)
        ),
        plot_lengths(tmp_path / "tokens", "Lengths", histograms(["en", "ja"], limit=780, cut=3)),
    ]
    for png, _ in drawn:
        picture = imread(png)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 1).all(), png.name
        assert picture.shape[1] == 1350


def test_the_same_numbers_give_the_same_files_whatever_matplotlib_is_set_to(tmp_path):
    before = dict(matplotlib.rcParams)
    first = plot_categories(tmp_path / "a/categories", "Rows", COUNTS, TOTALS)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "axes.facecolor": "black"}):
        second = plot_categories(tmp_path / "b/categories", "Rows", COUNTS, TOTALS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
