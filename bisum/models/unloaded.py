"""A model whose weights are not read yet."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from bisum.interfaces.adapter import Adapter
from bisum.interfaces.family import TextReader
from bisum.models.vocabulary.weights import has_separate_head

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedModel:
    """What is known of a model before its weights are read."""

    reader: TextReader
    model: PreTrainedModel | None
    """The model on the meta device; None if only its weights show what it is."""
    is_local: bool
    """Whether the weights are on this machine; false: they are not downloaded yet."""


def build_unloaded(reader: TextReader, adapter: Adapter | None) -> PreTrainedModel | None:
    """Return the model of a configuration on the meta device, with an adapter; None for a user's own family."""
    if not type(reader.family).__module__.startswith("bisum."):
        return None
    config, is_separate = copy.deepcopy(reader.config), has_separate_head(reader.config)
    config.tie_word_embeddings = True  # also shares the embedding of encoder and decoder; the head follows
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    try:
        with torch.device("meta"):
            model: PreTrainedModel = kind.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
            head: Any = model.get_output_embeddings()
            if is_separate:
                head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
            if adapter is not None:
                adapter.attach(model, reader.family)
    except Exception as error:  # loading the model reports what is wrong with it, if anything
        logger.debug("a model of type %s cannot be built before its download: %s", config.model_type, error)
        return None
    return model
