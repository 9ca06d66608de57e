"""Dropout on a CPU: each element is dropped independently, the rest keep the mean, gradients use the same noise."""

import numpy as np
import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from scipy.stats import binom, binomtest, chi2_contingency, chisquare
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bisum.models.noise import attention, cheap_dropout, dropout

CPU = torch.device("cpu")


def kept(p, *shape, seed=0):
    torch.manual_seed(seed)
    return dropout(torch.ones(shape), p) != 0


@pytest.mark.parametrize("p", [2**-16, 0.1, 0.5, 0.9])
def test_share_of_dropped_elements_is_p(p):
    dropped = int((~kept(p, 1000, 1001)).sum())
    assert binomtest(dropped, 1_001_000, round(p * 65536) / 65536).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_number_dropped_in_a_row_is_binomial(p):
    counts = np.bincount((~kept(p, 20_000, 8)).sum(1).numpy(), minlength=9)
    expected = binom.pmf(range(9), 8, round(p * 65536) / 65536) * 20_000
    common = expected > 5
    seen, mean = (np.append(values[common], values[~common].sum()) for values in (counts, expected))
    assert chisquare(seen[mean > 1e-9], mean[mean > 1e-9]).pvalue > 1e-3


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 8, 1000])
def test_elements_are_independent_of_their_neighbours(distance):
    flat = kept(0.3, 400_000)
    pairs = np.histogram2d(flat[:-distance].numpy(), flat[distance:].numpy(), 2)[0]
    assert chi2_contingency(pairs).pvalue > 1e-3


def test_calls_and_seeds_are_independent():
    torch.manual_seed(0)
    calls = [dropout(torch.ones(100_000), 0.3) != 0 for _ in range(2)]
    for one, other in (calls, (kept(0.3, 100_000, seed=5), kept(0.3, 100_000, seed=6))):
        assert chi2_contingency(np.histogram2d(one.numpy(), other.numpy(), 2)[0]).pvalue > 1e-3


def test_kept_elements_are_scaled_to_the_same_mean():
    values = torch.randn(5, 7)
    torch.manual_seed(1)
    out = dropout(values, 0.1)
    scale = 65536 / (65536 - 6554)  # 0.1 is 6553.6 / 65536
    mask = kept(0.1, 5, 7, seed=1)
    assert 0 < mask.sum() < 35
    torch.testing.assert_close(out, values * mask * scale)


def test_gradient_has_the_noise_of_the_output():
    values = torch.randn(50, 50, requires_grad=True)
    torch.manual_seed(3)
    out = dropout(values, 0.4)
    (out * 3).sum().backward()
    torch.testing.assert_close(values.grad * values, 3 * out)


def test_noise_follows_torchs_generator():
    assert torch.equal(kept(0.5, 99, seed=4), kept(0.5, 99, seed=4))
    assert not torch.equal(kept(0.5, 99, seed=4), kept(0.5, 99, seed=5))
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first, second = (dropout(torch.ones(99), 0.5) for _ in range(2))
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(torch.ones(99), 0.5), first)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False), (1.0, True)])
def test_nothing_or_everything_is_dropped_as_in_torch(p, training):
    values = torch.randn(9)
    assert torch.equal(dropout(values, p, training), functional.dropout(values, p, training))


def test_number_format_is_kept_and_in_place_works():
    values = torch.ones(64, dtype=torch.bfloat16)
    assert dropout(values, 0.5).dtype == torch.bfloat16
    assert dropout(values, 0.5, inplace=True) is values
    assert set(values.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("case", ["plain", "bool mask", "float mask", "causal", "scaled", "grouped"])
def test_attention_equals_torchs_up_to_the_noise(case):
    """With the identity as values, the output is the attention's weights."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 3, 6, 4), torch.randn(2, 1 if case == "grouped" else 3, 6, 4)
    mask = torch.rand(2, 1, 6, 6) > 0.3
    mask[..., 0] = True
    options = {
        "plain": {},
        "bool mask": {"attn_mask": mask},
        "float mask": {"attn_mask": torch.randn(2, 3, 6, 6, requires_grad=True)},  # a learned bias
        "causal": {"is_causal": True},
        "scaled": {"scale": 1.0},
        "grouped": {"enable_gqa": True},
    }[case]
    values = torch.eye(6).expand(*key.shape[:2], 6, 6)
    expected = functional.scaled_dot_product_attention(query, key, values, **options)
    torch.testing.assert_close(attention(query, key, values, **options), expected)
    torch.manual_seed(7)
    got = attention(query, key, values, dropout_p=0.25, **options)
    noise = kept(0.25, 2, 3, 6, 6, seed=7) / 0.75
    torch.testing.assert_close(got, expected * noise)


@pytest.mark.parametrize("mask", ["bool", "float"])
def test_a_query_without_keys_has_an_empty_output_as_in_torch(mask):
    query, key, value = (torch.randn(1, 2, 3, 4, requires_grad=True) for _ in range(3))
    allowed = torch.tensor([[True, False, True], [False] * 3, [True] * 3])
    given = allowed if mask == "bool" else torch.zeros(3, 3).masked_fill(~allowed, -torch.inf)
    torch.manual_seed(0)
    out = attention(query, key, value, given, dropout_p=1e-9)
    torch.testing.assert_close(out, functional.scaled_dot_product_attention(query, key, value, given))
    assert (out[..., 1, :] == 0).all()
    out = attention(query, key, value, given, dropout_p=0.5)
    assert (out[..., 1, :] == 0).all()
    (out**2).sum().backward()
    assert all(one.grad.isfinite().all() for one in (query, key, value))


def test_a_mask_beside_is_causal_is_refused_as_in_torch():
    query, mask = torch.randn(1, 2, 3, 4), torch.ones(3, 3, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="is_causal"):
        attention(query, query, query, mask, dropout_p=0.5, is_causal=True)


def test_functions_of_torch_are_restored_after_an_error():
    before = functional.dropout, functional.scaled_dot_product_attention
    with pytest.raises(KeyError), cheap_dropout(CPU):
        {}["stop"]
    assert (functional.dropout, functional.scaled_dot_product_attention) == before
    with cheap_dropout(CPU):
        assert functional.dropout is dropout
    with cheap_dropout(torch.device("meta")):
        assert functional.dropout is before[0]


class Operators(TorchDispatchMode):
    """Record the names of all operators."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", BUILDERS)
def test_no_family_draws_bernoulli_numbers(family, checkpoints):
    load = AutoModelForCausalLM if family in PROMPTS else AutoModelForSeq2SeqLM
    model = load.from_pretrained(checkpoints(family), dtype=torch.float32).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.3)
    ids = torch.arange(5, 25).reshape(2, 10)

    def operators():
        with Operators() as seen:
            model(input_ids=ids, labels=ids)
        return seen.names & {"aten::bernoulli_.float", "aten::native_dropout"}

    assert operators()
    with cheap_dropout(CPU):
        assert not operators()


def test_recomputed_activations_have_the_same_noise(checkpoints):
    gradients = []
    for recompute in (False, True):
        model = AutoModelForSeq2SeqLM.from_pretrained(checkpoints("t5"), dtype=torch.float32).train()
        if recompute:
            model.activation_checkpointing_enable()
        ids = torch.arange(5, 25).reshape(2, 10)
        torch.manual_seed(0)
        with cheap_dropout(CPU):
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.equal(gradients[1][name], gradient)


def test_a_token_whose_keys_are_all_masked_has_no_effect_on_the_gradient():
    """As left-padded rows have in GPT-2."""
    torch.manual_seed(0)
    query, key, values = (torch.randn(1, 1, 4, 8, requires_grad=True) for _ in range(3))
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    mask[:, 0] = False  # the first token is padding, and sees nothing
    output = attention(query, key, values, attn_mask=mask, dropout_p=0.1)
    output[:, :, 1:].sum().backward()
    assert output.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (query, key, values))
    assert query.grad[:, :, 0].abs().max() == 0
    assert key.grad[:, :, 0].abs().max() == 0
