"""A trial of an untested model: a forward pass and a short generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from bisum.errors import UserError, one_line
from bisum.models.families.language_tokens import language_codes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bisum.interfaces.family import TextReader

_TEXT = "One. Two."


def try_model(reader: TextReader, model: PreTrainedModel) -> None:
    """Run a model once, forward and in generation, on a short text.

    Raises:
        UserError: it fails, so bisum cannot use models of its kind.
    """
    family, pad = reader.family, int(reader.tokenizer.pad_token_id)
    language = next(iter(language_codes(reader.tokenizer)), "en")
    settings = GenerationConfig(
        max_new_tokens=2 + family.forced_tokens,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=reader.tokenizer.eos_token_id,
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
    )
    was_training = model.training
    try:
        columns = reader.encode([_TEXT], [_TEXT], [language])
        documents, labels = (torch.tensor(columns[name]) for name in ("input_ids", "labels"))
        with torch.no_grad():
            inputs = family.model_inputs(model.config, documents, torch.ones_like(documents), labels, pad)
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            model.train()
            model(**inputs)
            model.eval()
            outputs = model(**inputs)
            if tuple(outputs.logits.shape[:2]) != tuple(labels.shape):
                raise ValueError(f"its logits have the shape {tuple(outputs.logits.shape)}")
            changed = labels.clone()
            changed[:, -2] = changed[:, 0]  # the input of the last position alone
            inputs_of_other = family.model_inputs(model.config, documents, torch.ones_like(documents), changed, pad)
            other = model(**{name: tensor.to(model.device) for name, tensor in inputs_of_other.items()})
            if not torch.allclose(outputs.logits[:, :-1], other.logits[:, :-1], rtol=1e-3, atol=1e-5):
                raise ValueError("it sees the later tokens of a summary, as encoders do")
            family.generate(model, inputs, settings, getattr(outputs, "encoder_last_hidden_state", None))
    except Exception as error:  # whatever the code of the model raises
        raise UserError(
            f"model.checkpoint: bisum cannot use '{model.config.model_type}' models with {type(family).__name__} "
            f"({one_line(error)[:200]}); set model.family._target_ to a class of your own"
        ) from error
    finally:
        model.train(was_training)
        for part in model.modules():  # BigBird's attention changes for good after a short text
            restore = getattr(part, "set_attention_type", None)
            if callable(restore):
                restore(model.config.attention_type)
