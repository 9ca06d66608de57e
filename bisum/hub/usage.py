"""Instructions for using a model: the Python code for transformers alone, and the command line of bisum."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.hub.markdown import LONGEST_COMMAND, line
from bisum.hub.origins import node
from bisum.interfaces.defaults import defaults_of
from bisum.interfaces.family import TextReader
from bisum.models.families.decoder_only import DecoderOnly, is_chat
from bisum.models.families.language_tokens import LanguageTokens, language_codes
from bisum.models.families.led import LED
from bisum.models.families.pegasus import Pegasus
from bisum.models.source import reading
from bisum.models.wordpiece import CHINESE_SPACE, separates_chinese

_ENCODE = """
def encode(document):
    ids = tokenizer(prompt(document){options}).input_ids
    ends = [end for _, end in tokenizer(document, add_special_tokens=False, return_offsets_mapping=True).offset_mapping]
    while len(ids) > {limit}:  # shorten the document, not the prompt
        ends = ends[: {limit} - len(ids)]
        ids = tokenizer(prompt(document[: ends[-1]]){options}).input_ids
    return ids

"""
_ENCODE_WITHOUT_OFFSETS = """
def encode(document):
    ids = tokenizer(prompt(document){options}).input_ids
    while len(ids) > {limit}:  # shorten the document, not the prompt
        document = document[:-1]
        ids = tokenizer(prompt(document){options}).input_ids
    return ids

"""
_GLOBAL_ATTENTION = """    inputs["global_attention_mask"] = torch.zeros_like(inputs["input_ids"])
    inputs["global_attention_mask"][:, 0] = 1"""
_UNSCALED = "model.config.tie_word_embeddings = False  # transformers 5 would scale the logits; umT5's are not scaled"
_CHAT = """    turns = [{"role": "user", "content": text}]
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
"""


def has_own_family(reader: TextReader) -> bool:
    """Return whether a model needs code of its user, beyond bisum's own families."""
    return not type(reader.family).__module__.startswith("bisum.")


def python_code(reader: TextReader, repo: str, languages: Sequence[str]) -> str:
    """Return Python code that defines `summarize`, which writes the same summaries as bisum with transformers alone.

    For models with language tokens, `summarize` also takes a language code. The code is for bisum's own families only.
    """
    family = reader.family
    is_causal = isinstance(family, DecoderOnly)
    auto_model = "AutoModelForCausalLM" if is_causal else "AutoModelForSeq2SeqLM"
    has_prompt = is_causal or bool(reader.suffix)
    codes = _language_codes(reader, languages) if isinstance(family, LanguageTokens) else {}
    tokens = ", ".join(f"{_quoted(language)}: {_quoted(token)}" for language, token in codes.items())
    edit = _edit(reader)
    has_tensors = has_prompt or isinstance(family, LED)
    lines = [*(["import re", ""] if edit else []), *(["import torch"] if has_tensors else [])]
    lines += [
        f"from transformers import {auto_model}, AutoTokenizer",
        "",
        f"REPO = {_quoted(repo)}",
        *([f"LANGUAGES = {{{tokens}}}"] if codes else []),
        "tokenizer = AutoTokenizer.from_pretrained(REPO)",
        f"model = {auto_model}.from_pretrained(REPO)",
        *([_UNSCALED] if reader.config.model_type == "umt5" else []),
        "",
        "",
    ]
    if has_prompt:
        lines += [*_prompt(reader), ""]
        options = ", add_special_tokens=False" if is_causal and is_chat(reader) else ""
        encode = _ENCODE if reader.tokenizer.is_fast else _ENCODE_WITHOUT_OFFSETS
        lines += encode.format(options=options, limit=reader.max_document_tokens).split("\n")
    lines += _summarize(reader, edit, has_prompt=has_prompt, is_causal=is_causal)
    example = f'"The text to summarize.", {_quoted(next(iter(codes)))}' if codes else '"The text to summarize."'
    return "\n".join([*lines, "", "", f"print(summarize({example}))", ""])


def _prompt(reader: TextReader) -> list[str]:
    texts = [_quoted(reader.prefix), "document", _quoted(reader.suffix)]
    joined = " + ".join(text for text in texts if text != '""')
    if not (isinstance(reader.family, DecoderOnly) and is_chat(reader)):
        return ["def prompt(document):", f"    return {joined}"]
    return ["def prompt(document):", f"    text = {joined}", *_CHAT.rstrip().split("\n")]


def _edit(reader: TextReader) -> tuple[str, str] | None:
    """Return the regular expression and the replacement with which a decoded text is edited, as Python literals."""
    if isinstance(reader.family, Pegasus) and reader.family.writes_breaks(reader.tokenizer):
        return 'r" *<n> *"', r'"\n"'
    return (f'r"{CHINESE_SPACE}"', '""') if separates_chinese(reader.tokenizer) else None


def _summarize(reader: TextReader, edit: tuple[str, str] | None, *, has_prompt: bool, is_causal: bool) -> list[str]:
    """Return the lines of the function `summarize`."""
    by_language = isinstance(reader.family, LanguageTokens)
    lines = ["def summarize(document, language):" if by_language else "def summarize(document):"]
    if by_language:
        lines.append("    tokenizer.src_lang = LANGUAGES[language]")
    if isinstance(reader.family, Pegasus) and edit:
        lines.append(r'    document = document.replace("\n", "<n>")')
    if has_prompt:
        document = "document.strip()" if is_causal else "document"
        lines += [
            f"    input_ids = torch.tensor([encode({document})])",
            '    inputs = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}',
        ]
    else:
        text = f"{_quoted(reader.prefix)} + document" if reader.prefix else "document"
        limit = f"truncation=True, max_length={reader.max_document_tokens}"
        if separates_chinese(reader.tokenizer):
            limit = f"{limit}, return_token_type_ids=False"
        lines.append(f'    inputs = tokenizer({text}, {limit}, return_tensors="pt")')
    if isinstance(reader.family, LED):
        lines += _GLOBAL_ATTENTION.split("\n")
    id_of = "get_lang_id" if hasattr(reader.tokenizer, "get_lang_id") else "convert_tokens_to_ids"  # the first: M2M-100
    start = f", forced_bos_token_id=tokenizer.{id_of}(LANGUAGES[language])" if by_language else ""
    lines.append(f"    output = model.generate(**inputs{start})[0]")
    output = "output[input_ids.shape[1] :]" if is_causal else "output"
    text = f"tokenizer.decode({output}, skip_special_tokens=True)"
    lines.append(f"    return re.sub({edit[0]}, {edit[1]}, {text}).strip()" if edit else f"    return {text}.strip()")
    return lines


def _quoted(text: str) -> str:
    """Return the Python literal of a text, in double quotes if possible."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal.startswith("'") and '"' not in text else literal


def _language_codes(reader: TextReader, languages: Sequence[str]) -> dict[str, str]:
    """Return the model's own code of each language that it supports, such as `es_XX`."""
    own = {at: code for code, at in language_codes(reader.tokenizer).items()}
    codes = {}
    for language in languages:
        with suppress(UserError):
            codes[language] = own[reader.encode([""], [""], [language])["input_ids"][0][0]]
    return codes


def counts_prompt_ngrams(folder: Path, reader: TextReader) -> bool:
    """Return whether plain `generate` of a saved model bans n-grams that bisum allows.

    They are those of the prompt, or of an end token that starts the decoder.

    Raises:
        UserError: its generation settings are damaged.
    """
    from transformers import GenerationConfig

    file = folder / "generation_config.json"
    if not file.is_file():
        return False
    size = reading("run", str(file), partial(GenerationConfig.from_pretrained, folder)).no_repeat_ngram_size
    start = getattr(reader.config, "decoder_start_token_id", None)
    starts_with_end = start is not None and start == reader.tokenizer.eos_token_id
    return bool(size) and (isinstance(reader.family, DecoderOnly) or starts_with_end)


def command(record: Mapping[str, Any], reader: TextReader, repo: str, languages: Sequence[str]) -> str:
    """Return the command line that summarizes a text with bisum as the run did."""
    model, generation = defaults_of("model/_base"), defaults_of("train", resolve=False)["generation"]
    limits = {"max_document_tokens": reader.max_document_tokens, "max_summary_tokens": reader.max_summary_tokens}
    own = node(record, "config", "generation")
    settings = [f"model.{key}={value}" for key, value in limits.items() if value != model[key]]
    settings += [
        f"generation.{key}={'null' if own[key] is None else str(own[key]).lower()}"
        for key, default in generation.items()
        if key in own
        and own[key] != default
        and (isinstance(own[key], int | float | None) or str(own[key]).isidentifier())
    ]
    family = node(record, "config", "model", "family").get("_target_")
    if has_own_family(reader) and isinstance(family, str):
        settings += [f"allow_targets=[{family.partition('.')[0]}]", f"model.family._target_={family}"]
    if reader.family.needs_language and languages:
        settings.append(f"language={languages[0]}")
    arguments = [line(argument, LONGEST_COMMAND) for argument in ("bisum", "summarize", repo, *settings)]
    return shlex.join(arguments) + ' -- "The text to summarize."'
