"""The figure of a run: the logged values, one colour per language, and nothing that fails on sparse or odd lines."""

import warnings

import pytest
from matplotlib.image import imread

from bisum.display import curves
from bisum.display.curves import plot_curves
from bisum.display.figures import COLORS

LINES = [
    {"step": 0, "epoch": 0.0, "baseline/rougeL": 20.0, "baseline/en/rougeL": 21.0, "baseline/ja/rougeL": 19.0},
    {"step": 1, "epoch": 0.5, "train/loss": 4.0},
    {"step": 2, "epoch": 1.0, "train/loss": 3.0, "eval/loss": None},
    {"step": 2, "epoch": 1.0, "eval/loss": 3.5, "eval/rougeL": 25.0, "eval/en/rougeL": 30.0, "eval/en/rougeL_low": 28.0,
     "eval/en/rougeL_high": 33.0, "eval/ja/rougeL": 20.0, "eval/unicode/en/rougeL": 31.0},
    {"step": 4, "epoch": 2.0, "eval/loss": 3.25, "eval/rougeL": 26.0, "eval/en/rougeL": 31.0, "eval/ja/rougeL": 21.0},
]  # fmt: skip


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw lines; return the curves of both panels by label, as lists of points, and the panels."""
    figures, save = [], curves.save
    monkeypatch.setattr(curves, "save", lambda figure, *rest: figures.append(figure) or save(figure, *rest))

    def drawn(lines, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (file,) = plot_curves(tmp_path / "curves", lines, **options)
        assert imread(file).shape[1] == 1350
        panels = figures[-1].axes
        found = {line.get_label(): [*zip(*line.get_data(), strict=True)] for axis in panels for line in axis.lines}
        return found, panels

    return drawn


def test_curves_are_the_logged_values(draw):
    found, (_, right) = draw(LINES, lead="lead-3", chosen=1.0)
    assert found["training"] == [(0.5, 4.0), (1.0, 3.0)]
    assert found["validation"] == [(1.0, 3.5), (2.0, 3.25)]
    assert found["en"] == [(1.0, 30.0), (2.0, 31.0)]
    assert found["ja"] == [(1.0, 20.0), (2.0, 21.0)]
    assert {at for at, _ in found["this checkpoint"]} == {1.0}
    dashed = [line for line in right.lines if line.get_linestyle() == "--"]
    leads = {line.get_color(): line.get_ydata()[0] for line in dashed if len(line.get_ydata())}
    assert (leads[COLORS[0]], leads[COLORS[1]]) == (21.0, 19.0)
    band = right.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (28.0, 33.0)


def test_profile_and_steps(draw):
    found, _ = draw(LINES, profile="unicode", along="step", label="optimizer steps")
    assert found["en"] == [(2, 31.0)]
    assert "ja" not in found
    assert found["validation"] == [(2, 3.5), (4, 3.25)]


def test_lines_without_languages_show_all_rows(draw):
    found, _ = draw([{"epoch": 1.0, "eval/rougeL": 5.0}])
    assert found["all"] == [(1.0, 5.0)]


def test_values_that_cannot_be_drawn_are_left_out(draw):
    odd = [float("nan"), 1e308, None, True, 10**400]
    found, _ = draw([*LINES, *({"epoch": 3.0, "train/loss": value, "eval/en/rougeL": value} for value in odd)])
    assert len(found["training"]) == len(found["en"]) == 2


def test_long_names_leave_room_for_the_curves(draw):
    _, panels = draw([{**LINES[0], f"eval/{'x' * 999}/rougeL": 1.0}, *LINES[1:]], lead="lead" * 99)
    assert all(axis.get_position().height > 0.5 for axis in panels)


def test_nothing_is_drawn_without_values(tmp_path):
    assert plot_curves(tmp_path / "curves", [{"step": 0, "epoch": 0.0, "baseline/rougeL": 20.0}]) == []
    assert not (tmp_path / "curves.png").exists()
