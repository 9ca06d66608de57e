"""A trial of a model of an untested kind: one step of what training and generation do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from bisum.errors import UserError, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bisum.interfaces.family import TextReader

_TEXT, _LANGUAGE = "One. Two.", "en"


def try_model(reader: TextReader, model: PreTrainedModel) -> None:
    """Run a model once, forward and in generation, on a short text.

    Raises:
        UserError: it fails, so bisum cannot use models of its kind.
    """
    kind = model.config.model_type
    family, tokenizer = reader.family, reader.tokenizer
    columns = reader.encode([_TEXT], [_TEXT], [_LANGUAGE])
    documents, labels = (torch.tensor(columns[name]) for name in ("input_ids", "labels"))
    pad = int(tokenizer.pad_token_id)
    settings = GenerationConfig(
        max_new_tokens=2 + family.forced_tokens,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
    )
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()
            inputs = family.model_inputs(model.config, documents, torch.ones_like(documents), labels, pad)
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            outputs = model(**inputs)
            if tuple(outputs.logits.shape[:2]) != tuple(labels.shape):
                raise ValueError(f"its logits have the shape {tuple(outputs.logits.shape)}")
            family.generate(model, inputs, settings, getattr(outputs, "encoder_last_hidden_state", None))
    except Exception as error:  # whatever the code of the model raises
        raise UserError(
            f"model.checkpoint: bisum cannot use '{kind}' models with {type(family).__name__} "
            f"({one_line(error)[:200]}); set model.family._target_ to a class of your own"
        ) from error
    finally:
        model.train(was_training)
