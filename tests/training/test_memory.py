"""A run reports the memory that it needs before a download and before training, and what it used at the end."""

import json

import pytest
import torch

from bisum import compose
from bisum.hardware.devices import find_device
from bisum.models.loading import load
from bisum.models.unloaded import build_unloaded
from bisum.training.memory import estimate_memory


@pytest.mark.parametrize("family", ["t5", "mt5", "bart", "mbart50", "pegasus", "gpt2"])
def test_weights_of_a_model_are_known_before_its_download(family, checkpoints):
    from checkpoints import PROMPTS

    config = compose([f"model.checkpoint={checkpoints(family)}", "hardware=cpu", "model.max_document_tokens=64"])
    loaded = load(config.model.__class__(**{**vars(config.model), **PROMPTS.get(family, {})}), 42, "float32")
    unloaded = build_unloaded(loaded, None)
    assert unloaded is not None
    assert unloaded.num_parameters() == loaded.parameters
    assert all(parameter.is_meta for parameter in unloaded.parameters())
    device = find_device(config.hardware)
    memory = estimate_memory(unloaded, loaded.family, config.trainer, device, None)
    # After loading, transformers counts PEGASUS's fixed positions among the trained weights.
    assert memory.gradients == pytest.approx(4 * loaded.trained_parameters, rel=0.2 if family == "pegasus" else 0)
    assert memory.optimizer == pytest.approx(2 * memory.gradients, rel=0.01)


def test_memory_is_estimated_recorded_and_shown(trained, read):
    run = trained("trainer=accelerate")
    record, log = read.record(run), (run / "train.log").read_text("utf-8")
    estimate = record["estimate"]
    assert estimate["gradients"] == 4 * record["trained_parameters"]
    assert estimate["weights"] == pytest.approx(4 * record["parameters"], rel=0.01)
    assert estimate["optimizer"] == pytest.approx(8 * record["trained_parameters"], rel=0.01)
    assert estimate["memory"] >= sum(size for name, size in estimate.items() if name != "memory")
    assert "memory: training needs about " in log
    assert "memory         estimated " in log


def test_too_little_memory_is_a_warning(small, tmp_path, monkeypatch, call_bisum):
    monkeypatch.setattr("bisum.commands.resources.available_memory", lambda device: -(2**40))
    done = call_bisum(*small, "trainer.max_steps=1", "tracker=none", "hydra.run.dir=run")
    assert done.code == 0
    out = " ".join(done.out.split())
    assert "> warning: memory: training needs about " in out
    assert "lower trainer.batch_size, or use trainer.gradient_checkpointing=true" in out


def test_an_estimate_that_fails_does_not_end_the_run(small, tmp_path, monkeypatch, read, call_bisum):
    def fail(*_, **__):
        raise NotImplementedError("no meta kernel")

    monkeypatch.setattr("bisum.training.memory.step_memory", fail)
    done = call_bisum(*small, "trainer.max_steps=1", "tracker=none", "hydra.run.dir=run")
    assert done.code == 0
    assert "no estimate of memory: no meta kernel" in (tmp_path / "run/train.log").read_text("utf-8")
    assert "estimate" not in read.record(tmp_path / "run")


def test_needs_are_reported_before_a_download(hub, use_hub, checkpoints, tmp_path, call_bisum, read):
    files = {path.name: path.read_bytes() for path in checkpoints("t5").iterdir()}
    hub.put("me/model", files)
    settings = ["corpus.max_train_rows=8", "corpus.max_eval_rows=4", "trainer.max_steps=1", "tracker=none"]
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "trainer.batch_size=4"]
    done = call_bisum("model.checkpoint=me/model", *settings, *limits, "hydra.run.dir=run")
    assert done.code == 0, done.err
    log = (tmp_path / "run/train.log").read_text("utf-8")
    (line,) = [line for line in log.splitlines() if "is not downloaded yet" in line]
    assert "> me/model is not downloaded yet: its " in line
    assert "with batches of 4 documents of 64 tokens; " in line
    assert log.index(line) < log.index("memory: training needs about")
    again = call_bisum("model.checkpoint=me/model", *settings, *limits, "hydra.run.dir=again")
    assert "is not downloaded yet" not in again.out


@pytest.mark.parametrize("what", ["adapter=lora", "adapter=none"])
def test_frozen_weights_have_neither_gradients_nor_state(what, small, checkpoints, tmp_path, read, call_bisum):
    kept = [one for one in small if not one.startswith(("model=", "model.architecture"))]
    arguments = [f"model.checkpoint={checkpoints('t5')}", what, "trainer.max_steps=1", "tracker=none"]
    assert call_bisum(*kept, *arguments, "hydra.run.dir=run").code == 0
    record = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert record["estimate"]["gradients"] == 4 * record["trained_parameters"]
    assert (record["trained_parameters"] == record["parameters"]) == (what == "adapter=none")
    assert torch.float32.itemsize * record["parameters"] == pytest.approx(record["estimate"]["weights"], rel=0.01)
