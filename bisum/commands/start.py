"""What the commands begin with."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict

from bisum.config import Config
from bisum.corpus.corpus import Corpus, load_corpus
from bisum.errors import UserError
from bisum.records.report import corpus_table
from bisum.records.run import Run


def quiet_libraries() -> None:
    """Send the libraries' words to Python's logging, which the run's screen shows, and switch off their bars."""
    import datasets
    import huggingface_hub
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for library in (transformers, datasets, huggingface_hub):
        logger = logging.getLogger(library.__name__)
        logger.handlers.clear()  # each prints to the terminal by a handler of its own
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def load_rows(config: Config, run: Run) -> Corpus:
    """Load the corpus, show what each filter dropped and record it.

    Raises:
        UserError: the corpus is not there or not as it should be, or not the one that a resumed run began with.
    """
    with run.stage("corpus"):
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    earlier = (run.record.get("data") or {}).get("fingerprint")
    if earlier not in (None, corpus.fingerprint):
        raise UserError("resume: the rows are not those the run began with; keep its corpus, filter and languages")
    record_corpus(corpus, run)
    return corpus


def record_corpus(corpus: Corpus, run: Run) -> None:
    """Record a corpus, and show what each filter dropped."""
    run.update(data={"fingerprint": corpus.fingerprint, "rows": asdict(corpus.report)["splits"]})
    run.screen.print(corpus_table(corpus.report, run.config.languages))
