"""Few lengths with the least padding, and weights that stay shared when the model moves."""

from itertools import combinations

import numpy as np
import pytest
import torch

from bisum.batches.shapes import Shapes, choose_lengths
from bisum.hardware.xla import place

SIZES = {"vocab_size": 50, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}


def padded(lengths, chosen):
    return sum(min(bound for bound in chosen if bound >= length) for length in lengths)


def test_lengths_match_hand_calculation():
    """Rows of 1 to 8 tokens cost 8; with 100 rows of 20 tokens, 24 is the most useful bucket besides 496."""
    lengths = np.array([1, 7, 8, *[20] * 100, 490])
    assert choose_lengths(lengths, 1) == [496]
    assert choose_lengths(lengths, 2) == [24, 496]
    assert choose_lengths(lengths, 3) == [8, 24, 496]
    assert choose_lengths(lengths, 9) == [8, 24, 496]  # at most as many as occurring multiples of 8


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_other_lengths_pad_less(count, seed):
    lengths = np.random.default_rng(seed).lognormal(3, 0.8, 200).astype(np.int64).clip(1, 96)
    chosen = choose_lengths(lengths, count)
    top = -(-int(lengths.max()) // 8) * 8
    others = [[*bounds, top] for bounds in combinations(range(8, top, 8), count - 1)]
    assert padded(lengths, chosen) == min(padded(lengths, bounds) for bounds in others)
    assert chosen[-1] == top
    assert all(length % 8 == 0 for length in chosen)


def test_batch_uses_the_first_length_that_fits():
    shapes = Shapes((16, 64, 509), 30)
    assert [shapes.document_length(longest) for longest in (1, 16, 17, 64, 65, 509)] == [16, 16, 64, 64, 509, 509]


@pytest.fixture
def _parameters_are_replaced():
    """Give a moved module new parameters, as a move to an XLA device does."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.mark.usefixtures("_parameters_are_replaced")
@pytest.mark.parametrize("own_head", [False, True])
def test_moving_a_model_keeps_its_weights_shared(own_head):
    from transformers import MT5Config, MT5ForConditionalGeneration

    model = MT5ForConditionalGeneration(MT5Config(**SIZES, decoder_start_token_id=0))  # declares a tied head
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(torch.randn(50, 8))
    head, embedding = model.lm_head.weight.detach().clone(), model.shared.weight.detach().clone()
    before = model.lm_head.weight
    place(model, torch.device("cpu"))
    assert model.lm_head.weight is not before  # it was moved
    assert model.encoder.embed_tokens.weight is model.shared.weight
    assert model.decoder.embed_tokens.weight is model.shared.weight
    assert (model.lm_head.weight is model.shared.weight) is not own_head
    assert torch.equal(model.lm_head.weight, head)
    assert torch.equal(model.shared.weight, embedding)
