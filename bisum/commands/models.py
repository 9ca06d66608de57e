"""Builders for commands that use a model; each reports its result."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from bisum.batches.language_balance import LanguageBalance, balance_languages
from bisum.batches.shapes import Shapes, choose_shapes
from bisum.batches.tokenization import EncodedSplit, encode
from bisum.commands.vocabulary import trim_vocabulary, trims
from bisum.config.options import ModelOptions
from bisum.config.schema import Config
from bisum.corpus.corpus import Corpus
from bisum.display.narration import (
    narrate_average,
    narrate_banned_ngrams,
    narrate_continuation,
    narrate_engine,
    narrate_model,
)
from bisum.display.tables import cut_line, split_line
from bisum.errors import UserError, one_line
from bisum.evaluation.engines import check_engine, check_engine_of, choose_engine
from bisum.evaluation.generation import set_decoding
from bisum.evaluation.windows import Windows, split_documents
from bisum.hardware.devices import Device, find_device
from bisum.hardware.threads import settle_threads
from bisum.hardware.xla import place
from bisum.interfaces.adapter import Adapter
from bisum.interfaces.source import SPLITS
from bisum.models.adapters import NoAdapter
from bisum.models.loading import LoadedModel, check_model, load, load_reader
from bisum.models.merging import write_merged
from bisum.models.unloaded import CheckedModel
from bisum.models.vocabulary.pieces import state_of
from bisum.records.run import Run
from bisum.runs.checkpoints import MERGED, MERGED_ASIDE, is_adapter

_DIVIDED_AT_ONCE = 100
"""Number of documents whose sentences are tokenized together, which limits the memory."""
_MAX_UNKNOWN_SHARE = 0.5
"""Share of documents with unknown tokens above which a model does not support a language."""


def new_directory() -> Path:
    """Return a new run directory for callers from Python.

    It follows the pattern of `hydra.run.dir` in `conf/train.yaml`, which only a Hydra application can resolve.
    """
    return Path(f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}-{secrets.token_hex(2)}")


def build_device(config: Config, run: Run) -> Device:
    """Find the configured device; a resumed run uses its original number of threads."""
    device = find_device(config.hardware)
    threads, own = settle_threads(run.record.get("threads") or config.provenance.threads)
    run.update(threads=threads, device=device.name, precision=device.precision)
    if device.is_cpu and threads != own:
        began = "the run" if run.resumed else "the sweep"
        run.screen.note(f"threads: {threads}, the number {began} began with; this process would use {own}")
    return device


def check_before_corpus(config: Config, run: Run, device: Device, checkpoint: Path | None = None) -> CheckedModel:
    """Check the model, or the `checkpoint` that a run continues from, before rows are read; return what is known."""
    with run.stage("model"):
        check_engine(
            config.generation, device.torch_device.type, device.precision, fixed_shapes=_has_fixed_shapes(config)
        )
        options, adapter = _options(config, checkpoint), _adapter(config, checkpoint)
        needs_engine, will_trim = config.generation.engine == "ctranslate2", trims(config, checkpoint)
        reader = load_reader(options) if needs_engine or will_trim else None
        if reader is not None and needs_engine:
            is_adapted = not isinstance(adapter, NoAdapter | None)
            check_engine_of(reader.family, reader.config.model_type, has_adapter=is_adapted)
        checked = check_model(options, device.precision, device=device.torch_device, adapter=adapter)
        if reader is not None and will_trim:
            state_of(reader.tokenizer)
        return checked


def build_model(
    config: Config, run: Run, device: Device, checkpoint: Path | None = None, corpus: Corpus | None = None
) -> LoadedModel:
    """Load the configured model, or the `checkpoint` that a run continues from; trim it to a `corpus` if configured."""
    with run.stage("model"):
        loaded = load(
            _options(config, checkpoint),
            config.seed,
            device.precision,
            run.screen.progress,
            device=device.torch_device,
            adapter=_adapter(config, checkpoint),
        )
    if corpus is not None and trims(config, checkpoint):
        loaded = trim_vocabulary(run, loaded, corpus)
    with run.stage("model"):
        place(loaded.model, device.torch_device)
    banned = set_decoding(loaded, config.generation).no_repeat_ngram_size
    engine = choose_engine(loaded, config.generation, device.precision, fixed_shapes=_has_fixed_shapes(config))
    run.update(parameters=loaded.parameters, engine=engine, no_repeat_ngram_size=banned)
    choices = run.record["choices"]
    trains = config.provenance.command == "train"
    if not trains and any(override.startswith("model.trim_vocabulary") for override in config.provenance.overrides):
        run.screen.note("model.trim_vocabulary: applies to training; other commands use a model as it is")
    if trains:
        run.update(trained_parameters=loaded.trained_parameters)
        if checkpoint is None and loaded.origin is not None:
            run.update(source=loaded.origin)
    narrate_model(
        run.screen,
        loaded,
        device,
        model=choices.get("model", type(config.model.architecture or loaded.model).__name__),
        weights=config.model.checkpoint or "random weights",
        trainer=choices.get("trainer", type(config.trainer).__name__) if trains else None,
        seed=config.seed,
    )
    if engine != "transformers":
        narrate_engine(run.screen, engine, config.generation.quantization)
    narrate_banned_ngrams(run.screen, config.generation.no_repeat_ngram_size, loaded.no_repeat_ngram_size)
    if trains and config.trainer.average is not None:
        narrate_average(run.screen, config.trainer.average)
    if loaded.base is not None and (problem := loaded.base.doubt):
        run.screen.note(problem)
    if run.resumed:
        narrate_continuation(run.screen, checkpoint)
    return loaded


def _has_fixed_shapes(config: Config) -> bool:
    return config.hardware.length_buckets is not None


def _options(config: Config, checkpoint: Path | None) -> ModelOptions:
    return replace(config.model, checkpoint=str(checkpoint), revision=None) if checkpoint else config.model


def _adapter(config: Config, checkpoint: Path | None) -> Adapter | None:
    """Return the adapter to attach to the model; a checkpoint that is an adapter already contains it."""
    if config.provenance.command != "train" or (checkpoint is not None and is_adapter(checkpoint)):
        return None
    return config.adapter


def merge_best(config: Config, run: Run) -> None:
    """Write the tested checkpoint as a whole model in the run directory, if it is an adapter to merge."""
    best, merged = run.checkpoints / run.record["test"]["checkpoint"], run.directory / MERGED
    if not config.adapter.merges or not is_adapter(best):
        return
    aside = run.directory / MERGED_ASIDE
    if run.record.get("merged") != best.name or not merged.exists():
        try:
            with run.stage("merging"):
                shutil.rmtree(aside, ignore_errors=True)
                write_merged(best, aside, config.model)
                shutil.rmtree(merged, ignore_errors=True)
                aside.rename(merged)
        except (UserError, OSError) as error:  # the run itself is complete
            shutil.rmtree(aside, ignore_errors=True)
            run.screen.warn(
                f"{best.name} was not merged: {one_line(error)}; "
                f"repeat with: bisum resume={run.shown} adapter.merge=true"
            )
            return
        run.update(merged=best.name)
    run.screen.lines(f"merged model   {run.shown / 'merged'}")


def build_splits(
    config: Config, run: Run, corpus: Corpus, loaded: LoadedModel, splits: Sequence[str] = SPLITS
) -> dict[str, EncodedSplit]:
    """Tokenize splits of the corpus, and report the number of cut rows."""
    with run.stage("tokenization"):
        encoded = encode(corpus, loaded, Path(config.cache_dir).expanduser(), run.screen.progress, splits)
    cuts_documents = config.model.long_documents == "truncate"
    run.update(
        cut={
            name: {
                "documents": split.documents_cut if cuts_documents else 0,
                "summaries": split.summaries_cut,
                "rows": len(split),
            }
            for name, split in encoded.items()
        }
    )
    document_limit = loaded.max_document_tokens if cuts_documents else None
    run.screen.print(cut_line(encoded, document_limit, loaded.max_summary_tokens))
    unknown = loaded.unknown_token
    shares = encoded[splits[-1]].unreadable_shares(unknown) if unknown is not None else {}
    if unread := {language: share for language, share in shares.items() if share > _MAX_UNKNOWN_SHARE}:
        texts = " and ".join(f"{share:.0%} of the documents in {language}" for language, share in unread.items())
        run.screen.warn(f"the tokenizer lacks characters of {texts}; try a multilingual model, such as mt5_small")
    return encoded


def build_windows(config: Config, run: Run, loaded: LoadedModel, name: str, split: EncodedSplit) -> dict[int, Windows]:
    """Divide the long documents of a split into windows, by row, if configured, and report their number."""
    if config.model.long_documents == "truncate":
        return {}
    long = np.flatnonzero(split.document_cut)
    documents, languages = (split.rows[column].take(long).to_pylist() for column in ("document", "language"))
    windows: list[Windows] = []
    with run.stage("tokenization"), run.screen.progress("dividing long documents", len(long)) as bar:
        for start in range(0, len(long), _DIVIDED_AT_ONCE):
            part = slice(start, start + _DIVIDED_AT_ONCE)
            windows += split_documents(loaded, documents[part], languages[part])
            bar.advance(len(windows))
            run.interrupts.check()
    total = sum(len(of.texts) for of in windows)
    run.update(split={name: {"documents": len(windows), "windows": total, "rows": len(split)}})
    run.screen.print(split_line(len(windows), total, len(split), loaded.max_document_tokens))
    return dict(zip(long.tolist(), windows, strict=True))


def build_shapes(config: Config, run: Run, loaded: LoadedModel, splits: Mapping[str, EncodedSplit]) -> Shapes | None:
    """Choose a few shapes for all batches, if the hardware needs fixed shapes."""
    lengths = [split.documents.lengths for split in splits.values()]
    shapes = choose_shapes(lengths, loaded, config.hardware.length_buckets)
    if shapes is not None:
        run.screen.print(f"padded to {shapes}")
    return shapes


def build_balance(config: Config, run: Run, split: EncodedSplit) -> LanguageBalance | None:
    """Balance the languages of the training rows, if configured."""
    if config.debug.overfit:  # its batch must be the same in every epoch
        return None
    balance = balance_languages(split.rows["language"], config.corpus.language_temperature, config.seed)
    if balance is not None:
        run.screen.print(f"languages: {balance}")
    return balance
