"""The benchmark runs, and its columns do the same work."""

import pytest
from benchmarks.bench import floor, ours, reading, recipe, shapes, start_up
from benchmarks.bench.__main__ import COLUMNS, Row, main, starts_trimmed, table_line
from benchmarks.bench.work import Took, Work


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shapes.write("tiny", str(folder / "whole"), str(folder / "trimmed"))
    return folder


@pytest.mark.parametrize("task", ["train", "evaluate", "summarize"])
def test_every_column_does_the_work(models, tmp_path, task):
    measured = {}
    for name, column in zip(COLUMNS, (ours, recipe, floor), strict=True):
        row = Row("a title", task, "tiny", 8, trims=task == "train")
        model = models / ("trimmed" if starts_trimmed(row, name) else "whole")
        (folder := tmp_path / name).mkdir()
        took = column.run(Work(task, str(model), folder, row.rows, trims=row.trims))
        assert took.rows == 8
        assert took.seconds > 0
        assert (took.checkpoint is not None) == (task == "train")
        took.peak = 1  # the process of a column measures it
        measured[name] = [took]
    if task == "summarize":
        assert measured["bisum"][0].texts == measured["floor"][0].texts
    if task == "train":
        assert measured["bisum"][0].checkpoint == pytest.approx(measured["floor"][0].checkpoint, rel=0.05)
        assert measured["bisum"][0].checkpoint < 0.6 * measured["recipe"][0].checkpoint
    assert table_line(row, measured).startswith("| a title |")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--rounds", "0"], "--rounds: expected 1 or more, not 0"),
        (["--only", "nothing"], "--only: no row's title contains 'nothing'"),
        ([__file__], "is a file, not a directory"),
    ],
)
def test_bad_arguments_are_refused(arguments, problem, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert problem in capsys.readouterr().err


def test_ratios_are_medians_over_rounds():
    ours, recipe = ([Took(seconds, 10, peak=1) for seconds in of] for of in ((1, 1, 10), (2, 4, 30)))
    line = table_line(Row("title", "evaluate", "tiny", 10), {"bisum": ours, "recipe": recipe, "floor": ours})
    assert line.split(" | ")[4:6] == ["3.00", "1.00"]  # of 2, 4 and 3; and of equal times


def test_a_start_is_measured_beside_its_imports():
    start = next(start for start in start_up.STARTS if start.code == 2)
    pairs = start_up.measure(start, 1)
    (line,) = start_up.table([(start, pairs)])[2:]
    assert line.startswith("| report an unknown option | ")
    assert 1 < pairs[0][0] / pairs[0][1] < 10


def test_the_ratio_of_a_start_is_the_median_over_rounds():
    line = start_up.table([(start_up.STARTS[0], [(2, 1), (9, 3), (8, 2)])])[-1]
    assert line == "| show the configuration | 8.00 | 2.00 | 3.00 |"


def test_reading_is_measured_from_files_and_from_the_cache(tmp_path):
    found = reading.measure([reading.QUICK_ROWS[0], 30_000], 1)
    files, _, large, cached = found["readings"]
    assert 10 * 2**20 < files["peak"] < large["peak"] < 300 * 2**20
    assert cached["peak"] < large["peak"]
    assert cached["seconds"] < large["seconds"] / 3
    assert reading.table(found)[2].startswith("| 400 | files | ")
    ((ours, bare),) = found["tokenization"]
    assert 0.3 < ours / bare < 20
    reading.plot(tmp_path / "reading.png", found)
    assert (tmp_path / "reading.png").stat().st_size > 5000
