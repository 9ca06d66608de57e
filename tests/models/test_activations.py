"""The memory of a step that is counted on the meta device is that which torch allocates."""

from functools import partial

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from bisum.models.activations import step_memory
from bisum.models.loss import token_loss

ROWS, DOCUMENT, SUMMARY = 8, 60, 12


def batch_for(loaded):
    """A batch whose documents differ in length, as in training."""
    documents, labels = torch.full((ROWS, DOCUMENT), 5), torch.full((ROWS, SUMMARY), 5)
    mask = torch.ones_like(documents)
    mask[0, -3:] = 0
    pad = int(loaded.tokenizer.pad_token_id)
    return {"labels": labels, **loaded.family.model_inputs(loaded.model.config, documents, mask, labels, pad)}


def allocated(model, batch, *, trains, precision="float32"):
    """The peak of the bytes that torch's profiler reports as allocated in a step on the CPU, beside the weights."""

    def step():
        inputs = dict(batch)
        labels = inputs.pop("labels")
        with torch.set_grad_enabled(trains):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                logits = model(**inputs).logits
            loss = token_loss(logits, labels, 1)
            if trains:
                loss.backward()

    step()  # allocates buffers that stay
    model.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    model.zero_grad()
    used = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            used += event.nbytes()
            peak = max(peak, used)
    return peak


def counted(model, batch, **options):
    return step_memory(model, batch, partial(token_loss, tokens=1), device="cpu", **{"precision": "float32", **options})


@pytest.mark.parametrize("family", ["t5", "mt5", "bart", "mbart50", "pegasus", "gpt2", "t5gemma"])
@pytest.mark.parametrize("trains", [True, False])
def test_count_matches_the_allocations_of_a_real_step(family, trains, loaded_as):
    loaded = loaded_as(family)
    model, batch = loaded.model.train(trains), batch_for(loaded)
    assert counted(model, batch, trains=trains) == pytest.approx(allocated(model, batch, trains=trains), rel=0.1)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_count_in_bf16_matches_the_allocations_of_a_real_step(family, loaded_as):
    loaded = loaded_as(family)
    model, batch = loaded.model.train(), batch_for(loaded)
    real = allocated(model, batch, trains=True, precision="bf16")
    assert counted(model, batch, precision="bf16") == pytest.approx(real, rel=0.2)


def test_counting_changes_neither_the_model_nor_the_random_state(loaded_as):
    loaded = loaded_as("t5")
    model = loaded.model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    counted(model, batch_for(loaded), checkpointing=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert not model.is_gradient_checkpointing
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_recomputed_activations_need_less(family, loaded_as):
    loaded = loaded_as(family)
    batch = batch_for(loaded)
    assert counted(loaded.model, batch, checkpointing=True) < counted(loaded.model, batch)


def test_gradients_of_an_earlier_pass_are_counted(loaded_as):
    loaded = loaded_as("t5")
    batch = batch_for(loaded)
    gradients = 4 * sum(parameter.numel() for parameter in loaded.model.parameters())
    more = counted(loaded.model, batch, accumulates=True) - counted(loaded.model, batch)
    assert 0 < more <= gradients


def test_attention_of_a_gpu_keeps_no_matrix_of_weights(loaded_as):
    loaded = loaded_as("t5")
    batch = batch_for(loaded)
    on_gpu = step_memory(loaded.model, batch, partial(token_loss, tokens=1), device="cuda", precision="float32")
    assert on_gpu < counted(loaded.model, batch)
