"""A user's own filter and model family, outside bisum, in training runs."""

import json
from collections import Counter
from pathlib import Path

import pytest

from bisum import compose, train
from bisum.config.targets import ALLOW_VARIABLE
from bisum.corpus.sample import Sample

CODE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow.compute as pc
from annotated_types import Ge

from bisum.models.families import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class FewBullets:
    """Keep documents with few bullet points."""

    most: Annotated[int, Ge(0)]
    bullet: Literal["*", "-"]

    def keep(self, rows, held_out):
        return pc.less_equal(pc.count_substring(rows["document"], f"\\n{self.bullet} "), self.most)


@dataclass(frozen=True, kw_only=True)
class Labelled(EncoderDecoder):
    """Put a word in its language before each document."""

    words: dict[str, str]

    def encode(self, reader, documents, summaries, languages):
        labelled = [f"{self.words[language]} {document}" for document, language in zip(documents, languages)]
        return super().encode(reader, labelled, summaries, languages)
'''

FILTER = """\
# @package filter.few_bullets
# Drops documents with many bullet points.
#   bisum --config-dir conf allow_targets=[lab] filter=[long_titles,few_bullets]
_target_: lab.text.FewBullets
most: 2
bullet: "*"
"""

MODEL = """\
# The tiny model, with a word for the language before each document.
#   bisum --config-dir conf allow_targets=[lab] model=labelled
defaults:
  - tiny

family:
  _target_: lab.text.Labelled
  words: {en: "package:", es: "paquete:"}
"""

TINY = [
    "corpus.max_train_rows=48",
    "corpus.max_eval_rows=8",
    "trainer.max_steps=2",
    "model.architecture.d_model=16",
    "model.architecture.num_heads=2",
    "model.architecture.d_ff=16",
    "model.architecture.num_layers=1",
    "evaluation.bootstrap_samples=100",
    "hardware=cpu",
]


@pytest.fixture
def lab(write_folder) -> Path:
    """A user's folder: a package with the two classes, and a YAML file for each."""
    files = {"lab/__init__.py": "", "lab/text.py": CODE, "conf/filter/few_bullets.yaml": FILTER}
    return write_folder({**files, "conf/model/labelled.yaml": MODEL})


def test_users_filter_drops_rows_in_training(lab, call_bisum):
    arguments = ["--config-dir", "conf", "allow_targets=[lab]", "filter=[few_bullets]", "filter.few_bullets.most=1"]
    done = call_bisum(*arguments, "model=tiny", *TINY, "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    record = json.loads((lab / "run/run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["config"]["filter"] == {
        "few_bullets": {"_target_": "lab.text.FewBullets", "most": 1, "bullet": "*"},
    }
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    rows = sample.load(["en", "es"])["train"].to_pylist()
    bullets = Counter(row["language"] for row in rows if row["document"].count("\n* ") > 1)
    assert min(bullets.values()) > 0
    for language in ("en", "es"):
        assert record["data"]["rows"]["train"][language]["dropped"]["few_bullets"] == bullets[language]
    assert "few_bullets" in done.out


def test_users_family_changes_the_models_input(lab, monkeypatch):
    """From Python, with permission from the environment."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    monkeypatch.setenv(ALLOW_VARIABLE, "lab")
    monkeypatch.syspath_prepend(lab)
    config = compose(["model=labelled", f"cache_dir={lab}/cache", *TINY], config_dir=str(lab / "conf"))
    assert type(config.model.family).__name__ == "Labelled"
    metrics = train(config, lab / "run")
    assert 0 <= metrics["test/es/rougeL"] <= 100
    assert json.loads((lab / "run/run.json").read_text(encoding="utf-8"))["status"] == "finished"
    (checkpoint,) = (lab / "run/checkpoints").glob("epoch-*")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    read = [
        tokenizer.decode(ids)
        for file in (lab / "cache").glob("*.arrow")
        for ids in Dataset.from_file(str(file))["input_ids"]
    ]
    assert Counter(text.partition(":")[0].strip() for text in read) == {"package": 32, "paquete": 32}


@pytest.mark.parametrize(
    ("file", "right", "wrong", "argument", "line"),
    [
        ("filter/few_bullets", "most", "moist", "filter=[few_bullets]", "filter.few_bullets.moist: no such key, did"),
        ("filter/few_bullets", "most: 2", "most: -1", "filter=[few_bullets]", "filter.few_bullets.most: expected a wh"),
        ("filter/few_bullets", "most: 2", "most: two", "filter=[few_bullets]", "filter.few_bullets.most: expected a w"),
        ("filter/few_bullets", '"*"', '"+"', "filter=[few_bullets]", "filter.few_bullets.bullet: expected one of *, -"),
        ("filter/few_bullets", "FewBullets", "FewBulets", "filter=[few_bullets]", "filter.few_bullets._target_: 'lab."),
        ("filter/few_bullets", "few_bullets\n", "few\n", "filter=[few_bullets] filter.few_bullets.most=1", "filter."),
        (
            "model/labelled",
            "words:",
            "word:",
            "model=labelled",
            "model.family.word: no such key, did you mean 'words'?",
        ),
        ("model/labelled", '"package:"', "3", "model=labelled", "model.family.words.en: expected text, not 3"),
        (
            "model/labelled",
            "lab.text.Labelled",
            "lab.text.FewBullets",
            "model=labelled",
            "model.family._target_: 'lab.text.Few",
        ),
        ("model/labelled", "family:", "famliy:", "model=labelled", "model.famliy: no such key, did you mean 'family'?"),
        ("model/labelled", "- tiny", "- tinny", "model=labelled", "model=tinny: no such option, did you mean 'tiny'?"),
    ],
)
def test_error_in_a_users_yaml_is_reported(lab, call_bisum, file, right, wrong, argument, line):
    path = lab / f"conf/{file}.yaml"
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    done = call_bisum("--config-dir", "conf", "allow_targets=[lab]", *argument.split())
    assert done.code == 2
    assert done.err.startswith(f"bisum: {line}")
    assert len({text.partition(":")[0] for text in done.err.splitlines()}) == 1
    assert {path.name for path in lab.iterdir()} == {"lab", "conf"}
