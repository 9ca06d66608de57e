"""Checkpoints of each family through training, saving and resuming; mT5's head stays its own."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, MT5ForConditionalGeneration

from bisum import compose, train


@pytest.fixture(scope="module")
def words():
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


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_mt5s_head_stays_separate(backend, mt5, words, tmp_path):
    words = [*words, f"model.checkpoint={mt5}", f"trainer={backend}"]
    train(compose([*words, "trainer.save_every=1"]), tmp_path / "whole")
    before = load_file(mt5 / "model.safetensors")
    for epoch in ("0.5", "1", "2"):
        folder = tmp_path / "whole/checkpoints" / f"epoch-{epoch}"
        if not folder.exists():
            continue
        saved = load_file(folder / "model.safetensors")
        assert not torch.equal(saved["lm_head.weight"], saved["shared.weight"])
        # AdamW moves a weight by about the learning rate a step; a head tied by mistake would be far away.
        assert (saved["lm_head.weight"] - before["lm_head.weight"]).abs().max() < 0.02
        assert (saved["shared.weight"] - before["shared.weight"]).abs().max() < 0.02
        again = MT5ForConditionalGeneration.from_pretrained(folder)
        assert torch.equal(again.lm_head.weight, saved["lm_head.weight"])
        assert torch.equal(again.shared.weight, saved["shared.weight"])
        assert torch.equal(again.encoder.embed_tokens.weight, again.decoder.embed_tokens.weight)

    half = shutil.copytree(tmp_path / "whole", tmp_path / "half")
    for folder in (half / "checkpoints").iterdir():
        if folder.name in ("epoch-1.5", "epoch-2"):
            shutil.rmtree(folder)
    record = json.loads((half / "run.json").read_text("utf-8"))
    (half / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    train(compose([f"resume={half}"]))
    assert lines(half) == lines(tmp_path / "whole")
    one, other = (load_file(run / "checkpoints/epoch-2/model.safetensors") for run in (half, tmp_path / "whole"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_prefix_is_still_there_after_resuming(t5, words, tmp_path):
    words = [*words, f"model.checkpoint={t5}", "trainer=accelerate"]
    train(compose(words), tmp_path / "whole")
    half = shutil.copytree(tmp_path / "whole", tmp_path / "half")
    shutil.rmtree(half / "checkpoints/epoch-2")
    train(compose([f"resume={half}"]))
    assert lines(half) == lines(tmp_path / "whole")


def test_bart_trains_and_generates_as_plain_transformers_does(bart, words, tmp_path):
    words = [
        *words,
        f"model.checkpoint={bart}",
        "trainer=seq2seq_trainer",
        "generation.num_beams=2",
        "trainer.epochs=4",
    ]
    words += ["generation.no_repeat_ngram_size=1", "generation.length_penalty=1.5"]
    train(compose([*words, "trainer.learning_rate=2e-2", "generation.min_tokens=5"]), tmp_path)
    losses = [row["train/loss"] for row in lines(tmp_path) if "train/loss" in row]
    assert losses[-1] < losses[0]
    name = json.loads((tmp_path / "run.json").read_text("utf-8"))["test"]["checkpoint"]
    model, tokenizer = (
        kind.from_pretrained(tmp_path / "checkpoints" / name) for kind in (AutoModelForSeq2SeqLM, AutoTokenizer)
    )
    for text in (tmp_path / f"predictions/test-{name}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(text)
        inputs = tokenizer(row["document"], truncation=True, max_length=64, return_tensors="pt")
        (ids,) = model.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            max_new_tokens=12,
            min_new_tokens=5,
            num_beams=2,
            length_penalty=1.5,
            early_stopping=False,
            no_repeat_ngram_size=1,
            do_sample=False,
        )
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == row["prediction"]
