"""The built-in model families.

Your own family is a class that inherits from one of these; set `model.family._target_` to it.
"""

from bisum.models.families.bart import Bart
from bisum.models.families.decoder_only import DecoderOnly
from bisum.models.families.encoder_decoder import EncoderDecoder
from bisum.models.families.language_tokens import LanguageTokens
from bisum.models.families.led import LED
from bisum.models.families.marian import Marian
from bisum.models.families.pegasus import Pegasus
from bisum.models.families.t5 import T5
from bisum.models.families.t5gemma import T5Gemma

__all__ = [
    "LED",
    "T5",
    "Bart",
    "DecoderOnly",
    "EncoderDecoder",
    "LanguageTokens",
    "Marian",
    "Pegasus",
    "T5Gemma",
]
