"""A base in 4 bits. bitsandbytes also runs on a CPU, so only the check of the device is lifted here."""

import json

import pytest
import torch
from adapted import logits, lora, perturb, refusal
from checkpoints import PROMPTS
from safetensors.torch import load_file

from bisum.errors import UserError
from bisum.models.loading import check_model, load
from bisum.models.merging import write_merged


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr("bisum.models.loading.check_quantization", lambda *_, **__: None)


@pytest.mark.parametrize("family", ["t5", "mt5", "bart", "gpt2", "chat"])
def test_quantized_base_is_read_and_merged_as_it_was_trained(family, on_cpu, checkpoints, options, tmp_path):
    base = options(checkpoints(family), **PROMPTS.get(family, {}))
    check_model(base, "float32", adapter=lora(quantize="4bit"))
    loaded = load(base, 42, "float32", adapter=lora(quantize="4bit"))
    unquantized = load(base, 42, "float32", adapter=lora())
    assert loaded.parameters == unquantized.parameters
    assert loaded.trained_parameters == unquantized.trained_parameters
    for model in (loaded.model, unquantized.model):
        perturb(model)
    assert (logits(loaded.model) - logits(unquantized.model)).abs().max() > 0.01  # it is quantized
    (tmp_path / "adapter").mkdir()
    loaded.save(tmp_path / "adapter")
    assert sum(map(torch.numel, load_file(tmp_path / "adapter/adapter_model.safetensors").values())) == (
        loaded.trained_parameters
    )
    again = load(options(tmp_path / "adapter"), 7, "float32")
    assert torch.equal(logits(again.model), logits(loaded.model))
    write_merged(tmp_path / "adapter", tmp_path / "merged", base)
    merged = load(options(tmp_path / "merged"), 7, "float32")
    assert torch.allclose(logits(merged.model), logits(loaded.model), atol=1e-4)


def test_other_devices_are_refused(checkpoints, options, tmp_path, monkeypatch):
    base = options(checkpoints("t5"))
    with pytest.raises(UserError) as raised:
        check_model(base, "float32", adapter=lora(quantize="4bit"))
    assert str(raised.value) == (
        "adapter.quantize: 4bit needs an NVIDIA GPU, and this run uses cpu; use hardware=gpu or adapter.quantize=null"
    )
    with monkeypatch.context() as lifted:
        lifted.setattr("bisum.models.loading.check_quantization", lambda *_, **__: None)
        load(base, 42, "float32", adapter=lora(quantize="4bit")).save(tmp_path)
    assert refusal(options(tmp_path)) == (
        "model.checkpoint: the adapter was trained on a 4-bit base, which needs an NVIDIA GPU; merge it on one with "
        "bisum push RUN hub.folder=DIR"
    )


def test_missing_bitsandbytes_is_reported(checkpoints, options, monkeypatch):
    monkeypatch.setattr("bisum.models.quantization.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"^adapter\.quantize: 4bit needs bitsandbytes; install it with pip install"):
        check_model(options(checkpoints("t5")), "float32", adapter=lora(quantize="4bit"))


def test_adapter_on_a_quantized_base_is_trained_and_evaluated(on_cpu, checkpoints, tmp_path, call_bisum):
    done = call_bisum(
        f"model.checkpoint={checkpoints('t5')}", "adapter=lora", "adapter.quantize=4bit", "adapter.merge=true",
        "corpus.max_train_rows=16", "corpus.max_eval_rows=4", "model.max_document_tokens=64",
        "model.max_summary_tokens=12", "evaluation.shown_summaries=0", "trainer.batch_size=4", "trainer.epochs=2",
        "trainer.learning_rate=1e-2", "hardware=cpu", "tracker=none", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "LoRA rank 16 on q, k, v, o, wi, wo, 4-bit base: " in " ".join(done.out.split())
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()]
    losses = [line["eval/loss"] for line in lines if "eval/loss" in line]
    assert losses[1] < losses[0]
    test = json.loads((tmp_path / "run/run.json").read_text("utf-8"))["test"]
    for given, tolerance in (("run", 1e-5), ("run/merged", 1e-4)):
        limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "corpus.max_eval_rows=4"]
        directory = f"evaluated-{given.replace('/', '-')}"
        done = call_bisum("evaluate", given, *limits, "hardware=cpu", "tracker=none", f"hydra.run.dir={directory}")
        assert done.code == 0, done.err
        scores = json.loads((tmp_path / directory / "run.json").read_text("utf-8"))["evaluation"]
        assert scores["test/loss"] == pytest.approx(test["test/loss"], rel=tolerance)
