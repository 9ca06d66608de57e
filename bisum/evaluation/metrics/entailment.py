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
    """The share of a summary that its document entails, by a model of natural language inference (NLI).

    As in SummaC-ZS (Laban et al. 2022, aclanthology.org/2022.tacl-1.10): each sentence of the summary gets the highest
    probability of being entailed by a sentence of the document, and the row gets their mean. It says whether the
    summary is supported by single sentences of its document, in the judgement of the checkpoint. It says nothing about
    what the summary leaves out, and a copied sentence scores high.
    """

    key = "metric.entailment"

    scores = {
        "entailment": Score(
            "probability that the document entails a sentence of the summary",
            higher_is_better=True,
            lowest=0,
            highest=1,
            scale=100,
        )
    }

    @property
    def encoder(self) -> Encoder:
        """The classifier, which must have the label of entailment."""
        from transformers import AutoModelForSequenceClassification

        encoder = self.load(AutoModelForSequenceClassification)
        _entailment_label(encoder, self.checkpoint)
        return encoder

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return the value of each row; None where a text is empty or the classifier does not know the language."""
        from bisum.evaluation.sentences import split_sentences

        unknown = self.unknown(summaries.languages)
        pairs: dict[tuple[str, str], float] = {}
        sentences: list[tuple[list[str], list[str]]] = []
        for document, prediction, language in zip(
            summaries.documents, summaries.predictions, summaries.languages, strict=True
        ):
            known = language not in unknown
            split = [split_sentences(text, language) if known else [] for text in (document, prediction)]
            sentences.append((split[0], split[1]))
            pairs |= dict.fromkeys(((premise, claim) for claim in split[1] for premise in split[0]), 0.0)
        pairs = dict(zip(pairs, self._probabilities(list(pairs)), strict=True))
        values: list[float | None] = []
        for premises, claims in sentences:
            best = [max(pairs[premise, claim] for premise in premises) for claim in claims] if premises else []
            values.append(sum(best) / len(best) if best else None)
        return {"entailment": values}

    def _probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the probability that the first text of each pair entails the second."""
        import torch

        encoder = self.encoder
        label = _entailment_label(encoder, self.checkpoint)
        found = [0.0] * len(pairs)
        premises, claims = [premise for premise, _ in pairs], [claim for _, claim in pairs]
        for rows, inputs in encoder.batches(premises, claims, self.batch_size) if pairs else ():
            inputs.pop("special_tokens_mask")
            with torch.no_grad():
                probabilities = encoder.model(**inputs).logits.softmax(dim=-1)[:, label]
            for row, probability in zip(rows, probabilities.tolist(), strict=True):
                found[row] = probability
        return found


def _entailment_label(encoder: Encoder, checkpoint: str) -> int:
    """Return the class of entailment by its name in config.json."""
    labels = encoder.model.config.id2label or {}
    found = [at for at, name in labels.items() if str(name).lower() == "entailment"]
    if len(found) != 1:
        raise UserError(
            f"metric.entailment.checkpoint: '{checkpoint}' has the labels {', '.join(map(str, labels.values()))}; one "
            "must be entailment (id2label in its config.json)"
        )
    return int(found[0])
