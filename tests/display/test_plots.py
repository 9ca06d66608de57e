"""Figures: reproducible files, no clipped content and correct labels."""

import re
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from bisum.display import plots
from bisum.display.plots import Histogram, plot_categories, plot_lengths

COUNTS = {
    "book": {"en": 12345, "es": 10, "de": 7, "ja": 3, "zh": 0},
    None: {"en": 500, "es": 5, "de": 0, "ja": 1, "zh": 9},
    "a name of a category that is much too long to fit next to a bar": {"en": 1, "es": 0, "de": 0, "ja": 0, "zh": 1},
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
def _warnings_are_errors():
    """Matplotlib warns of glyphs that no font has."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def words(svg):
    """The texts of a figure; matplotlib writes each one as a comment before its outlines."""
    return [
        line.strip()[5:-4] for line in svg.read_text(encoding="utf-8").splitlines() if line.strip().startswith("<!--")
    ]


def test_categories_show_rows_of_every_language_and_truncated_names(tmp_path):
    png, svg = plot_categories(tmp_path / "plots/categories", "Rows per category", COUNTS, TOTALS)
    shown = words(svg)
    assert {"Rows per category", "en: 20,000 rows", "zh: 12 rows", "12,345", "book", "(no category)"} <= set(shown)
    assert "a name of a category th…" in shown
    assert max(map(len, shown)) == len("share of the language's rows; labels are row counts")
    assert png.name == "categories.png"


def test_untrusted_names_are_drawn_as_text(tmp_path):
    """Matplotlib parses $ as math, and XML forbids control characters."""
    title = "Tokens as a\x1b[2J\x9b\u202e\ufffe\udc9b$\\frac{$ reads them"
    names = ["\x1b[2J\x07evil\u202e", r"$\frac{$", "<b>&amp;--></b>"]
    counts = {name: {"en": 3} for name in names}
    files = plot_categories(tmp_path / "categories", title, counts, {"en": 9})
    files += plot_lengths(tmp_path / "tokens", title, histograms(["en"]))
    for svg in (file for file in files if file.suffix == ".svg"):
        ElementTree.parse(svg)
        assert r"Tokens as a[2J\udc9b$\frac{$ reads them" in words(svg)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", svg.read_text("utf-8"))
    assert {"[2Jevil", r"$\frac{$"} <= set(words(tmp_path / "categories.svg"))


def test_limit_is_drawn_with_the_share_of_cut_rows(tmp_path):
    _, svg = plot_lengths(tmp_path / "tokens", "Lengths", histograms(["en", "ja"], limit=512, cut=50))
    assert words(svg).count("limit 512: 25.0% cut") == 2
    assert words(svg).count("limit 512: 25.0% cut →") == 2  # far beyond every summary, which it would squeeze
    assert {"tokens of a document", "tokens of a summary"} <= set(words(svg))


def test_panel_title_describes_its_rows(tmp_path):
    lengths = np.arange(1, 2002)
    panels = {"en": dict.fromkeys(("document", "summary"), Histogram(lengths=lengths, unit="words", before=lengths))}
    _, svg = plot_lengths(tmp_path / "words", "Lengths", panels)
    assert "en: 2,001 rows, median 1,001, 95% ≤ 1,901, longest 2,001" in words(svg)
    assert {"kept rows", "before filters"} <= set(words(svg))


def test_language_without_rows_has_a_labelled_panel(tmp_path):
    empty = Histogram(lengths=np.array([], dtype=np.int64), unit="tokens", limit=512)
    panels = histograms(["en"]) | {"es": {"document": empty, "summary": empty}}
    _, svg = plot_lengths(tmp_path / "tokens", "Lengths", panels)
    assert "es: no rows" in words(svg)


RNG = np.random.default_rng(0)
BODY = RNG.normal(60, 18, 2000).clip(3).astype(int)
HEAVY = np.concatenate([BODY, RNG.integers(3000, 9000, 20), [50_000]])
TITLES = np.concatenate([RNG.poisson(6, 2000) + 1, RNG.integers(200, 700, 20), [4000]])
LENGTHS = {
    "a few far out": HEAVY,
    "three in a hundred far out": np.concatenate([BODY, RNG.integers(3000, 9000, 60)]),
    "one of ten far out": np.array([*range(50, 59), 50_000]),
    "skewed": RNG.lognormal(5, 1.3, 5000).astype(int) + 1,
    "even": RNG.integers(20, 800, 300),
    "two humps": np.concatenate([BODY, RNG.integers(700, 1000, 2000)]),
    "equal": np.full(500, 37),
    "titles": TITLES,
    "one row": np.array([37]),
    "zero": np.array([0, 0]),
}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw the same histogram for documents and summaries, by language; return the document axes and all texts."""
    figures = []
    save = plots.save
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure) or save(figure, path))

    def drawn(**panels):
        _, svg = plot_lengths(tmp_path / "lengths", "Lengths", {name: dict.fromkeys(("document", "summary"), panel)
                              for name, panel in panels.items()})  # fmt: skip
        assert words(svg)
        return figures[-1].axes[::2], words(svg)

    return drawn


@pytest.mark.parametrize("name", LENGTHS)
def test_axis_shows_nearly_all_rows_and_reports_the_rest(name, draw):
    lengths = LENGTHS[name]
    (axis,), shown = draw(en=Histogram(lengths=lengths, unit="words"))
    end = axis.get_xlim()[1]
    beyond = lengths[lengths > end]
    assert len(beyond) <= max(0.05 * len(lengths), 1)
    heights = axis.patches[0].get_data().values
    assert heights.sum() == pytest.approx(1 - len(beyond) / len(lengths))
    if np.ptp(lengths) > 20:
        assert (heights > 0).sum() > 4  # not all in the first bins
    notes = [word for word in shown if "beyond" in word]
    rows = "1 row" if len(beyond) == 1 else f"{len(beyond):,} rows"
    assert notes == ([f"{rows} beyond, longest {lengths.max():,} →"] * 2 if len(beyond) else [])


def test_length_ticks_are_integers(draw):
    for longest in (1, 7, 12, 16, 19, 23, 31, 120):
        (axis,), _ = draw(en=Histogram(lengths=np.arange(longest + 1), unit="words"))
        assert all(tick == round(tick) for tick in axis.get_xticks()), longest


def test_few_outliers_do_not_squeeze_the_axis(draw):
    (axis,), shown = draw(en=Histogram(lengths=HEAVY, unit="words"))
    assert BODY.max() <= axis.get_xlim()[1] < 2 * BODY.max()
    assert "21 rows beyond, longest 50,000 →" in shown
    assert (axis.patches[0].get_data().values > 0).sum() > 25


@pytest.mark.parametrize(("limit", "shown"), [(20, True), (100, True), (150, True), (512, False), (4096, False)])
@pytest.mark.parametrize("name", ["a few far out", "skewed", "equal"])
def test_limit_and_note_do_not_overlap_each_other_or_the_bars(limit, shown, name, draw):
    lengths = LENGTHS[name]
    panel = Histogram(lengths=lengths, unit="tokens", limit=limit, cut=int((lengths > limit).sum()))
    (axis, *_), _ = draw(**dict.fromkeys(["en", "es", "de"], panel))
    axis.figure.draw_without_rendering()
    texts = [text.get_window_extent() for text in axis.texts]
    assert len(texts) == (1 if name == "equal" else 2)
    bars = axis.transData.transform((0, axis.patches[0].get_data().values.max()))[1]
    for box in texts:
        assert box.y0 > bars
        assert axis.bbox.x0 <= box.x0 < box.x1 <= axis.bbox.x1
        assert sum(box.overlaps(other) for other in texts) == 1  # itself
        for line in axis.lines:
            assert not box.overlaps(line.get_window_extent())
    if name == "a few far out":
        assert len(axis.lines) == shown
        assert axis.texts[-1].get_text().endswith("cut" if shown else "→")


def test_languages_of_very_different_lengths_have_separate_scales(draw):
    texts = {"en": BODY, "es": BODY + 40, "de": 20 * BODY}
    apart, shown = draw(**{name: Histogram(lengths=lengths, unit="words") for name, lengths in texts.items()})
    assert [axis.get_xlim()[1] < 2 * lengths.max() for axis, lengths in zip(apart, texts.values(), strict=True)] == [
        True
    ] * 3
    assert "words of a document (each language on its own scale)" in shown
    alike, shown = draw(**{name: Histogram(lengths=texts[name], unit="words") for name in ("en", "es")})
    assert len({axis.get_xlim() for axis in alike}) == 1
    assert "words of a document" in shown


def test_filtered_rows_beyond_the_axis_are_noted(draw):
    panel = Histogram(lengths=BODY, unit="words", before=HEAVY)
    _, shown = draw(en=panel)
    assert "0 rows beyond (21 before filters) →" in shown
    (axis,), _ = draw(en=Histogram(lengths=np.array([], dtype=np.int64), unit="words", before=HEAVY))
    assert axis.get_xlim()[1] < 200


def test_edges_are_blank(tmp_path):
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


def test_files_are_reproducible_under_any_matplotlib_settings(tmp_path):
    before = dict(matplotlib.rcParams)
    first = plot_categories(tmp_path / "a/categories", "Rows", COUNTS, TOTALS)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "axes.facecolor": "black"}):
        second = plot_categories(tmp_path / "b/categories", "Rows", COUNTS, TOTALS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
