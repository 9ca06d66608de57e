"""The choice of a model's family from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bisum.errors import UserError
from bisum.models.families.bart import Bart
from bisum.models.families.decoder_only import DecoderOnly
from bisum.models.families.encoder_decoder import EncoderDecoder
from bisum.models.families.language_tokens import LanguageTokens, SparseLanguageTokens
from bisum.models.families.led import LED
from bisum.models.families.marian import Marian
from bisum.models.families.pegasus import Pegasus
from bisum.models.families.t5 import T5
from bisum.models.families.t5gemma import T5Gemma

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from bisum.interfaces.family import Family, TextReader

FAMILIES: dict[str, Family] = {
    "t5": T5(),
    "mt5": T5(),
    "umt5": T5(),
    "longt5": T5(),
    "t5gemma": T5Gemma(),
    "t5gemma2": T5Gemma(),
    "bart": Bart(),
    "led": LED(),
    "mbart": LanguageTokens(),
    "m2m_100": LanguageTokens(),
    "marian": Marian(),
    "pegasus": Pegasus(),
    "gpt2": DecoderOnly(),
    "qwen2": DecoderOnly(),
}
"""Family of each `model_type` of a checkpoint's config.json that the tests cover."""

_SIMILAR: dict[str, Family] = {
    "nllb-moe": SparseLanguageTokens(),
    "bigbird_pegasus": Pegasus(),
    "pegasus_x": Pegasus(),
}
"""Family of each `model_type` that shares the tokenizer and text format of another."""


def family_of(config: PretrainedConfig, checkpoint: str) -> Family:
    """Return the family of a model; a kind without a family of its own has a general one.

    Raises:
        UserError: transformers has no text model for the configuration.
    """
    if (family := FAMILIES.get(config.model_type) or _SIMILAR.get(config.model_type)) is not None:
        return family
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    if config.is_encoder_decoder and config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return EncoderDecoder()
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    if any(name == known or name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or []):
        return DecoderOnly()
    raise UserError(
        f"model.checkpoint: '{checkpoint}' is a '{config.model_type}' model, which is neither an encoder-decoder nor a "
        f"causal language model for text, such as {', '.join(FAMILIES)}; for others, set model.family._target_ to a "
        "class of your own"
    )


def is_tested(config: PretrainedConfig) -> bool:
    """Return whether the tests cover this `model_type`."""
    return config.model_type in FAMILIES


def tokenizer_note(reader: TextReader, usual: Family) -> str | None:
    """Return a line if the tokenizer of a model changed its family from the usual one."""
    if (family := type(reader.family)) is type(usual):
        return None
    kind = type(reader.tokenizer).__name__
    return (
        f"model.checkpoint: its tokenizer is a {kind} without language tokens; {family.__name__} reads the model, not "
        f"{type(usual).__name__}"
    )
