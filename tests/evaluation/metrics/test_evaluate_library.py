from pathlib import Path

import pytest

from bisum.errors import UserError
from bisum.evaluation.metric_values import measured
from bisum.evaluation.metrics.evaluate_library import EvaluateMetric
from bisum.evaluation.row_scores import aggregate, difference

SCRIPT = """
import datasets
import evaluate


class Words(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="", citation="", features=datasets.Features({"predictions": text, "references": text})
        )

    def _compute(self, predictions, references):
        counts = [len(text.split()) for text in predictions]
        results = {"longest": max(counts), "counts": counts, "few": [1.5] * 4, "unit": "words"}
        return {"MAIN": sum(counts) / len(counts), **results}
"""


@pytest.fixture
def write_script(tmp_path, monkeypatch):
    """Write a metric script whose main result has the given key."""
    monkeypatch.delenv("BISUM_ALLOW_TARGETS", raising=False)

    def write(path: str, main: str) -> Path:
        script = tmp_path / path
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(SCRIPT.replace("MAIN", main))
        return script

    return write


@pytest.fixture
def compute(rows_of):
    def compute(name, **settings):
        metric = EvaluateMetric(name=str(name), **settings)
        return metric.compute(rows_of(["two words", "and three words"], ["a", "b"], languages=["en", "es"]))

    return compute


@pytest.mark.parametrize("main", ["score", "mean_words"])
def test_numbers_of_a_script_get_its_name(write_script, monkeypatch, main, compute):
    script = write_script(f"{main}/mean_words.py", main)
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", str(script))
    assert compute(script) == {"mean_words": 2.5, "mean_words_longest": 3, "mean_words_counts": [2, 3]}
    assert compute(script)["mean_words"] == 2.5  # again, in the next epoch


@pytest.mark.parametrize("allowed", ["lengths", "mypackage, lengths/words/", "./lengths/../lengths/words/words.py"])
def test_script_below_an_allowed_path_loads(write_script, monkeypatch, tmp_path, allowed, compute):
    write_script("lengths/words/words.py", "score")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", allowed)
    assert compute("lengths/words")["words"] == 2.5


@pytest.mark.parametrize("allowed", ["", " , ", "words", "other", "lengths/words/words"])
def test_disallowed_script_never_runs(write_script, monkeypatch, tmp_path, allowed, compute):
    script = write_script("lengths/words.py", "score")
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", allowed)
    with pytest.raises(UserError, match=r"allow_targets=\[lengths/words.py\].*BISUM_ALLOW_TARGETS=lengths/words.py"):
        compute("lengths/words.py")
    assert not (tmp_path / "ran").exists()


def test_links_and_dots_cannot_leave_an_allowed_directory(write_script, monkeypatch, tmp_path, compute):
    outside = write_script("outside/words.py", "score")
    link = tmp_path / "inside" / "words.py"
    link.parent.mkdir()
    link.symlink_to(outside)
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", str(tmp_path / "inside"))
    for name in (link, tmp_path / "inside" / ".." / "outside" / "words.py"):
        with pytest.raises(UserError, match="if you trust it, add"):
            compute(name)


def test_allowed_directory_does_not_allow_hub_names(monkeypatch, tmp_path, compute):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", f".,{tmp_path}")
    with pytest.raises(UserError, match="'bleu' runs third-party code"):
        compute("bleu")


def test_missing_metric_is_reported_in_one_line(monkeypatch, compute):
    # With two slashes, evaluate does not query the hub: this fails in the same way with and without a network.
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", "no/such/metric")
    with pytest.raises(UserError) as caught:
        compute("no/such/metric")
    message = str(caught.value)
    assert "\n" not in message
    assert "no/such/metric" in message
    assert "needs the Hugging Face hub" in message
    assert "Couldn't find a module script" in message
    assert "works offline" in message


def test_broken_script_is_reported_in_one_line_with_its_name(write_script, monkeypatch, compute):
    script = write_script("words.py", "score")
    script.write_text("raise RuntimeError('first line\\nsecond line')")
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", str(script))
    with pytest.raises(UserError, match=r"words.py' cannot be loaded \(RuntimeError: first line second line\)$"):
        compute(script)


def scored(metric, rows):
    return measured({"evaluate": metric}, rows)[0]


def test_single_number_has_a_value_per_language_and_no_interval(write_script, monkeypatch, rows_of):
    script = write_script("words.py", "score")
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", str(script))
    metric = EvaluateMetric(name=str(script), higher_is_better=False, options={})
    ours = scored(metric, rows_of(["a b", "a b c", "a"], languages=["en", "en", "es"]))
    metrics = aggregate(ours, "test", 100, 0, ["en", "es"])
    assert {name: value for name, value in metrics.items() if "longest" not in name and "counts" not in name} == {
        "test/words": 2,
        "test/en/words": 2.5,
        "test/es/words": 1,
    }
    assert metrics["test/words_counts"] == 2
    assert metrics["test/words_counts_low"] < 2 < metrics["test/words_counts_high"]
    theirs = scored(metric, rows_of(["a", "a", "a"], languages=["en", "en", "es"]))
    apart = difference(ours, theirs, 100, 0, ["en", "es"])
    assert [apart[f"difference/{part}words"] for part in ("", "en/", "es/")] == [1, 1.5, 0]
    assert "difference/words_low" not in apart
    assert [metric.scores[name].higher_is_better for name in ("words", "words_longest")] == [False, None]


def test_options_reach_the_metric(write_script, monkeypatch, compute):
    script = write_script("words.py", "score")
    script.write_text(
        script.read_text()
        .replace("references):", "references, least=0):")
        .replace("max(counts)", "max(least, *counts)")
    )
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", str(script))
    assert compute(script, options={"least": 7})["words_longest"] == 7
