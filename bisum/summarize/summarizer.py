"""Summarization with the starter model, a run, a checkpoint or a model from the hub."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from bisum.config.environment import check_environment
from bisum.config.schema import Config, SummarizeConfig
from bisum.corpus.blank import is_blank_text
from bisum.errors import UserError, shown
from bisum.interfaces.progress import ShowProgress
from bisum.summarize.document import Document
from bisum.summarize.documents import unicode_text
from bisum.summarize.read_ahead import windows
from bisum.summarize.unknown_characters import UnknownCharacters

if TYPE_CHECKING:
    from bisum.evaluation.long_documents import LongDocuments
    from bisum.models.loading import LoadedModel

logger = logging.getLogger(__name__)

D = TypeVar("D", str, Document)

_MOST_BATCHES = 8
"""Maximum number of batches in one window of a stream; a large window lets texts of similar length share a batch."""
_MAX_UNKNOWN_CHARACTERS = 0.1
"""Share of a text's characters that the tokenizer can lack without a warning."""


class Summarizer:
    """A loaded model that summarizes texts; `Summarizer()` loads the starter model.

    >>> summarizer = Summarizer("outputs/2026-11-22/16-18-59-6db4")
    >>> summarizer("A long text ...")
    'Its summary'
    >>> summarizer(["A long text ...", "Un texto largo ..."], language=["en", "es"])
    ['Its summary', 'Su resumen']
    """

    language: str | None
    """Language of texts given without one: the `language=` override, or the run's only language; None: unknown."""

    def __init__(
        self, run: str | Path | None = None, overrides: Sequence[str] = (), *, config_dir: str | Path | None = None
    ) -> None:
        """Load a model.

        Args:
            run: a run directory (for its best checkpoint), a checkpoint directory or the name of a hub model;
                None: the model that `overrides` choose, otherwise bisum's own starter model.
            overrides: as on the command line, such as `["generation.num_beams=4", "hardware=cpu"]`; other settings
                come from the run or are the defaults.
            config_dir: a folder of further YAML files.

        Raises:
            UserError: the run or model does not exist, or an override is invalid.
        """
        if isinstance(overrides, str):
            raise UserError(f"overrides: expected a list of strings, such as ['{overrides}'], not one string")
        from bisum.config.composition import Composer
        from bisum.config.hydra_app import global_hydra
        from bisum.config.jobs import configure
        from bisum.config.overrides import quoted

        named = [] if run is None else [f"run={quoted(str(run))}"]
        with global_hydra():
            composer = Composer("summarize", None if config_dir is None else str(config_dir))
            config = configure(composer, [*named, *overrides])
        self._load(config, None)

    @classmethod
    def from_config(cls, config: Config, progress: ShowProgress | None = None) -> Summarizer:
        """Create a summarizer from a checked configuration; `progress` shows the progress of a download."""
        summarizer = cls.__new__(cls)
        summarizer._load(config, progress)
        return summarizer

    def _load(self, config: Config, progress: ShowProgress | None) -> None:
        if config.hardware.device == "tpu":
            raise UserError("hardware.device: summarize runs on a CPU or GPU; choose hardware=auto, cpu or gpu")
        check_environment()
        from bisum.display.quiet import quiet_libraries
        from bisum.summarize.ready_model import ready_model

        quiet_libraries(["transformers", "huggingface_hub"])
        self.config = config
        self.model = ready_model(config, progress)
        given = config.language if isinstance(config, SummarizeConfig) else None
        self.language = given or (config.languages[0] if len(config.languages) == 1 else None)
        self._known: set[str] = set()
        self._has_noted_cut = False
        self._unknown_characters = UnknownCharacters(self.model.reader)
        self._has_warned_of_unknown = False
        self._long_documents: LongDocuments | None = None
        if config.model.long_documents == "chunk":
            from bisum.evaluation.long_documents import LongDocuments

            self._long_documents = LongDocuments(
                reader=self.model.reader, model=config.model, generate=self.model.generate
            )

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in torch; loaded on first use if summaries are generated from a stored conversion."""
        if self.model.loaded is not None:
            return self.model.loaded
        from bisum.summarize.ready_model import load_in_torch

        return load_in_torch(self.config)[0]

    @overload  # a str is an Iterable[str], too
    def __call__(self, documents: str, language: str | None = None) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, documents: Iterable[str], language: str | Sequence[str] | None = None) -> list[str]: ...

    def __call__(self, documents: str | Iterable[str], language: str | Sequence[str] | None = None) -> str | list[str]:
        """Return the summary of one text, or those of several in the same order; a blank text has an empty summary.

        Args:
            documents: one text or several.
            language: one language code, such as es, or a code (or None) for each text; None: `self.language`.

        Raises:
            UserError: a document is not text; the model needs a language and none is given; the model does not know the
                language.
        """
        if isinstance(documents, str):
            return self([documents], language)[0]
        texts = list(map(_text, _several(documents)))
        codes: list[str | None] = [language] * len(texts) if isinstance(language, str | None) else _codes(language)
        if len(codes) != len(texts):
            raise UserError(f"language: {len(codes)} codes for {len(texts)} documents; give one for all or for each")
        return self._summaries(texts, list(map(self._language, texts, codes)))

    def stream(self, documents: Iterable[D], language: str | None = None) -> Iterator[tuple[D, str]]:
        """Yield each document with its summary, in order, as soon as it is ready; none waits for later documents.

        A thread reads ahead, and the available documents are summarized together.

        Args:
            documents: texts or `Document`s; a `Document`'s own language takes precedence.
            language: the language code of the other documents; None: `self.language`.

        Raises:
            UserError: see `__call__`. Errors from reading `documents` are raised after the summaries of earlier ones.
        """
        size = self.config.evaluation.batch_size
        for window in windows(_several(documents), size, _MOST_BATCHES * size):
            codes: list[str] = []
            problem: UserError | None = None
            for document in window:
                own, place = (document.language, document.place) if isinstance(document, Document) else (None, "")
                try:
                    codes.append(self._language(_text(document), own or language))
                except UserError as error:
                    problem = UserError(f"{place}: {error}" if place else str(error))
                    break
            valid = window[: len(codes)]
            yield from zip(valid, self._summaries(list(map(_text, valid)), codes), strict=True)
            if problem is not None:
                raise problem

    def _language(self, text: str, code: str | None) -> str:
        """Return a text's language code; if the model requires a language, check that it knows this one."""
        family, languages = self.model.reader.family, self.config.languages
        if not isinstance(code, str | None):
            raise UserError(f"language: expected a code such as es, not {type(code).__name__}")
        code = code or self.language
        if not family.needs_language or is_blank_text(text):
            return code or languages[0]
        if code is None:
            raise UserError(f"language: the model requires it; set language= to one of {', '.join(languages)}")
        if code not in self._known:
            self.model.reader.encode([""], [""], [code])
            self._known.add(code)
        return code

    def _summaries(self, texts: Sequence[str], codes: Sequence[str]) -> list[str]:
        """Return the summary of each text in the language of its code."""
        pairs = zip(texts, codes, strict=True)
        filled = [(number, text, code) for number, (text, code) in enumerate(pairs) if not is_blank_text(text)]
        summaries = [""] * len(codes)
        if filled:
            numbers, documents, languages = zip(*filled, strict=True)
            for number, summary in zip(numbers, self._summarize(documents, languages), strict=True):
                summaries[number] = summary
        return summaries

    def _summarize(self, documents: Sequence[str], languages: Sequence[str]) -> list[str]:
        """Return the summaries of texts that are not blank."""
        if self._long_documents is not None:
            self._warn_of_unknown_characters(documents)
            windows = self._long_documents.split(documents, languages)
            return [summary.text for summary in self._long_documents.summarize(windows, languages)]
        encoded = self.model.reader.encode(documents, [""] * len(documents), languages)
        limit = self.model.reader.max_document_tokens
        cuts = zip(documents, encoded["document_cut"], strict=True)
        # A token usually has several characters, so the model reads at least these of a cut document.
        self._warn_of_unknown_characters([text[:limit] if is_cut else text for text, is_cut in cuts])
        if any(encoded["document_cut"]) and not self._has_noted_cut:
            self._has_noted_cut = True
            logger.info("long documents are cut at %s tokens; model.long_documents=chunk reads all of them", limit)
        summaries: dict[int, str] = {}
        for batch in self.model.generate(encoded):
            summaries.update({row: summary.text for row, summary in batch.items()})
        return [summaries[row] for row in range(len(documents))]

    def _warn_of_unknown_characters(self, documents: Sequence[str]) -> None:
        """Warn once if the tokenizer lacks many characters of a text."""
        if self._has_warned_of_unknown:
            return
        for text in documents:
            if (share := self._unknown_characters.share(text)) > _MAX_UNKNOWN_CHARACTERS:
                self._has_warned_of_unknown = True
                logger.warning(
                    "the tokenizer lacks %.0f%% of the characters of %s, so its summary can be wrong or empty; use a "
                    "model for its language, such as one fine-tuned from mt5_small (further texts are not reported)",
                    100 * share,
                    shown(text),
                )
                return


def _codes(language: object) -> list[str | None]:
    if not isinstance(language, Iterable):
        raise UserError(f"language: expected a code such as es, or one for each text, not {type(language).__name__}")
    return list(language)


def _several(documents: Iterable[D]) -> Iterable[D]:
    """Return the documents; reject one text, bytes or a mapping, which would iterate over the wrong items."""
    if isinstance(documents, str | bytes | Mapping) or not isinstance(documents, Iterable):
        raise UserError(f"documents: expected text or a list of texts, not {type(documents).__name__}")
    return documents


def _text(document: str | Document) -> str:
    text = document.text if isinstance(document, Document) else document
    if not isinstance(text, str):
        raise UserError(f"documents: expected text, not {type(text).__name__}")
    return unicode_text(text, "a text", "documents")
