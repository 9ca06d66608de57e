"""Every model family: `evaluate`, `Summarizer` and the card's code reproduce a training run's summaries.

Training with both backends, resuming and saving are in tests/models/test_training_checkpoints.py.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkpoints import BUILDERS, PROMPTS
from plain import Plain

from bisum import Summarizer, compose, train
from bisum.hub.card import write_card

SMALL = [
    "corpus.max_train_rows=32",
    "corpus.max_eval_rows=8",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.min_tokens=3",
    "evaluation.bootstrap_samples=100",
    "evaluation.batch_size=3",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=4",
    "trainer.epochs=1",
    "trainer.learning_rate=3e-3",
    "hardware=cpu",
]
BEAMS = ["generation.num_beams=3", "generation.length_penalty=0.5", "generation.early_stopping=true"]


@pytest.fixture(scope="module", params=BUILDERS)
def trained(request, checkpoints, tmp_path_factory):
    """A run of eight steps and its scored rows."""
    family, run = request.param, tmp_path_factory.mktemp(request.param)
    prompt = [f'model.{key}="{text}"' for key, text in PROMPTS.get(family, {}).items()]
    train(compose([f"model.checkpoint={checkpoints(family)}", *prompt, *SMALL]), run)
    return SimpleNamespace(family=family, run=run, record=record(run), rows=rows(run))


def record(run):
    return json.loads((run / "run.json").read_text("utf-8"))


def rows(run):
    (file,) = run.glob("predictions/test-epoch-1.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_evaluate_reproduces_the_scores_of_training(trained, call_bisum):
    """A different batch size changes the padding and the mix of languages in each batch."""
    done = call_bisum("evaluate", str(trained.run), "evaluation.batch_size=8", "hydra.run.dir=evaluated")
    assert (done.code, done.err) == (0, "")
    assert rows(Path("evaluated")) == trained.rows
    scores = {name: value for name, value in trained.record["test"].items() if name.startswith("test/")}
    assert len(scores) > 100
    found = record(Path("evaluated"))["evaluation"]
    assert {name: found[name] for name in scores} == pytest.approx(scores, rel=1e-5)


def test_summarizer_reproduces_the_summaries_of_training(trained):
    documents, languages = ([row[name] for row in trained.rows] for name in ("document", "language"))
    assert set(languages) == {"en", "es"}
    summaries = Summarizer(trained.run)(documents, language=languages)
    assert summaries == [row["prediction"] for row in trained.rows]
    assert len(set(summaries)) > 1


def test_code_of_the_card_reproduces_the_summaries_of_training(trained, tmp_path):
    folder = trained.run / "checkpoints/epoch-1"
    write_card(trained.run, tmp_path, "epoch-1", Summarizer(trained.run).loaded, str(folder), None)
    text = (tmp_path / "README.md").read_text("utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "import bisum" not in code
    defined = {}
    exec(code, defined)
    for row in trained.rows:
        language = [row["language"]] if trained.family == "mbart50" else []
        assert defined["summarize"](row["document"], *language) == row["prediction"]


def test_beams_match_plain_transformers(trained):
    plain = Plain(trained.family, trained.run / "checkpoints/epoch-1")
    summarizer = Summarizer(trained.run, BEAMS)
    settings = {"num_beams": 3, "length_penalty": 0.5, "early_stopping": True, "min_new_tokens": 3}
    by_hand = []
    for row in trained.rows:
        ids = plain.document(row["document"], row["language"])
        by_hand.append(plain.text(plain.generate(ids, row["language"], **settings)))
        assert summarizer(row["document"], language=row["language"]) == by_hand[-1]
    assert by_hand != [row["prediction"] for row in trained.rows]
