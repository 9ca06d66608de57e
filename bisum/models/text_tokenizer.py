"""Tokenization that reads special tokens in a document, such as `</s>`, as plain text."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from bisum.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


class TextTokenizer:
    """Tokenizes texts, with a model's own text around each, such as a prompt or a chat template.

    Special tokens of the surrounding text keep their function; those in a text are tokenized like other words.
    transformers' `split_special_tokens` alone does not ensure this: it also splits those of a template, and a
    SentencePiece model finds `</s>` among its pieces.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._reference = ref(tokenizer)  # text_tokenizer's dictionary would keep a tokenizer alive otherwise
        has_unknown = tokenizer.unk_token is not None and tokenizer.unk_token != tokenizer.eos_token
        self.unknown: int | None = tokenizer.unk_token_id if has_unknown else None
        """Id of the token for unknown text; None if the tokenizer has none of its own."""
        added = {at: token.content for at, token in tokenizer.added_tokens_decoder.items() if token.special}
        named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        self.special: dict[int, str] = {at: text for at, text in {**named, **added}.items() if at != self.unknown}
        """Ids and texts of the special tokens, except the one for unknown text."""
        texts = [*self.special.values(), *([str(tokenizer.unk_token)] if has_unknown else [])]
        self._texts = sorted(filter(str.strip, texts), key=len, reverse=True)
        self._candidate = _candidates(self._texts)

    def __call__(
        self, texts: Sequence[str], before: str = "", after: str = "", *, special: bool = True, target: bool = False
    ) -> list[list[int]]:
        """Return the token ids of each text between `before` and `after`.

        Args:
            texts: the texts, of a corpus or a user.
            before: text of the model's own before each.
            after: text of the model's own after each.
            special: whether to add the tokens that the tokenizer puts around a text.
            target: whether the texts are a decoder's, which some tokenizers treat differently.

        Raises:
            UserError: the tokenizer is written in Python, and both a text and what surrounds it contain special tokens.
        """
        encoded = self._tokenize(texts, before, after, special, target)
        if self._tokenizer.is_fast:
            rows = self._with_special(encoded, texts, before, after, special, target)
        else:
            rows = list(self.find_special(texts))
        if rows:
            as_text = self._as_text([texts[row] for row in rows], before, after, special, target)
            for row, ids in zip(rows, as_text, strict=True):
                encoded[row] = ids
        return encoded

    def find_special(self, texts: Sequence[str]) -> dict[int, str]:
        """Return the indices of the texts that contain a special token, and a token that each contains."""
        rows = [row for row, text in enumerate(texts) if self._candidate.search(text)]
        found = {row: next((token for token in self._texts if token in texts[row]), None) for row in rows}
        return {row: token for row, token in found.items() if token is not None}

    @property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        tokenizer = self._reference()
        assert tokenizer is not None
        return tokenizer

    def _tokenize(
        self, texts: Sequence[str], before: str, after: str, special: bool, target: bool, **options: Any
    ) -> list[list[int]]:
        """Return the ids that the tokenizer itself assigns, in which a special token is special anywhere."""
        if not texts:
            return []
        joined, tokenizer = [f"{before}{text}{after}" for text in texts], self._tokenizer
        if tokenizer.is_fast and not target:
            tokenizer("")  # undoes the truncation, padding and target mode of other calls
            return _ids(tokenizer.backend_tokenizer, joined, special)
        options |= {"add_special_tokens": special, "return_attention_mask": False}
        ids: list[list[int]] = tokenizer(**{"text_target" if target else "text": joined}, **options)["input_ids"]
        return ids

    def _with_special(
        self, encoded: Sequence[list[int]], texts: Sequence[str], before: str, after: str, special: bool, target: bool
    ) -> list[int]:
        """Return the rows with more special tokens than those around each text.

        Their ids show it even if only the normalized text contains one, such as `</s>` in full-width characters.
        """
        (around,) = self._tokenize([""], before, after, special, target)
        own = {at: around.count(at) for at in set(around) if at in self.special}
        others, unknown = self.special.keys() - own.keys(), self._tokenizer.unk_token or ""
        return [
            row
            for row, (ids, text) in enumerate(zip(encoded, texts, strict=True))
            if not others.isdisjoint(ids)
            or any(ids.count(at) != count for at, count in own.items())
            or (self.unknown is not None and unknown in text)
        ]

    def _as_text(self, texts: Sequence[str], before: str, after: str, special: bool, target: bool) -> list[list[int]]:
        """Return the ids of texts, of which only `before` and `after` can contain special tokens."""
        if not self._tokenizer.is_fast:
            if own := self.find_special([before + after]):
                token = next(iter(self.find_special(texts).values()))
                raise UserError(
                    f"model.prefix: contains the special token {own[0]!r}, and a text contains {token!r}; a tokenizer "
                    "written in Python cannot tell them apart, so remove one"
                )
            return self._tokenize(texts, before, after, special, target, split_special_tokens=True)
        tokenizer, names = self._renamed
        before, after = (_rename(text, names) for text in (before, after))
        joined = [f"{before}{text}{after}" for text in texts]
        return _ids(tokenizer, joined, special)

    @cached_property
    def _renamed(self) -> tuple[Tokenizer, dict[str, str]]:
        """A copy of a fast tokenizer whose special tokens have unguessable names, and these names."""
        from tokenizers import Tokenizer

        names = {token: f"\U0010fffe{secrets.token_hex(8)}\U0010fffe" for token in self._texts}
        state = json.loads(self._tokenizer.backend_tokenizer.to_str())
        state.update(truncation=None, padding=None)
        for token in state["added_tokens"]:
            token["content"] = names.get(token["content"], token["content"])
        _rename_pieces(state["model"], names)
        return Tokenizer.from_str(json.dumps(state)), names


def text_tokenizer(tokenizer: PreTrainedTokenizerBase) -> TextTokenizer:
    """Return the `TextTokenizer` of a tokenizer; the same object for each call."""
    if (found := _tokenizers.get(tokenizer)) is None:
        found = _tokenizers[tokenizer] = TextTokenizer(tokenizer)
    return found


_tokenizers: WeakKeyDictionary[PreTrainedTokenizerBase, TextTokenizer] = WeakKeyDictionary()


def _ids(tokenizer: Tokenizer, texts: Sequence[str], special: bool) -> list[list[int]]:
    """Return the ids of texts without the offsets and strings of their tokens, which take a tenth of the time."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=special)]


def _candidates(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds every text with one of the tokens, and few others, by a rare character of each."""
    rare = {next((character for character in token if not character.isalnum()), token) for token in tokens}
    return re.compile("|".join(map(re.escape, sorted(rare))) or r"(?!)")


def _rename(text: str, names: dict[str, str]) -> str:
    """Return a text with other names for the tokens in it; `names` has the longest first."""
    return re.sub("|".join(map(re.escape, names)), lambda match: names[match[0]], text) if text and names else text


def _rename_pieces(model: dict[str, Any], names: dict[str, str]) -> None:
    """Rename special tokens in the vocabulary of a model, so that no text matches them; drop merges that build them."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pieces and their scores, in the order of their ids
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    else:
        model["vocab"] = {names.get(piece, piece): at for piece, at in vocabulary.items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if names.keys().isdisjoint([*pair, "".join(pair)])]
