"""Tokenization in which special tokens that are written in a text are text, such as `</s>` in a document about HTML."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

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
        self._tokenizer = tokenizer
        unknown = None if tokenizer.unk_token == tokenizer.eos_token else tokenizer.unk_token_id
        self._unknown = unknown
        added = {at: token.content for at, token in tokenizer.added_tokens_decoder.items() if token.special}
        named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        self.special: dict[int, str] = {at: token for at, token in {**named, **added}.items() if at != unknown}
        """Ids and texts of the special tokens, except the one for unknown text."""
        self._candidate = _candidates(filter(None, [*self.special.values(), tokenizer.unk_token]))

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
        """
        encoded = self._tokenize([f"{before}{text}{after}" for text in texts], special, target)
        if rows := self._with_special(encoded, texts, before, after, special, target):
            as_text = self._as_text([texts[row] for row in rows], before, after, special, target)
            for row, ids in zip(rows, as_text, strict=True):
                encoded[row] = ids
        return encoded

    def find_special(self, texts: Sequence[str]) -> dict[int, str]:
        """Return the indices of the texts that contain a special token, and the first such token in each."""
        rows = [row for row, text in enumerate(texts) if self._candidate.search(text)]
        candidates = [texts[row] for row in rows]
        encoded = self._tokenize(candidates, special=False, target=False)
        found = self._with_special(encoded, candidates, "", "", special=False, target=False)
        unknown = self._tokenizer.unk_token
        return {rows[at]: next((self.special[i] for i in encoded[at] if i in self.special), unknown) for at in found}

    def _tokenize(self, texts: Sequence[str], special: bool, target: bool, **options: Any) -> list[list[int]]:
        """Return the ids that the tokenizer itself assigns, in which a special token is special anywhere."""
        options |= {"add_special_tokens": special, "return_attention_mask": False}
        given: dict[str, Any] = {"text_target" if target else "text": list(texts)}
        encoded: list[list[int]] = self._tokenizer(**given, **options)["input_ids"] if texts else []
        return encoded

    def _with_special(
        self, encoded: Sequence[list[int]], texts: Sequence[str], before: str, after: str, special: bool, target: bool
    ) -> list[int]:
        """Return the rows with more special tokens than those around each text."""
        if not encoded:
            return []
        (around,) = self._tokenize([f"{before}{after}"], special, target)
        own = [at for at in set(around) if at in self.special]
        counts = [around.count(at) for at in own]
        others, unknown = self.special.keys() - set(own), self._tokenizer.unk_token or ""
        return [
            row
            for row, (ids, text) in enumerate(zip(encoded, texts, strict=True))
            if self._candidate.search(text)
            and (
                not others.isdisjoint(ids)
                or any(ids.count(at) != count for at, count in zip(own, counts, strict=True))
                or (self._unknown is not None and unknown in text and self._unknown in ids)
            )
        ]

    def _as_text(self, texts: Sequence[str], before: str, after: str, special: bool, target: bool) -> list[list[int]]:
        """Return the ids of texts, of which only `before` and `after` can contain special tokens."""
        if self._renamed is None:
            if any(token in before or token in after for token in self.special.values()):
                return self._tokenize([f"{before}{text}{after}" for text in texts], special, target)
            joined = [f"{before}{text}{after}" for text in texts]
            return self._tokenize(joined, special, target, split_special_tokens=True)
        tokenizer, names = self._renamed
        before, after = (_rename(text, names) for text in (before, after))
        joined = [f"{before}{text}{after}" for text in texts]
        return [encoding.ids for encoding in tokenizer.encode_batch(joined, add_special_tokens=special)]

    @cached_property
    def _renamed(self) -> tuple[Tokenizer, dict[str, str]] | None:
        """A copy of the tokenizer whose special tokens have unguessable names, and these; None: not a fast one."""
        from tokenizers import Tokenizer

        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            return None
        special = {*self.special.values(), self._tokenizer.unk_token} - {None}
        names = {str(token): f"\U0010fffe{secrets.token_hex(8)}\U0010fffe" for token in special}
        state = json.loads(backend.to_str())
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


def _candidates(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches every text with one of the tokens, and few others: a rare character of each."""
    rare = {next((character for character in token if not character.isalnum()), token) for token in tokens}
    return re.compile("|".join(map(re.escape, sorted(rare))) or r"(?!)")


def _rename(text: str, names: dict[str, str]) -> str:
    """Return a text with other names for the tokens in it; the longest match wins."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda match: names[match[0]], text) if text else text


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
