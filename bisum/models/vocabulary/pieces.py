"""The pieces of a vocabulary that a corpus needs, such that its texts are cut as by the whole vocabulary."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A piece that stands for one byte of a character without a piece of its own."""
_SPELT = ("Unigram", "BPE")
"""Kinds of vocabulary whose pieces can be dropped without a change to texts that do not use them."""


def state_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the contents of a tokenizer's `tokenizer.json`.

    Raises:
        UserError: trimming would not be exact for a tokenizer of this kind.
    """
    state = _contents(tokenizer)
    if problem := _problem(tokenizer, state):
        raise UserError(f"model.trim_vocabulary: {problem}; set it to false")
    return {**state, "truncation": None, "padding": None}


def trimming_problem(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return why trimming a tokenizer's vocabulary would not be exact, if so."""
    return _problem(tokenizer, _contents(tokenizer))


def _problem(tokenizer: PreTrainedTokenizerBase, state: Mapping[str, Any]) -> str | None:
    kind = type(tokenizer).__name__
    if not state:
        return f"a {kind} has no tokenizer.json, since it is written in Python"
    model = state["model"]
    if model["type"] not in _SPELT:
        return f"a {kind} is a {model['type']}, not Unigram or BPE"
    options = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
    found = next((option for option in options if model.get(option)), None)
    return found and f"a BPE with {found} is not supported"


def _contents(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return what `tokenizer.json` contains; nothing for a tokenizer written in Python."""
    contents: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    return contents


def pieces_of(model: Mapping[str, Any]) -> dict[int, str]:
    """Return the pieces of the `model` of a `tokenizer.json` by id, without tokens that are only added to it."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pieces and their scores, in the order of their ids
        return {at: piece for at, (piece, _) in enumerate(vocabulary)}
    return {at: piece for piece, at in vocabulary.items()}


def merges_of(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the merges of a BPE in their order; files write a pair as a list or with a space."""
    pairs = (pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"])
    return [(first, second) for first, second in pairs]


def choose_pieces(state: Mapping[str, Any], used: Iterable[int]) -> list[int]:
    """Return the ids to keep, in ascending order, if a corpus uses the ids `used`.

    Texts that only use kept pieces are cut as before. A Unigram model chooses the best of all ways to cut a text, which
    remains the best among fewer; only the score of an unknown character depends on other pieces, on the lowest score. A
    BPE model builds a piece in the same steps wherever it occurs, as no merge crosses the piece's ends.

    Other texts are cut into more pieces, but unknown characters stay the same: every character with a piece of its own
    keeps it, or is written as bytes if its script does not occur in the corpus and the tokenizer has bytes for it.
    """
    model = state["model"]
    pieces = pieces_of(model)
    ids = {piece: at for at, piece in pieces.items()}
    added = {token["id"] for token in state["added_tokens"]}
    kept = {*used, *added, *(at for at, piece in pieces.items() if _BYTE.fullmatch(piece))}
    texts = [pieces[at] for at in kept - added if at in pieces and not _BYTE.fullmatch(pieces[at])]
    spelt = model.get("byte_fallback") and all(f"<0x{byte:02X}>" in ids for byte in range(256))
    scripts = {_script(character) for piece in texts for character in piece} if spelt else None
    kept |= {at for at, piece in pieces.items() if len(piece) == 1 and (scripts is None or _script(piece) in scripts)}
    kept |= {at for at, piece in pieces.items() if len(piece) == 1 and _script(piece) is None}
    if model["type"] == "BPE":
        kept |= {ids[piece] for piece in _built(texts, merges_of(model)) if piece in ids}
        kept |= {ids[model["unk_token"]]} if model.get("unk_token") in ids else set()
        return sorted(kept)
    kept |= {model["unk_id"]} if model["unk_id"] is not None else set()
    kept.add(min(pieces, key=lambda at: model["vocab"][at][1]))
    if not spelt:
        characters = {piece for piece in ids if len(piece) == 1}
        kept |= {at for at, piece in pieces.items() if not characters.issuperset(piece)}
    return sorted(kept)


def _script(character: str) -> str | None:
    """Return the script of a letter, such as LATIN, by the start of its Unicode name; None for what all scripts use."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    script = unicodedata.name(character, "").partition(" ")[0]
    return None if script in ("COMBINING", "MODIFIER") else script


def _built(pieces: Iterable[str], merges: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the pieces that BPE builds on the way from characters to each of `pieces`."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    for piece in pieces:
        parts = list(piece)
        while len(parts) > 1:
            rank, at = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
            if rank == len(ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            yield parts[at]
