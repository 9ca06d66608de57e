"""Every model family, trained by both backends: resuming, the saved checkpoint, `evaluate`, `Summarizer` and the card.

One short run by family and backend serves all tests.
"""

import json
import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from plain import LANGUAGE_TOKENS, Plain
from safetensors.torch import load_file
from transformers import MT5ForConditionalGeneration

from bisum import Summarizer, compose, train
from bisum.hub.card import write_card
from bisum.runs.checkpoints import checkpoints_in

SMALL = [
    "corpus.max_train_rows=16",
    "corpus.max_eval_rows=4",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.min_tokens=3",
    "generation.num_beams=2",
    "evaluation.bootstrap_samples=100",
    "evaluation.batch_size=3",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=8",
    "trainer.learning_rate=3e-3",
    "trainer.log_every=1",
    "trainer.save_every=1",
    "hardware=cpu",
]
BEAMS = ["generation.num_beams=3", "generation.length_penalty=0.5", "generation.early_stopping=true"]
BACKENDS = ["accelerate", "seq2seq_trainer"]


@pytest.fixture(scope="module")
def trained(checkpoints, tmp_path_factory):
    """A run of a family by a backend: two steps (mT5: four), with a checkpoint after each; and its scored rows."""

    @cache
    def train_family(family, backend):
        run = tmp_path_factory.mktemp(f"{family}-{backend}")
        prompt = [f'model.{key}="{text}"' for key, text in PROMPTS.get(family, {}).items()]
        chosen = [f"model.checkpoint={checkpoints(family)}", f"trainer={backend}", *prompt]
        train(compose([*SMALL, *chosen, f"trainer.epochs={2 if family == 'mt5' else 1}"]), run)
        (path,) = (run / "predictions").glob("test-epoch-*.jsonl")
        checkpoint = run / "checkpoints" / path.stem.removeprefix("test-")
        return SimpleNamespace(family=family, run=run, rows=json_lines(path), checkpoint=checkpoint)

    return train_family


def json_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def metrics(run):
    speed = "train/examples_per_second"
    return [{name: value for name, value in row.items() if name != speed} for row in json_lines(run / "metrics.jsonl")]


def record(run):
    return json.loads((run / "run.json").read_text("utf-8"))


@pytest.mark.parametrize("family", BUILDERS)
def test_both_backends_log_the_same_numbers(family, trained):
    one, other = (metrics(trained(family, backend).run) for backend in BACKENDS)
    assert sum("train/loss" in row for row in one) == (4 if family == "mt5" else 2)
    for row, same in zip(one, other, strict=True):
        assert row.keys() == same.keys()
        assert all(value == pytest.approx(same[name], rel=1e-4) for name, value in row.items())


@pytest.mark.parametrize(
    ("family", "backend"), [("mt5", BACKENDS[0]), *((family, BACKENDS[at % 2]) for at, family in enumerate(BUILDERS))]
)
def test_resumed_run_equals_an_uninterrupted_one(family, backend, trained, tmp_path):
    whole = trained(family, backend).run
    half = shutil.copytree(whole, tmp_path / "half")
    _, *later = checkpoints_in(half / "checkpoints")
    assert later
    for folder in later:
        shutil.rmtree(folder)
    (half / "run.json").write_text(json.dumps({**record(half), "status": "running"}), "utf-8")
    train(compose([f"resume={half}"]))
    assert metrics(half) == metrics(whole)
    for folder in later:
        one, other = (load_file(run / "checkpoints" / folder.name / "model.safetensors") for run in (half, whole))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", BUILDERS)
def test_saved_checkpoint_generates_the_same_summaries(family, trained):
    """Plain `generate` decodes as the evaluation did, given only the reloaded checkpoint and the language."""
    run = trained(family, BACKENDS[0])
    plain = Plain(family, run.checkpoint)
    for row in run.rows:
        inputs = plain.inputs(plain.document(row["document"], row["language"]))
        starts, language_options = (inputs["input_ids"].shape[1] if family in PROMPTS else 1), {}
        if family in LANGUAGE_TOKENS:
            code = plain.tokenizer.convert_tokens_to_ids(LANGUAGE_TOKENS[family][row["language"]])
            starts, language_options = 2, {"forced_bos_token_id": code}
        ids = plain.model.generate(**inputs, **language_options)
        assert plain.text(ids[0, starts:].tolist()) == row["prediction"]


@pytest.mark.parametrize("family", BUILDERS)
def test_evaluate_reproduces_the_scores_of_training(family, trained, call_bisum):
    """A different batch size changes the padding and the mix of languages in each batch."""
    run = trained(family, BACKENDS[0])
    done = call_bisum("evaluate", str(run.run), "evaluation.batch_size=8", "hydra.run.dir=evaluated")
    assert (done.code, done.err) == (0, "")
    (path,) = Path("evaluated/predictions").glob("test-epoch-*.jsonl")
    assert json_lines(path) == run.rows
    scores = {name: value for name, value in record(run.run)["test"].items() if name.startswith("test/")}
    assert len(scores) > 100
    found = record(Path("evaluated"))["evaluation"]
    assert {name: found[name] for name in scores} == pytest.approx(scores, rel=1e-5)


@pytest.mark.parametrize("family", BUILDERS)
def test_summarizer_and_the_code_of_the_card_reproduce_the_summaries_of_training(family, trained, tmp_path):
    run = trained(family, BACKENDS[0])
    documents, languages = ([row[name] for row in run.rows] for name in ("document", "language"))
    assert set(languages) == {"en", "es"}
    summarizer = Summarizer(run.run)
    summaries = summarizer(documents, language=languages)
    assert summaries == [row["prediction"] for row in run.rows]
    assert len(set(summaries)) > 1

    write_card(run.run, tmp_path, run.checkpoint.name, summarizer.loaded, str(run.checkpoint), None)
    text = (tmp_path / "README.md").read_text("utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "import bisum" not in code
    defined = {}
    exec(code, defined)
    for row in run.rows:
        language = [row["language"]] if family in LANGUAGE_TOKENS else []
        assert defined["summarize"](row["document"], *language) == row["prediction"]
    # umT5's logits must not be scaled, which only beams show.
    assert family != "umt5" or not defined["model"].config.tie_word_embeddings


@pytest.mark.parametrize("family", BUILDERS)
def test_beams_match_plain_transformers(family, trained):
    run = trained(family, BACKENDS[0])
    plain = Plain(family, run.checkpoint)
    summarizer = Summarizer(run.run, BEAMS)
    settings = {"num_beams": 3, "length_penalty": 0.5, "early_stopping": True, "min_new_tokens": 3}
    by_hand = []
    for row in run.rows:
        ids = plain.document(row["document"], row["language"])
        by_hand.append(plain.text(plain.generate(ids, row["language"], **settings)))
        assert summarizer(row["document"], language=row["language"]) == by_hand[-1]
    assert by_hand != [row["prediction"] for row in run.rows]


@pytest.mark.parametrize("backend", BACKENDS)
def test_mt5s_head_stays_separate(backend, checkpoints, trained):
    before = load_file(checkpoints("mt5") / "model.safetensors")
    saved_checkpoints = checkpoints_in(trained("mt5", backend).run / "checkpoints")
    assert len(saved_checkpoints) > 1
    for folder in saved_checkpoints:
        saved = load_file(folder / "model.safetensors")
        assert not torch.equal(saved["lm_head.weight"], saved["shared.weight"])
        for name in ("lm_head.weight", "shared.weight"):
            # AdamW moves a weight by about the learning rate per step; a head tied by mistake would be far off.
            assert 0 < (saved[name] - before[name]).abs().max() < 0.02
        again = MT5ForConditionalGeneration.from_pretrained(folder)
        assert torch.equal(again.lm_head.weight, saved["lm_head.weight"])
        assert torch.equal(again.shared.weight, saved["shared.weight"])
        assert torch.equal(again.encoder.embed_tokens.weight, again.decoder.embed_tokens.weight)
