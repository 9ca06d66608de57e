"""What the commands begin with."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from bisum.config import Config
from bisum.corpus.corpus import Corpus, load_corpus
from bisum.corpus.sources import SPLITS
from bisum.errors import UserError
from bisum.records.report import corpus_table
from bisum.records.run import Run

if TYPE_CHECKING:
    from bisum.hardware.devices import Device
    from bisum.models.loading import LoadedModel


def quiet_libraries(names: Sequence[str] = ("transformers", "huggingface_hub", "datasets")) -> None:
    """Send the libraries' words to Python's logging, which the run's screen shows, and switch off their bars.

    Each is imported, since it sets up its own logging then.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in names:
        library = importlib.import_module(name)
        logger = logging.getLogger(name)
        logger.handlers.clear()  # each prints to the terminal by a handler of its own
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        if name == "transformers":
            library.utils.logging.disable_progress_bar()
        elif name == "datasets":
            library.disable_progress_bars()


def load_rows(config: Config, run: Run, needed: Sequence[str] = SPLITS) -> Corpus:
    """Load the corpus, show what each filter dropped and record it.

    Raises:
        UserError: the corpus, or a split of `needed`, is not there or not as it should be, or is not the one that a
            resumed run began with.
    """
    with run.stage("corpus"):
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed, needed)
    earlier = (run.record.get("data") or {}).get("fingerprint")
    if earlier not in (None, corpus.fingerprint):
        raise UserError("resume: the rows are not those the run began with; keep its corpus, filter and languages")
    record_corpus(corpus, run)
    return corpus


def record_corpus(corpus: Corpus, run: Run) -> None:
    """Record a corpus, and show what each filter dropped."""
    run.update(data={"fingerprint": corpus.fingerprint, "rows": asdict(corpus.report)["splits"]})
    run.screen.print(corpus_table(corpus.report, run.config.languages))


def load_model(config: Config, run: Run, device: Device, checkpoint: Path | None = None) -> LoadedModel:
    """Load the configured model, or its state in the `checkpoint` a run continues from, and say what it is."""
    from bisum.evaluation.generation import set_decoding
    from bisum.hardware.xla import place
    from bisum.models.loading import load

    options = replace(config.model, checkpoint=str(checkpoint), revision=None) if checkpoint else config.model
    with run.stage("model"):
        loaded = load(options, config.seed, device.precision, run.screen.progress)
        place(loaded.model, device.torch_device)
    set_decoding(loaded, config.generation)
    weights = config.model.checkpoint or "random weights"
    model = run.record["choices"].get("model", type(config.model.architecture or loaded.model).__name__)
    trainer = run.record["choices"].get("trainer", type(config.trainer).__name__)
    prompt = "".join(
        f", {name} {text!r}" for name, text in (("prefix", loaded.prefix), ("suffix", loaded.suffix)) if text
    )
    doing = f"{trainer} on " if config.name == "train" else ""
    told = (
        f"{model} ({weights}), {loaded.parameters / 1e6:.1f} M parameters{prompt}; "
        f"{doing}{device.name}, {device.precision}, seed {config.seed}"
    )
    run.screen.print(escape(told))
    if run.resumed:
        where = (
            f"continuing from {checkpoint.name}" if checkpoint else "no sound checkpoint: starting from the beginning"
        )
        run.screen.note(where)
    return loaded
