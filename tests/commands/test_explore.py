"""`bisum explore` from the command line, on the embedded sample."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bisum
from bisum.corpus.sample import Sample

FEW = ("tracker=none", "hydra.run.dir=run", "corpus.max_eval_rows=20")


@pytest.fixture
def rows():
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    return sample.load(["en", "es"])["train"].to_pylist()


def test_exploration_is_shown_and_recorded(call_bisum, tmp_path, rows):
    done = call_bisum("explore", *FEW, "corpus.max_train_rows=null", "explore.samples=1", "explore.categories=5")
    assert done.code == 0, done.err
    run = tmp_path / "run"
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["job"]) == ("finished", "explore")
    names = [f"{name}.{suffix}" for name in ("categories", "tokens", "words") for suffix in ("png", "svg")]
    assert sorted(path.name for path in (run / "plots").iterdir()) == names

    numbers = json.loads((run / "exploration.json").read_text())
    kept = [row for row in rows if len(row["summary"].split()) >= 3]
    english = [row for row in kept if row["language"] == "en"]
    words = [len(row["document"].split()) for row in english]
    described = numbers["words"]["train"]["en"]["document"]
    assert described["rows"] == len(english)
    assert described["p95"] == np.percentile(words, 95)
    libs = sum(row["category"] == "libs" and row["language"] == "es" for row in rows)
    assert numbers["categories"][0] == {"category": "libs", "rows": {"en": libs_of(rows, "en"), "es": libs}}
    (metrics,) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert metrics["explore/en/document_words_p95"] == described["p95"]
    assert metrics["explore/en/train_long_titles_dropped"] == sum(row["language"] == "en" for row in rows) - len(
        english
    )
    assert metrics["explore/es/document_tokens_cut"] == numbers["tokens"]["train"]["es"]["document"]["cut"]

    vocabulary = numbers["vocabulary"]
    assert vocabulary["kept"] < vocabulary["of"] == 8000
    assert vocabulary["parameters"] == 256 * (8000 - vocabulary["kept"])  # the starter's width
    shown, _, files = done.out.partition("\nrun directory  run\n")
    assert f"model.trim_vocabulary=true would keep {vocabulary['kept']:,} of 8,000 pieces" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "filter long_titles  min_words=3" in shown
    assert f"{len({row['category'] for row in rows}) - 5} more" in shown
    assert "run/exploration.json" in files
    log = (run / "train.log").read_text()
    assert "filter long_titles  min_words=3" in log


def test_user_filter_need_not_be_a_dataclass(run_bisum, write, tmp_path):
    code = "class Ends:\n    def __init__(self, letter: str):\n        self.letter = letter\n\n"
    code += "    def keep(self, rows, held_out):\n        import pyarrow.compute as pc\n\n"
    code += "        return pc.ends_with(rows['summary'], self.letter)\n"
    write(tmp_path / "mine_ends.py", code)
    write(tmp_path / "conf/filter/ends.yaml", "# @package filter.ends\n_target_: mine_ends.Ends\nletter: s\n")
    done = run_bisum(
        "explore", "--config-dir", "conf", "allow_targets=[mine_ends]", "filter=[ends]", *FEW, cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert "filter ends  letter=s" in done.out


def libs_of(rows, language):
    return sum(row["category"] == "libs" and row["language"] == language for row in rows)


def test_tokenizer_only_on_the_hub_is_reported_and_the_rest_is_explored(call_bisum, tmp_path):
    done = call_bisum("explore", *FEW, "model=mt5_small", "corpus.max_train_rows=20", "filter=[]")
    assert done.code == 0, done.err
    assert "> token lengths are skipped: model.checkpoint: 'google/mt5-small' is neither a directory" in done.out
    assert "no filters: all rows are kept" in done.out
    assert not (tmp_path / "run/plots/tokens.png").exists()
    assert "tokens" not in json.loads((tmp_path / "run/exploration.json").read_text())


def test_missing_model_directory_is_refused(call_bisum, tmp_path):
    done = call_bisum("explore", *FEW, "model.checkpoint=./nowhere", "corpus.max_train_rows=20")
    assert (done.code, done.err) == (2, "bisum: model.checkpoint: no such directory: './nowhere'\n")
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "failed"


def test_harmful_repeats_come_with_advice(call_bisum, tmp_path, rows, write):
    names = {"id": "review_id", "document": "review_body", "summary": "review_title", "category": "product_category"}
    for split in ("train", "dev", "test"):  # the same rows in each
        lines = [{names.get(key, key): value for key, value in row.items()} for row in rows if row["language"] == "es"]
        write(
            tmp_path / f"json/{split}/dataset_es_{split}.json", "".join(json.dumps(line) + "\n" for line in lines[:30])
        )
    arguments = ("explore", "tracker=none", "corpus=marc", "corpus.path=.", "languages=[es]", "model=mt5_small")
    done = call_bisum(*arguments, "hydra.run.dir=before")
    advice = "filter=[long_titles,deduplicate] drops repeated pairs, and documents that leak into a later split"
    assert f"advice         {advice}\n" in done.out
    line = next(line for line in done.out.splitlines() if line.startswith("train, also in test"))
    assert line.split()[-6:] == ["30"] * 6
    done = call_bisum(*arguments, "hydra.run.dir=after", "filter=[deduplicate]")
    assert done.code == 0
    assert "> warning: train: `deduplicate` leaves none of the 30 es rows; loosen filter.deduplicate" in done.out
    assert " trains on these rows" not in done.out


@pytest.mark.parametrize("minimum", [5, 50])
def test_language_that_the_filters_drop_is_still_described(call_bisum, tmp_path, minimum):
    rows = [
        {"id": f"{language}{number}", "text": "A cat sleeps. Rain fell.", "title": title, "lang": language}
        for language, title in (("en", "A cat on the roof"), ("de", "Eine Katze"))
        for number in range(20)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ("corpus=files", "corpus.path=a.jsonl", "languages=[en,de]", "tracker=none", "hydra.run.dir=run")
    done = call_bisum("explore", *arguments, f"filter.long_titles.min_words={minimum}")
    assert done.code == 0, done.err
    assert re.search(
        r"> warning: train: `long_titles` leaves none of the .*\d+ de rows; .* \(training refuses", done.out
    )
    assert re.search(r"^de +\d+ 100\.0%", done.out, re.M)
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"


def test_interrupted_exploration_is_recorded_as_interrupted(tmp_path):
    arguments = [sys.executable, "-m", "bisum", "explore", *FEW]
    env = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    process = subprocess.Popen(arguments, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "samples of train" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("interrupted", 130)
