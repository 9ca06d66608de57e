"""Summaries of documents that exceed a model's limit, from the summaries of their windows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bisum.config.options import ModelOptions
from bisum.corpus.languages import tools_for
from bisum.evaluation.settings import GenerateTexts, Summary
from bisum.evaluation.windows import Windows, split_documents
from bisum.interfaces.family import TextReader
from bisum.interfaces.progress import ShowProgress, no_progress

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class LongDocuments:
    """A model that summarizes documents of any length, window by window."""

    reader: TextReader
    model: ModelOptions
    generate: GenerateTexts
    progress: ShowProgress = no_progress
    """Shows the progress of generation."""
    check_interrupt: Callable[[], None] = lambda: None
    """Called between batches; raises if a signal asked to end."""
    _has_warned: bool = False

    def split(self, documents: Sequence[str], languages: Sequence[str]) -> list[Windows]:
        """Return the windows of each document; see `split_documents`."""
        return split_documents(self.reader, documents, languages)

    def summarize(self, documents: Sequence[Windows], languages: Sequence[str]) -> list[Summary]:
        """Return the summary of each document; the language at the same index is its own.

        The windows of all documents are summarized together, in batches of similar length, and the summaries of each
        document's windows are joined. Unless they are only joined, the text is summarized again, in windows if
        necessary, until it fits one window. If a round does not shorten it, it is cut at the limit instead.
        """
        summaries: dict[int, Summary] = {}
        unfinished = dict(enumerate(documents))
        title = "summarizing windows"
        while unfinished:
            generated = self._summarize(unfinished, languages, title)
            joined = {row: _join(found, languages[row]) for row, found in generated.items()}
            again = {
                row: summary.text
                for row, summary in joined.items()
                if self.model.chunk_summaries == "summarize" and len(unfinished[row].texts) > 1 and summary.text
            }
            summaries |= {row: summary for row, summary in joined.items() if row not in again}
            divided = self.split([*again.values()], [languages[row] for row in again])
            unfinished = {
                row: self._shortened(windows, unfinished[row], again[row])
                for row, windows in zip(again, divided, strict=True)
            }
            title = "summarizing again"
        return [summaries[row] for row in range(len(documents))]

    def _summarize(
        self, documents: Mapping[int, Windows], languages: Sequence[str], title: str
    ) -> dict[int, list[Summary]]:
        """Return the summaries of each document's windows."""
        rows = [row for row, windows in documents.items() for _ in windows.texts]
        texts = [text for windows in documents.values() for text in windows.texts]
        found: dict[int, Summary] = {}
        with self.progress(title, len(texts)) as bar:
            for batch in self.generate(self.reader.encode(texts, [""] * len(texts), [languages[row] for row in rows])):
                found.update(batch)
                bar.advance(len(found))
                self.check_interrupt()
        generated: dict[int, list[Summary]] = {row: [] for row in documents}
        for at, row in enumerate(rows):
            generated[row].append(found[at])
        return generated

    def _shortened(self, windows: Windows, before: Windows, text: str) -> Windows:
        """Return the windows of joined summaries; without progress since the round before, one that will be cut."""
        if len(windows.texts) == 1 or windows.tokens < before.tokens:
            return windows
        if not self._has_warned:
            logger.warning(
                "model.long_documents: the summaries of a document's windows are as long as the windows, so their text "
                "is cut at %s tokens; lower model.max_summary_tokens",
                self.reader.max_document_tokens,
            )
            self._has_warned = True
        return Windows([text], windows.tokens)


def _join(summaries: Sequence[Summary], language: str) -> Summary:
    """Join summaries, by a space if the language has spaces between words."""
    space = " " if tools_for(language).spaced else ""
    return Summary(
        text=space.join(summary.text for summary in summaries if summary.text),
        tokens=sum(summary.tokens for summary in summaries),
        at_limit=any(summary.at_limit for summary in summaries),
    )
