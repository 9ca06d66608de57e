"""A tokenizer with fewer pieces."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.errors import UserError, one_line
from bisum.models.vocabulary.pieces import merges_of, state_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bisum.interfaces.family import Family


def cut_tokenizer(tokenizer: PreTrainedTokenizerBase, family: Family, kept: Sequence[int]) -> PreTrainedTokenizerBase:
    """Return a tokenizer with the pieces of the ids `kept`, which are numbered from 0 in their order.

    It is read from files like any other, as checkpoints with it will be.

    Raises:
        UserError: the files cannot be written, or the tokenizer's class reads something else from them than was
            written.
    """
    state = _cut_state(state_of(tokenizer), {old: new for new, old in enumerate(kept)})
    with _temporary_folder() as folder:
        _write(tokenizer, state, folder)
        smaller = family.load_tokenizer(str(folder), trust_remote_code=False)
    for entry in (name for name in ("eos_token", "pad_token") if getattr(smaller, name) != getattr(tokenizer, name)):
        setattr(smaller, entry, getattr(tokenizer, entry))
    smaller.name_or_path = tokenizer.name_or_path
    if state_of(smaller) != state or smaller.special_tokens_map != tokenizer.special_tokens_map:
        kind = type(tokenizer).__name__
        raise UserError(f"model.trim_vocabulary: a {kind} rebuilds its vocabulary when it is read; set it to false")
    return smaller


def _cut_state(state: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return the contents of `tokenizer.json` with only the ids in `new`, renumbered."""
    model = dict(state["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [entry for at, entry in enumerate(model["vocab"]) if at in new]
        model["unk_id"] = new[model["unk_id"]] if model["unk_id"] is not None else None
    else:
        vocabulary = {piece: new[at] for piece, at in model["vocab"].items() if at in new}
        merges = [
            [first, second]
            for first, second in merges_of(model)
            if {first, second, first + second} <= vocabulary.keys()
        ]
        model |= {"vocab": vocabulary, "merges": merges}
    added = [{**token, "id": new[token["id"]]} for token in state["added_tokens"]]
    return {**state, "model": model, "added_tokens": added, "post_processor": _renumber(state["post_processor"], new)}


def _renumber(processor: Any, new: Mapping[int, int]) -> Any:
    """Return a post-processor with the new ids of the tokens that it writes around a text."""
    if not isinstance(processor, dict):
        return processor
    changed = dict(processor)
    match processor["type"]:
        case "Sequence":
            changed["processors"] = [_renumber(part, new) for part in processor["processors"]]
        case "TemplateProcessing":
            changed["special_tokens"] = {
                name: {**token, "ids": [new[at] for at in token["ids"]]}
                for name, token in processor["special_tokens"].items()
            }
        case "RobertaProcessing" | "BertProcessing":
            changed |= {side: [processor[side][0], new[processor[side][1]]] for side in ("sep", "cls")}
    return changed


def _write(tokenizer: PreTrainedTokenizerBase, state: Mapping[str, Any], folder: Path) -> None:
    """Write the files of a tokenizer with other contents of `tokenizer.json`."""
    try:
        tokenizer.save_pretrained(folder)
        (folder / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), "utf-8")
        file = folder / "tokenizer_config.json"
        config = json.loads(file.read_text("utf-8"))
        config.pop("added_tokens_decoder", None)  # the old ids; `tokenizer.json` has the new ones
        file.write_text(json.dumps(config, ensure_ascii=False), "utf-8")
    except Exception as error:  # tokenizers raises plain exceptions
        raise _unwritable(error) from error


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise _unwritable(error) from error
    with folder as name:
        yield Path(name)


def _unwritable(error: Exception) -> UserError:
    place = tempfile.tempdir or "a temporary directory"  # None if no directory can be written to
    return UserError(
        f"model.trim_vocabulary: the tokenizer cannot be written to {place} ({one_line(error)}); free space there, or "
        "set TMPDIR to another directory"
    )
