"""The memory of a step that is counted on the meta device is that which torch allocates."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
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


def allocated(model, batch, *, trains, precision="float32", accumulates=False):
    """The peak of the bytes that torch's profiler reports as allocated in a step on the CPU, beside the weights."""
    kept = 4 * sum(parameter.numel() for parameter in model.parameters()) if accumulates else 0

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
    if not accumulates:
        model.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    model.zero_grad()
    used = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            used += event.nbytes()
            peak = max(peak, used)
    return kept + peak


def counted(model, batch, **options):
    defaults = {"device": "cpu", "precision": "float32"}
    return step_memory(model, batch, partial(token_loss, tokens=1), **{**defaults, **options})


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
    model.get_encoder().train()  # a part can have a mode of its own
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    counted(model, batch_for(loaded), checkpointing=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert not model.is_gradient_checkpointing
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_count_with_recomputed_activations_matches_a_real_step(family, loaded_as):
    loaded = loaded_as(family)
    model, batch = loaded.model.train(), batch_for(loaded)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    real = allocated(model, batch, trains=True)
    model.gradient_checkpointing_disable()
    assert counted(model, batch, checkpointing=True) == pytest.approx(real, rel=0.1)
    assert real < 0.9 * allocated(model, batch, trains=True)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_count_after_an_earlier_pass_matches_a_real_step(family, loaded_as):
    loaded = loaded_as(family)
    model, batch = loaded.model.train(), batch_for(loaded)
    real = allocated(model, batch, trains=True, accumulates=True)
    assert counted(model, batch, accumulates=True) == pytest.approx(real, rel=0.1)


def test_count_of_fused_attention_matches_that_of_a_cpu_without_dropout(loaded_as):
    """A CPU fuses attention like a GPU if there is no dropout of its weights."""
    loaded = loaded_as("bart")
    model, batch = loaded.model.train(), batch_for(loaded)
    layers = [layer for layer in model.modules() if type(layer).__name__ == "BartAttention"]
    before = [layer.dropout for layer in layers]
    for layer in layers:
        layer.dropout = 0.0
    real = allocated(model, batch, trains=True)
    for layer, dropout in zip(layers, before, strict=True):
        layer.dropout = dropout
    assert counted(model, batch, device="cuda") == pytest.approx(real, rel=0.1)


class BiasedAttention(torch.nn.Module):
    """Attention with a learned bias for each pair of positions, as in T5."""

    def __init__(self, heads, length):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1, heads, length, length))

    def forward(self, states, mask):
        return SimpleNamespace(
            logits=functional.scaled_dot_product_attention(states, states, states, attn_mask=self.bias + mask)
        )


def test_fused_attention_keeps_a_learned_bias_and_its_gradient():
    rows, heads, length = 4, 8, 128
    matrix = 4 * heads * length**2  # bytes of the weights of a row
    batch = {
        "states": torch.ones(rows, heads, length, 2),
        "mask": torch.zeros(rows, 1, length, length),
        "labels": torch.ones(1),
    }
    used = step_memory(
        BiasedAttention(heads, length), batch, lambda logits, labels: logits.sum(), device="cuda", precision="float32"
    )
    # The sum of bias and mask, kept until its gradient of the same shape is computed
    assert used == pytest.approx(2 * rows * matrix, rel=0.05)
