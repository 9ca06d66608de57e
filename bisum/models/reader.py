"""The reader of a model's texts with the prompt and the limits of its options."""

from __future__ import annotations

from typing import Any

from bisum.config.options import ModelOptions
from bisum.interfaces.family import Family, TextReader


def checked_reader(
    tokenizer: Any, family: Family, config: Any, options: ModelOptions, prompt: tuple[str, str]
) -> TextReader:
    """Return a reader; `prompt`, the checkpoint's prefix and suffix, applies where `options` state none.

    Raises:
        UserError: the model does not support the limits or the prompt.
    """
    prefix, suffix = prompt
    reader = TextReader(
        tokenizer=tokenizer,
        family=family,
        config=config,
        prefix=prefix if options.prefix is None else options.prefix,
        suffix=suffix if options.suffix is None else options.suffix,
        max_document_tokens=options.max_document_tokens,
        max_summary_tokens=options.max_summary_tokens,
    )
    family.check(reader)
    return reader
