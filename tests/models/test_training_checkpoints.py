"""Checkpoints of each family in training, saving and resuming; mT5's head stays separate."""

import json
import shutil
from functools import cache

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from plain import Plain
from safetensors.torch import load_file
from transformers import MT5ForConditionalGeneration

from bisum import compose, train
from bisum.runs.checkpoints import checkpoints_in

BACKENDS = ["accelerate", "seq2seq_trainer"]


@pytest.fixture(scope="module")
def arguments():
    return [
        "corpus.max_train_rows=16",
        "corpus.max_eval_rows=4",
        "model.max_document_tokens=64",
        "model.max_summary_tokens=12",
        "evaluation.bootstrap_samples=100",
        "evaluation.shown_summaries=0",
        "trainer.batch_size=8",
        "trainer.epochs=2",
        "trainer.log_every=1",
        "hardware=cpu",
    ]


def lines(directory):
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name != "train/examples_per_second"} for row in rows]


@pytest.fixture(scope="module")
def trained(checkpoints, arguments, tmp_path_factory):
    """The run directory of a family, trained by a backend for two steps (mT5: four) and saved after each."""

    @cache
    def train_family(family, backend):
        directory = tmp_path_factory.mktemp(f"{family}-{backend}")
        prompt = [f"model.{key}='{text}'" for key, text in PROMPTS.get(family, {}).items()]
        epochs = 2 if family == "mt5" else 1
        chosen = [f"model.checkpoint={checkpoints(family)}", f"trainer={backend}", f"trainer.epochs={epochs}"]
        train(compose([*arguments, *chosen, *prompt, "trainer.save_every=1", "generation.num_beams=2"]), directory)
        return directory

    return train_family


@pytest.mark.parametrize("family", BUILDERS)
def test_both_backends_log_the_same_numbers(family, trained):
    one, other = (lines(trained(family, backend)) for backend in BACKENDS)
    assert sum("train/loss" in row for row in one) == (4 if family == "mt5" else 2)
    for row, same in zip(one, other, strict=True):
        assert row.keys() == same.keys()
        assert all(value == pytest.approx(same[name], rel=1e-4) for name, value in row.items())


@pytest.mark.parametrize(
    ("family", "backend"), [("mt5", BACKENDS[0]), *((family, BACKENDS[at % 2]) for at, family in enumerate(BUILDERS))]
)
def test_resumed_run_equals_an_uninterrupted_one(family, backend, trained, tmp_path):
    whole = trained(family, backend)
    half = shutil.copytree(whole, tmp_path / "half")
    _, *later = checkpoints_in(half / "checkpoints")
    assert later
    for folder in later:
        shutil.rmtree(folder)
    record = json.loads((half / "run.json").read_text("utf-8"))
    (half / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    train(compose([f"resume={half}"]))
    assert lines(half) == lines(whole)
    for folder in later:
        one, other = (load_file(run / "checkpoints" / folder.name / "model.safetensors") for run in (half, whole))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", BUILDERS)
def test_saved_checkpoint_generates_the_same_summaries(family, trained):
    """Plain `generate` decodes as the evaluation did, given only the reloaded checkpoint and the language."""
    (path,) = (trained(family, "accelerate") / "predictions").glob("test-epoch-*.jsonl")
    plain = Plain(family, trained(family, "accelerate") / "checkpoints" / path.stem.removeprefix("test-"))
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        document = torch.tensor([plain.document(row["document"], row["language"])])
        starts, language_options = (document.shape[1] if family in PROMPTS else 1), {}
        if family == "mbart50":
            code = plain.tokenizer.convert_tokens_to_ids({"en": "en_XX", "es": "es_XX"}[row["language"]])
            starts, language_options = 2, {"forced_bos_token_id": code}
        ids = plain.model.generate(input_ids=document, attention_mask=torch.ones_like(document), **language_options)
        assert plain.text(ids[0, starts:].tolist()) == row["prediction"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_mt5s_head_stays_separate(backend, checkpoints, trained):
    before = load_file(checkpoints("mt5") / "model.safetensors")
    saved_checkpoints = checkpoints_in(trained("mt5", backend) / "checkpoints")
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
