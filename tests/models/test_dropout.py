"""Without dropout, a model in training mode is independent of the random state."""

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bisum.models.dropout import remove_dropout


@pytest.mark.parametrize("family", BUILDERS)
def test_no_family_keeps_dropout(family, checkpoints):
    load = AutoModelForCausalLM if family in PROMPTS else AutoModelForSeq2SeqLM
    config = AutoConfig.from_pretrained(checkpoints(family)).to_dict()
    more = {"encoder_layerdrop", "dropout_rate"} & config.keys() | (
        {"attention_dropout"} if family == "chat" else set()
    )
    config = AutoConfig.for_model(**{**config, **dict.fromkeys(more, 0.5)})
    model = load.from_pretrained(checkpoints(family), dtype=torch.float32, config=config).train()
    ids = torch.arange(5, 25).reshape(2, 10)
    inputs = {"input_ids": ids, **({"labels": ids} if load is AutoModelForSeq2SeqLM else {})}

    def outputs():
        with torch.no_grad():
            logits = []
            for seed in range(3):
                torch.manual_seed(seed)
                logits.append(model(**inputs).logits)
            return logits

    first, *others = outputs()
    assert not all(torch.equal(first, other) for other in others)
    before = model.config.to_dict()
    remove_dropout(model)
    first, *others = outputs()
    assert all(torch.equal(first, other) for other in others)
    assert model.config.to_dict() == before
