"""The column of the Hugging Face course's recipe (chapter 7, summarization), written for transformers 5.

As there: random batches of 8 padded to their longest row, `Seq2SeqTrainer` with `predict_with_generate`, rouge_score
with its bootstrap. The number of generated tokens is the course's `max_target_length` instead of the library's 20.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from benchmarks.bench.shapes import sample_rows
from benchmarks.bench.work import BATCH, DOCUMENT_TOKENS, SUMMARY_TOKENS, Took, Work, size_of
from datasets import Dataset
from rouge_score import rouge_scorer, scoring
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

from bisum.evaluation.sentences import split_sentences

TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


class Steps(TrainerCallback):
    """The times when the first step began and the last one ended."""

    began = ended = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = self.began or time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended = time.perf_counter()


class Recipe:
    """The model, the data and the trainer of the course."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.tokenizer = AutoTokenizer.from_pretrained(work.model)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(work.model, dtype="float32")
        self.model.generation_config.early_stopping = work.beams > 1
        rows = sample_rows("train") if work.task == "train" else sample_rows("validation", work.rows)
        columns = list(rows[0])
        self.data = Dataset.from_list(rows).map(self._encode, batched=True, remove_columns=columns)
        arguments = Seq2SeqTrainingArguments(
            output_dir=str(work.folder),
            learning_rate=5.6e-5,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            weight_decay=0.01,
            max_steps=work.rows // BATCH,
            predict_with_generate=True,
            generation_max_length=SUMMARY_TOKENS + 1,  # counts the start token
            generation_num_beams=work.beams,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            report_to="none",
        )
        self.trainer = Seq2SeqTrainer(
            self.model,
            arguments,
            train_dataset=self.data,
            eval_dataset=self.data,
            data_collator=DataCollatorForSeq2Seq(self.tokenizer, model=self.model),
            processing_class=self.tokenizer,
            compute_metrics=self._score,
        )

    def _encode(self, rows: dict[str, list[str]]) -> dict[str, Any]:
        encoded = dict(self.tokenizer(rows["document"], max_length=DOCUMENT_TOKENS, truncation=True))
        labels = self.tokenizer(text_target=rows["summary"], max_length=SUMMARY_TOKENS, truncation=True)
        return {**encoded, "labels": labels["input_ids"]}

    def _score(self, predicted: Any) -> dict[str, float]:
        predictions, labels = (np.where(ids < 0, self.tokenizer.pad_token_id, ids) for ids in predicted)
        texts, references = (
            ["\n".join(split_sentences(text.strip(), "en")) for text in self._decode(ids)]
            for ids in (predictions, labels)
        )
        scorer, total = rouge_scorer.RougeScorer(TYPES, use_stemmer=True), scoring.BootstrapAggregator()
        for reference, text in zip(references, texts, strict=True):
            total.add_scores(scorer.score(reference, text))
        return {name: score.mid.fmeasure for name, score in total.aggregate().items()}

    def _decode(self, ids: Any) -> list[str]:
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts

    def train(self) -> Took:
        """Train, and save the model; the time is that of the steps."""
        steps = Steps()
        self.trainer.add_callback(steps)
        self.trainer.train()
        seconds = steps.ended - steps.began
        self.trainer.save_model(str(self.work.folder))
        return Took(seconds, BATCH * self.trainer.state.global_step, size_of(self.work.folder))

    def evaluate(self) -> Took:
        """Compute the loss, generate and score."""
        began = time.perf_counter()
        self.trainer.evaluate()
        return Took(time.perf_counter() - began, len(self.data))


def summarize(work: Work) -> Took:
    """Generate summaries in batches of 32, in the order of the texts."""
    import torch

    tokenizer = AutoTokenizer.from_pretrained(work.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(work.model, dtype="float32").eval()
    documents = [row["document"] for row in sample_rows("train", work.rows)]
    texts: list[str] = []
    began = time.perf_counter()
    for start in range(0, len(documents), 32):
        part = documents[start : start + 32]
        batch = tokenizer(part, padding=True, truncation=True, max_length=DOCUMENT_TOKENS, return_tensors="pt")
        batch.pop("token_type_ids", None)
        with torch.no_grad():
            ids = model.generate(**batch, max_new_tokens=SUMMARY_TOKENS, num_beams=work.beams)
        texts += [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    return Took(time.perf_counter() - began, len(documents), texts=texts)


def run(work: Work) -> Took:
    """Do the work."""
    return summarize(work) if work.task == "summarize" else getattr(Recipe(work), work.task)()
