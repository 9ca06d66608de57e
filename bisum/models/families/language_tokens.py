"""mBART-50, M2M-100 and NLLB-200, which mark the language of each text by a token."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bisum.corpus.languages import is_same_language, nearest_language
from bisum.errors import UserError
from bisum.interfaces.family import Family
from bisum.models.decoding import force_first_token
from bisum.models.families.bart import Bart
from bisum.models.prompts import columns, cut
from bisum.models.text_tokenizer import text_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedTokenizerBase

    from bisum.interfaces.family import TextReader

logger = logging.getLogger(__name__)

_TOKEN = re.compile(r"(?:__)?([a-z]{2,3}(?:_[A-Z]{2}|_[A-Z][a-z]{3})?)(?:__)?")
"""A language's token: `es_XX` in mBART-50, `__es__` in M2M-100, `spa_Latn` in NLLB."""


@dataclass(frozen=True, kw_only=True)
class LanguageTokens(Bart):
    """mBART-50 (Tang et al. 2020), M2M-100 (Fan et al. 2020) and NLLB-200 (NLLB Team 2022).

    Both sides are `[language] text </s>`; the decoder starts with `</s>`. As in transformers, the loss includes the
    language token, and generation forces it as the first token, so it counts toward the length that normalizes beams.
    Unlike `forced_bos_token_id`, each row of a batch has its own. `model.max_summary_tokens`, `generation.min_tokens`
    and `eval/gen_len` do not count it.
    """

    needs_language: ClassVar[bool] = True
    forced_tokens: ClassVar[int] = 1

    def load_tokenizer(self, checkpoint: str, **options: Any) -> PreTrainedTokenizerBase:
        """Return the checkpoint's tokenizer.

        transformers 5 rebuilds BARThez's tokenizer as a Unigram model; one whose tokenizer.json contains a BPE is read
        as it is.
        """
        from transformers import PreTrainedTokenizerFast

        if _kind(checkpoint) != ("BarthezTokenizer", "BPE"):
            return super().load_tokenizer(checkpoint, **options)
        tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(checkpoint, **options)
        return tokenizer

    def for_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> Family:
        """Return this family, or that of BART if the tokenizer has no language tokens, as in BARThez."""
        if (kind := type(tokenizer).__name__) == "MBartTokenizer":
            raise UserError(
                f"model.checkpoint: its tokenizer is the {kind} of mBART-25, which bisum does not support; "
                "use mBART-50 (model=mbart50)"
            )
        return self if language_codes(tokenizer) else Bart()

    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Tokenize each row in its own language, regardless of the tokenizer's current language."""
        tokenizer, end = reader.tokenizer, reader.tokenizer.eos_token_id
        known = language_codes(tokenizer)
        tokens = {language: _token(known, language) for language in dict.fromkeys(languages)}
        starts = [tokens[language] for language in languages]
        sources = self._sources(reader, documents, reader.max_document_tokens - 2, special=False)
        targets = text_tokenizer(tokenizer)(summaries, special=False)
        shortened = [cut(ids, reader.max_summary_tokens - 1, None) for ids in targets]
        return columns(
            [([start, *ids, end], was_cut) for start, (ids, was_cut) in zip(starts, sources, strict=True)],
            [([start, *ids, end], was_cut) for start, (ids, was_cut) in zip(starts, shortened, strict=True)],
        )

    def decoding(
        self, inputs: dict[str, torch.Tensor], config: GenerationConfig
    ) -> tuple[torch.Tensor, GenerationConfig, LogitsProcessorList]:
        """Return the decoder's prompt, and the settings and processors, which force each row's language."""
        starts, config, processors = super().decoding(inputs, config)
        languages = inputs["decoder_input_ids"][:, self.start_tokens]
        processors.append(force_first_token(languages, self.start_tokens))
        return starts, config, processors


def _kind(checkpoint: str) -> tuple[str, str]:
    """Return the class of a checkpoint's tokenizer, and the kind of its vocabulary; "" for what is not stated."""

    def read(name: str) -> dict[str, Any]:
        try:
            return dict(json.loads(Path(checkpoint, name).read_text("utf-8")))
        except (OSError, ValueError, TypeError):  # the tokenizer's own loading reports it
            return {}

    model = read("tokenizer.json").get("model")
    kind = model.get("type") if isinstance(model, dict) else ""
    return str(read("tokenizer_config.json").get("tokenizer_class")).removesuffix("Fast"), str(kind)


def language_codes(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the codes of a tokenizer's languages, such as `es_XX`, `es` or `spa_Latn`, and the ids of their tokens."""
    if (of_m2m := getattr(tokenizer, "lang_code_to_token", None)) is not None:
        ids = tokenizer.get_vocab()
        return {code: ids[token] for code, token in of_m2m.items() if token in ids}
    special = text_tokenizer(tokenizer).special
    return {match[1]: at for at, token in special.items() if (match := _TOKEN.fullmatch(token))}


def _token(known: dict[str, int], language: str) -> int:
    """Return the id of a language's token, such as that of `spa_Latn` for `es`, `spa` or `es-MX`."""
    code = nearest_language(language, list(known))
    if code is None:
        raise UserError(f"languages: the model does not support '{language}'; choose from {', '.join(sorted(known))}")
    if not is_same_language(language, code):
        _report(language, code)
    return known[code]


@cache
def _report(language: str, code: str) -> None:
    logger.warning("languages: '%s' is read as %s, the nearest that the model supports", language, code)


@dataclass(frozen=True, kw_only=True)
class SparseLanguageTokens(LanguageTokens):
    """NLLB-MoE, whose decoder needs the router logits of the encoder."""

    shares_states: ClassVar[bool] = False
