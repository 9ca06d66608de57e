"""The command lines of the scripts that build bisum's bundled models."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make_corpus", "one"], "usage: python -m bisum.assets.starter.make_corpus DESCRIPTIONS INDICES PACKAGES OUT"),
        (["make_corpus", "nowhere", "indices", "packages", "out"], "corpus.path: nowhere does not exist"),
        (["make_tokenizer", "nowhere"], "nowhere/train.parquet"),
        (["make_model"], "usage: python -m bisum.assets.starter.make_model RUN"),
        (["make_model", "nowhere"], "nowhere"),
        (["make_curves"], "usage: python -m bisum.assets.starter.make_curves RUN..."),
        (["make_curves", "nowhere", "nor here"], "run: 'nowhere' has no steps in its metrics.jsonl"),
    ],
)
def test_mistakes_are_reported_in_one_line(arguments, message, tmp_path):
    program, *parameters = arguments
    command = [sys.executable, "-m", f"bisum.assets.starter.{program}", *parameters]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())
