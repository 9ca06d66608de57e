"""Reference results of plain transformers: one row at a time, without padding or code of bisum."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from checkpoints import PROMPTS
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer


@dataclass
class Plain:
    """A checkpoint of tests/checkpoints.py, used as documented by its authors or transformers."""

    family: str
    folder: Path
    document_tokens: int = 64
    summary_tokens: int = 12
    model: Any = field(init=False)
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.is_causal = self.family in PROMPTS
        auto_model = AutoModelForCausalLM if self.is_causal else AutoModelForSeq2SeqLM
        self.model = auto_model.from_pretrained(self.folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def document(self, text: str, language: str) -> list[int]:
        """Token ids of a document."""
        tokenizer, limit = self.tokenizer, {"truncation": True, "max_length": self.document_tokens}
        match self.family:
            case "t5":
                return tokenizer(f"summarize: {text}", **limit)["input_ids"]
            case "pegasus":
                return tokenizer(text.replace("\n", "<n>"), **limit)["input_ids"]
            case "mbart50":
                tokenizer.src_lang = {"en": "en_XX", "es": "es_XX", "de": "de_DE"}[language]
                return tokenizer(text, **limit)["input_ids"]
            case "gpt2" | "chat":
                ends = [end for _, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
                longest_first = (self._prompt(text[:end]) for end in [len(text), *reversed(ends)])
                return next(ids for ids in longest_first if len(ids) <= self.document_tokens)
        return tokenizer(text, **limit)["input_ids"]

    def _prompt(self, text: str) -> list[int]:
        if self.family == "gpt2":
            return self.tokenizer(f"{text}\nTL;DR:")["input_ids"]
        turns = [{"role": "user", "content": f"Summarize:\n{text}"}]
        return self.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]

    def summary(self, text: str, language: str) -> list[int]:
        """Token ids of a reference summary."""
        tokenizer, limit = self.tokenizer, {"truncation": True, "max_length": self.summary_tokens}
        match self.family:
            case "pegasus":
                text = text.replace("\n", "<n>")
            case "mbart50":
                tokenizer.tgt_lang = {"en": "en_XX", "es": "es_XX", "de": "de_DE"}[language]
                limit["max_length"] += 1  # for the language
            case "gpt2" | "chat":
                ids = tokenizer(text if self.family == "chat" else f" {text}")["input_ids"]
                return [*ids[: self.summary_tokens - 1], tokenizer.eos_token_id]
        return tokenizer(text_target=text, **limit)["input_ids"]

    @torch.no_grad()
    def loss(self, document: list[int], summary: list[int]) -> float:
        """Cross-entropy of a summary, summed over its tokens."""
        if self.is_causal:
            logits = self.model(torch.tensor([document + summary])).logits[0]
            logarithms = logits.log_softmax(dim=-1)
            return -sum(logarithms[len(document) + at - 1, token].item() for at, token in enumerate(summary))
        ids = torch.tensor([document])
        mean = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([summary])).loss
        return mean.item() * len(summary)

    @torch.no_grad()
    def generate(self, document: list[int], language: str, **decoding: Any) -> list[int]:
        """Token ids of a generated summary, from the first one chosen by the model."""
        ids, starts, vocabulary = torch.tensor([document]), 1, self.model.config.vocab_size
        decoding = {"max_new_tokens": self.summary_tokens, "do_sample": False, **decoding}
        match self.family:
            case "t5" | "mt5":
                sentinels = self.tokenizer.convert_tokens_to_ids([f"<extra_id_{number}>" for number in range(100)])
                decoding["suppress_tokens"] = [*sentinels, *range(len(self.tokenizer), vocabulary)]
            case "mbart50":
                start = self.tokenizer.convert_tokens_to_ids({"en": "en_XX", "es": "es_XX", "de": "de_DE"}[language])
                starts = 2
                fewest = {"min_new_tokens": fewest + 1} if (fewest := decoding.get("min_new_tokens")) else {}
                decoding |= {"forced_bos_token_id": start, "max_new_tokens": self.summary_tokens + 1, **fewest}
            case "gpt2" | "chat":
                decoding["pad_token_id"], starts = self.tokenizer.convert_tokens_to_ids("<|endoftext|>"), len(document)
        return self.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **decoding)[0, starts:].tolist()

    def text(self, summary: list[int]) -> str:
        """The text of a generated summary."""
        return self.tokenizer.decode(summary, skip_special_tokens=True).replace("<n>", "\n").strip()
