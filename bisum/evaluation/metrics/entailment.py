"""Entailment: how much of a summary follows from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bisum.errors import UserError
from bisum.evaluation.metrics.encoder_metric import EncoderMetric
from bisum.interfaces.metric import Summaries, Values
from bisum.interfaces.score import Score

if TYPE_CHECKING:
    from bisum.evaluation.metrics.encoders import Encoder


@dataclass(frozen=True, kw_only=True)
class Entailment(EncoderMetric):
    """Entailment of a summary by its document, according to a natural language inference (NLI) model.

    As in SummaC-ZS (Laban et al. 2022, aclanthology.org/2022.tacl-1.10), but without subtracting the probability of
    contradiction: each sentence of the summary gets the highest probability of being entailed by a sentence of the
    document, and the row gets their mean. The score estimates whether single sentences of the document support
    the summary. It ignores what the summary leaves out, and a copied sentence scores high.
    """

    scores = {
        "entailment": Score(
            "mean probability that the document entails a summary sentence",
            higher_is_better=True,
            lowest=0,
            highest=1,
            scale=100,
        )
    }

    def load(self) -> Encoder:
        """Return the classifier, which must have the label entailment."""
        from transformers import AutoModelForSequenceClassification

        encoder = self.load_as(AutoModelForSequenceClassification)
        _entailment_label(encoder, self.checkpoint)
        return encoder

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's value: None if a text is empty or the classifier does not support the language."""
        unknown, encoder = self.unknown(summaries.languages), self.load()
        values: list[float | None] = []
        for start in range(0, len(summaries.ids), self.batch_size):
            rows = slice(start, start + self.batch_size)
            texts = zip(summaries.documents[rows], summaries.predictions[rows], summaries.languages[rows], strict=True)
            values += self._score_rows(encoder, list(texts), unknown)
            summaries.advance(len(values))
        return {"entailment": values}

    def _score_rows(
        self, encoder: Encoder, rows: Sequence[tuple[str, str, str]], unknown: Sequence[str]
    ) -> list[float | None]:
        """Return the values of (document, summary, language) rows."""
        from bisum.evaluation.sentences import split_sentences

        sentences = [
            tuple(split_sentences(text, language) if language not in unknown else [] for text in (document, prediction))
            for document, prediction, language in rows
        ]
        pairs = dict.fromkeys(
            (premise, claim) for premises, claims in sentences for claim in claims for premise in premises
        )
        probabilities = dict(zip(pairs, self._probabilities(encoder, list(pairs)), strict=True))
        values: list[float | None] = []
        for premises, claims in sentences:
            best = [max(probabilities[premise, claim] for premise in premises) for claim in claims] if premises else []
            values.append(sum(best) / len(best) if best else None)
        return values

    def _probabilities(self, encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the probability that the first text of each pair entails the second."""
        import torch

        label = _entailment_label(encoder, self.checkpoint)
        found = [0.0] * len(pairs)
        premises, claims = [premise for premise, _ in pairs], [claim for _, claim in pairs]
        for rows, inputs in encoder.batches(premises, claims, self.batch_size) if pairs else ():
            inputs.pop("special_tokens_mask")
            with torch.no_grad():
                probabilities = encoder.model(**inputs).logits.softmax(dim=-1)[:, label]
            for row, probability in zip(rows, probabilities.tolist(), strict=True):
                found[row] = min(probability, 1.0)  # rounding can exceed 1
        return found


def _entailment_label(encoder: Encoder, checkpoint: str) -> int:
    """Return the index of the entailment class, found by its label in config.json."""
    labels = encoder.model.config.id2label or {}
    found = [at for at, name in labels.items() if str(name).lower() == "entailment" and 0 <= int(at) < len(labels)]
    if len(found) != 1:
        raise UserError(
            f"checkpoint: '{checkpoint}' has the labels {', '.join(map(str, labels.values()))}; one "
            "must be entailment (id2label in its config.json)"
        )
    return int(found[0])
