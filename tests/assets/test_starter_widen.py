"""A widened T5 computes what the narrow one does, and its new weights can learn."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from bisum.assets.starter.widen import main, widened
from bisum.errors import UserError


def test_widened_model_has_the_same_logits_and_gradients_for_its_new_weights():
    torch.manual_seed(0)
    sizes = {"d_model": 24, "d_ff": 40, "num_heads": 2, "d_kv": 12, "num_layers": 2}
    config = T5Config(vocab_size=60, decoder_start_token_id=0, **sizes)
    narrow = T5ForConditionalGeneration(config).eval()
    wide = widened(narrow, 40, 64, 3).eval()
    assert wide.num_parameters() > 1.5 * narrow.num_parameters()
    inputs = {"input_ids": torch.randint(2, 60, (3, 30)), "labels": torch.randint(2, 60, (3, 7))}
    torch.testing.assert_close(wide(**inputs).logits, narrow(**inputs).logits, rtol=1e-4, atol=1e-4)
    wide(**inputs).loss.backward()
    weights = dict(wide.named_parameters())
    last = "decoder.block.1.layer.2.DenseReluDense.wo.weight"  # tied embeddings read it, which begin with zeros
    for name in weights.keys() - {last}:
        if name.endswith((".o.weight", ".wo.weight")):
            assert weights[name].grad[24:].abs().max() > 0


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        main(str(tmp_path / "missing"), tmp_path / "wide")
