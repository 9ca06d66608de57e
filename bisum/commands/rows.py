"""Builders of a command's rows. Torch is not imported here, because commands without a model do not need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from bisum.config.schema import Config
from bisum.corpus.corpus import Corpus, load_corpus
from bisum.corpus.filter_shares import absent_languages, uneven_filters
from bisum.corpus.one_batch import one_batch
from bisum.display.narration import narrate_profile
from bisum.display.quiet import quiet_libraries
from bisum.display.tables import corpus_table
from bisum.errors import UserError
from bisum.evaluation.metric_values import of_metric
from bisum.evaluation.profile import choose_profile, kept_shares, unreadable_languages
from bisum.evaluation.rouge import Rouge
from bisum.interfaces.source import SPLITS
from bisum.records.run import Run


def build_corpus(config: Config, run: Run, needed: Sequence[str] = SPLITS) -> Corpus:
    """Load the corpus.

    Raises:
        UserError: the corpus or a split in `needed` is missing or invalid, or its rows differ from those a resumed run
            began with.
    """
    with run.stage("corpus"):
        cache = Path(config.cache_dir).expanduser()
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed, needed, cache)
    earlier = (run.record.get("data") or {}).get("fingerprint")
    if earlier not in (None, corpus.fingerprint):
        raise UserError("resume: the rows differ from those the run began with; keep its corpus, filter and languages")
    if config.provenance.fingerprint not in (None, corpus.fingerprint):
        raise UserError(
            "corpus: another job of this sweep read different rows with the same corpus, filter, languages and seed; a "
            "file has changed: restore it, or start a new sweep"
        )
    record_corpus(corpus, run)
    return corpus


def build_batch(config: Config, run: Run, corpus: Corpus) -> Corpus:
    """Return and record the single batch for `debug.overfit`; without that option, return the corpus itself."""
    if not config.debug.overfit:
        return corpus
    size = config.trainer.batch_size * config.trainer.gradient_accumulation
    batch = one_batch(corpus, config.languages, size)
    counts = ", ".join(f"{language} {count.kept}" for language, count in batch.report.splits["train"].items())
    rows = batch.splits["train"].num_rows
    fewer = f"; train has only {rows:,} rows; a full batch has {size:,}" if rows < size else ""
    run.screen.note(f"overfit: one batch of {rows:,} rows ({counts}) for training, validation and test{fewer}")
    run.update(data={**run.record["data"], "rows": asdict(batch.report)["splits"]})
    return batch


def check_metrics(config: Config, run: Run) -> None:
    """Load the resources of the metrics, and report their notes on the scores.

    Raises:
        UserError: a metric lacks a resource, or fails.
    """
    with run.stage("metrics"):
        for key, metric in {"rouge": Rouge(), **config.metric}.items():
            quiet_libraries(metric.libraries)
            try:
                lines = list(metric.prepare(tuple(config.languages), run.screen.progress) or ())
            except (Exception, SystemExit) as error:
                raise of_metric(key, metric, error) from error
            for line in lines:
                run.screen.note(f"metric.{key}: {line}" if key in config.metric else line)


def find_profile(run: Run, tables: Sequence[pa.Table]) -> str:
    """Return and record the ROUGE profile to show for rows of `tables`; report it unless it is the default."""
    shares = kept_shares(tables)
    profile = choose_profile(shares)
    run.update(profile=profile)
    narrate_profile(run.screen, profile, unreadable_languages(shares))
    return profile


def record_corpus(corpus: Corpus, run: Run) -> None:
    """Record a corpus, and show the rows dropped by each filter."""
    run.update(data={"fingerprint": corpus.fingerprint, "rows": asdict(corpus.report)["splits"]})
    run.screen.print(corpus_table(corpus.report, run.config.languages))
    for line in (*uneven_filters(corpus.report), *absent_languages(corpus.report), *corpus.leaks):
        run.screen.note(line)
