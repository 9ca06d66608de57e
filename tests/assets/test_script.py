"""The programs that make the models that come with bisum, from the command line."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["make_corpus", "one"], "usage: python -m bisum.assets.starter.make_corpus DESCRIPTIONS INDICES OUT"),
        (["make_corpus", "nowhere", "indices", "out"], "corpus.path: nowhere does not exist"),
        (["make_tokenizer", "nowhere"], "nowhere/train.parquet"),
        (["make_model"], "usage: python -m bisum.assets.starter.make_model RUN"),
        (["make_model", "nowhere"], "nowhere"),
        (["make_curves"], "usage: python -m bisum.assets.starter.make_curves RUN..."),
        (["make_curves", "nowhere", "nor here"], "nowhere/metrics.jsonl"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words, said, tmp_path):
    program, *further = words
    command = [sys.executable, "-m", f"bisum.assets.starter.{program}", *further]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())
