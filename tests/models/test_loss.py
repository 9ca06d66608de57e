"""The loss compared with transformers' own, and parts of a batch compared with the whole."""

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration
from transformers.trainer_pt_utils import LabelSmoother

from bisum.models.loss import count_tokens, token_loss


def t5():
    return T5ForConditionalGeneration(
        T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    )


def bart():
    sizes = {f"{part}_{name}": 1 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    return BartForConditionalGeneration(BartConfig(vocab_size=50, d_model=16, max_position_embeddings=32, **sizes))


@pytest.fixture(params=[t5, bart])
def model(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture
def batch():
    """Six rows; their summaries have 2 to 7 tokens."""
    torch.manual_seed(1)
    labels = torch.randint(3, 50, (6, 7))
    for row, length in enumerate((7, 2, 5, 3, 7, 4)):
        labels[row, length:] = -100
    return {"input_ids": torch.randint(3, 50, (6, 9)), "attention_mask": torch.ones(6, 9).long(), "labels": labels}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_loss_matches_transformers(model, batch):
    labels = batch["labels"]
    assert count_tokens(labels) == 28
    outputs = model(**batch)
    assert token_loss(outputs.logits, labels, count_tokens(labels)).item() == pytest.approx(
        outputs.loss.item(), rel=1e-6
    )


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_matches_transformers(smoothing, model, batch):
    labels = batch["labels"]
    outputs = model(**batch)
    expected = LabelSmoother(epsilon=smoothing)(outputs, labels)
    assert token_loss(outputs.logits, labels, 28, smoothing).item() == pytest.approx(expected.item(), rel=1e-6)
    assert abs(expected.item() - outputs.loss.item()) > 1e-4


def test_parts_of_a_batch_add_up_to_the_whole(model, batch):
    whole = gradients(model, model(**batch).loss)
    model.zero_grad()
    total = 0.0
    for rows in (slice(0, 2), slice(2, 5), slice(5, 6)):
        part = {name: tensor[rows] for name, tensor in batch.items()}
        loss = token_loss(model(**part).logits, part["labels"], 28)
        loss.backward()
        total += loss.item()
    summed = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert total == pytest.approx(model(**batch).loss.item(), rel=1e-6)
    assert torch.allclose(summed, whole, rtol=1e-4, atol=1e-7)
    assert whole.abs().max() > 1e-3


def test_half_precision_logits_are_summed_in_float32():
    torch.manual_seed(2)
    logits = (torch.randn(8, 30, 1000) * 3).bfloat16()
    labels = torch.randint(0, 1000, (8, 30))
    expected = torch.nn.functional.cross_entropy(logits.double().flatten(0, 1), labels.flatten())
    assert token_loss(logits, labels, 240).item() == pytest.approx(expected.item(), rel=1e-5)
