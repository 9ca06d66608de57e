"""Reference results of plain transformers: one row at a time, without padding or code of bisum."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from checkpoints import PROMPTS
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

LANGUAGE_TOKENS = {
    "mbart50": {"en": "en_XX", "es": "es_XX", "de": "de_DE"},
    "nllb": {"en": "eng_Latn", "es": "spa_Latn", "de": "deu_Latn"},
    "m2m100": {"en": "__en__", "es": "__es__", "de": "__de__"},
}
"""The token of each language, in the families that write it before documents and summaries."""
T5_FAMILY = ("t5", "flan_t5", "mt5", "umt5", "byt5", "longt5")
SENTINELS = {"umt5": 300, "byt5": 125}
"""Number of sentinels; 100 in the other models of T5's family."""


def read_model(family: str, folder: Path) -> PreTrainedModel:
    """The model of a checkpoint, with float32 weights."""
    auto_model = AutoModelForCausalLM if family in PROMPTS else AutoModelForSeq2SeqLM
    model = auto_model.from_pretrained(folder, dtype=torch.float32).eval()
    if family == "umt5":  # transformers 5 scales the logits as if the head were tied, whatever config.json says
        model.config.tie_word_embeddings = False
    return model


def read_tokenizer(family: str, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    BARThez's vocabulary is a BPE, which BarthezTokenizer of transformers 5 cannot read; it rebuilds a Unigram.
    """
    auto_tokenizer = PreTrainedTokenizerFast if family == "barthez" else AutoTokenizer
    return auto_tokenizer.from_pretrained(folder)


@dataclass
class Plain:
    """A checkpoint of tests/checkpoints, used as documented by its authors or transformers."""

    family: str
    folder: Path
    document_tokens: int = 64
    summary_tokens: int = 12
    model: Any = field(init=False)
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.is_causal = self.family in PROMPTS
        self.model = read_model(self.family, self.folder)
        self.tokenizer = read_tokenizer(self.family, self.folder)
        self.languages = LANGUAGE_TOKENS.get(self.family, {})
        self.end = self.model.generation_config.eos_token_id if self.family == "bart_chinese" else None
        self.end = self.tokenizer.eos_token_id if self.end is None else self.end

    def document(self, text: str, language: str) -> list[int]:
        """Token ids of a document."""
        match self.family:
            case "gpt2" | "chat":
                ends = [end for _, end in self.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
                longest_first = (self._prompt(text[:end]) for end in [len(text), *reversed(ends)])
                return next(ids for ids in longest_first if len(ids) <= self.document_tokens)
            case "t5":
                text = f"summarize: {text}"
            case "pegasus":
                text = text.replace("\n", "<n>")
        self._speak("src_lang", language)
        return self.tokenizer(text, truncation=True, max_length=self.document_tokens)["input_ids"]

    def _prompt(self, text: str) -> list[int]:
        if self.family == "gpt2":
            return self.tokenizer(f"{text}\nTL;DR:")["input_ids"]
        turns = [{"role": "user", "content": f"Summarize:\n{text}"}]
        return self.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]

    def summary(self, text: str, language: str) -> list[int]:
        """Token ids of a reference summary."""
        match self.family:
            case "gpt2" | "chat":
                ids = self.tokenizer(text if self.family == "chat" else f" {text}")["input_ids"]
                return [*ids[: self.summary_tokens - 1], self.end]
            case "kobart":
                return [*self.tokenizer(text)["input_ids"][: self.summary_tokens - 1], self.end]
            case "t5gemma" | "t5gemma2":  # without <bos>, with which decoding starts
                ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
                return [*ids[: self.summary_tokens - 1], self.end]
            case "pegasus":
                text = text.replace("\n", "<n>")
        self._speak("tgt_lang", language)
        limit = self.summary_tokens + len(self._start(language))
        return self.tokenizer(text_target=text, truncation=True, max_length=limit)["input_ids"]

    def _speak(self, side: str, language: str) -> None:
        if self.languages:
            token = self.languages[language]
            setattr(self.tokenizer, side, token.strip("_") if self.family == "m2m100" else token)

    def _start(self, language: str) -> list[int]:
        return [self.tokenizer.convert_tokens_to_ids(self.languages[language])] if self.languages else []

    @torch.no_grad()
    def loss(self, document: list[int], summary: list[int]) -> float:
        """Cross-entropy of a summary, summed over its tokens."""
        if self.is_causal:
            logits = self.model(torch.tensor([document + summary])).logits[0]
            logarithms = logits.log_softmax(dim=-1)
            return -sum(logarithms[len(document) + at - 1, token].item() for at, token in enumerate(summary))
        mean = self.model(**self.inputs(document), labels=torch.tensor([summary])).loss
        return mean.item() * len(summary)

    def inputs(self, document: list[int]) -> dict[str, torch.Tensor]:
        """Arguments of the model for a document."""
        ids = torch.tensor([document])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.family == "led":  # its authors recommend global attention on the first token
            inputs["global_attention_mask"] = torch.tensor([[1] + [0] * (len(document) - 1)])
        return inputs

    @torch.no_grad()
    def generate(self, document: list[int], language: str, **decoding: Any) -> list[int]:
        """Token ids of a generated summary, from the first one chosen by the model."""
        decoding = {"max_new_tokens": self.summary_tokens, "min_length": 0, "do_sample": False, **decoding}
        starts = len(document) if self.is_causal else 1
        if self.family in T5_FAMILY:
            decoding["suppress_tokens"] = self.never_generated()
        elif self.family == "marian":
            decoding |= {"bad_words_ids": [[self.tokenizer.pad_token_id]], "renormalize_logits": False}
        elif self.is_causal:
            decoding["pad_token_id"] = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        elif self.languages:
            starts = 2
            fewest = {"min_new_tokens": fewest + 1} if (fewest := decoding.get("min_new_tokens")) else {}
            (start,) = self._start(language)
            decoding |= {"forced_bos_token_id": start, "max_new_tokens": decoding["max_new_tokens"] + 1, **fewest}
        return self.model.generate(**self.inputs(document), **decoding)[0, starts:].tolist()

    def never_generated(self) -> list[int]:
        """Token ids of sentinels, and those that only pad the vocabulary."""
        names = [f"<extra_id_{number}>" for number in range(SENTINELS.get(self.family, 100))]
        sentinels = self.tokenizer.convert_tokens_to_ids(names)
        return [*sentinels, *range(len(self.tokenizer), self.model.config.vocab_size)]

    def text(self, summary: list[int]) -> str:
        """The text of a generated summary."""
        text = self.tokenizer.decode(summary, skip_special_tokens=True).replace("<n>", "\n").strip()
        if self.family == "bart_chinese":  # its tokenizer writes a space between Chinese characters
            text = re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", text)
        return text
