"""The column of bisum: its own commands."""

from __future__ import annotations

import json
import time

from benchmarks.bench.shapes import sample_rows
from benchmarks.bench.work import BATCH, DOCUMENT_TOKENS, SUMMARY_TOKENS, Took, Work, size_of

from bisum import Summarizer, compose, train
from bisum.commands import evaluate
from bisum.config.composition import Composer
from bisum.config.hydra_app import global_hydra
from bisum.config.jobs import configure


def _arguments(work: Work) -> list[str]:
    return [
        f"model.checkpoint={work.model}",
        f"model.max_document_tokens={DOCUMENT_TOKENS}",
        f"model.max_summary_tokens={SUMMARY_TOKENS}",
        f"generation.num_beams={work.beams}",
        "generation.early_stopping=true",
        "generation.engine=ctranslate2",
        f"cache_dir={work.folder / 'cache'}",
        "hardware=cpu",
        "log=quiet",
    ]


def run_training(work: Work) -> Took:
    """Run `train`; the time is that of the steps, without evaluations and checkpoints."""
    directory, steps = work.folder / "run", work.rows // BATCH
    arguments = [f"trainer.batch_size={BATCH}", f"trainer.log_every={steps}", "tracker=none"]
    limits = [f"trainer.max_steps={steps}", "corpus.max_train_rows=null", "corpus.max_eval_rows=4"]
    trims = f"model.trim_vocabulary={str(work.trims).lower()}"
    train(compose([*_arguments(work), *arguments, *limits, trims]), directory)
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    (speed,) = (line["train/examples_per_second"] for line in lines if "train/examples_per_second" in line)
    return Took(work.rows / speed, work.rows, size_of(next(directory.glob("checkpoints/*-*"))))


def run_evaluation(work: Work) -> Took:
    """Run `evaluate`; the time is that of loss, generation and scores, a conversion of the model included."""
    directory = work.folder / "run"
    arguments = [*_arguments(work), "split=validation", f"corpus.max_eval_rows={work.rows}"]
    with global_hydra():
        config = configure(Composer("evaluate", None), arguments)
    evaluate.run(config, directory)
    record = json.loads((directory / "run.json").read_text("utf-8"))
    return Took(record["seconds"]["evaluation"], record["evaluation"]["rows"])


def run_summaries(work: Work) -> Took:
    """Summarize texts; the time is without loading and converting the model, which happens once."""
    summarizer = Summarizer(overrides=_arguments(work))
    documents = [row["document"] for row in sample_rows("train", work.rows)]
    began = time.perf_counter()
    texts = summarizer(documents, "en")
    return Took(time.perf_counter() - began, len(documents), texts=texts)


def run(work: Work) -> Took:
    """Do the work."""
    return {"train": run_training, "evaluate": run_evaluation, "summarize": run_summaries}[work.task](work)
