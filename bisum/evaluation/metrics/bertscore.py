"""BERTScore: the similarity of tokens in context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from bisum.evaluation.metrics.encoder_metric import EncoderMetric
from bisum.interfaces.metric import Summaries, Values
from bisum.interfaces.score import Score

if TYPE_CHECKING:
    import torch

    from bisum.evaluation.metrics.encoders import Encoder


@dataclass(frozen=True, kw_only=True)
class BertScore(EncoderMetric):
    """BERTScore (Zhang et al. 2020, arxiv.org/abs/1904.09675) without idf weights and without rescaling.

    As in the authors' bert-score package, the tokens [CLS] and [SEP] may be matched, but do not count. The number
    depends on the checkpoint and the layer: compare only scores with the same two.
    """

    key = "metric.bertscore"

    layer: Annotated[int, Ge(1), Le(1000)]
    """Layer whose output is compared, from 1."""

    scores = {
        "bertscore": Score(
            "F1 of tokens by their similarity in context", higher_is_better=True, lowest=-1, highest=1, scale=100
        ),
        "bertscore_precision": Score("its precision", higher_is_better=True, lowest=-1, highest=1, scale=100),
        "bertscore_recall": Score("its recall", higher_is_better=True, lowest=-1, highest=1, scale=100),
    }

    @property
    def encoder(self) -> Encoder:
        """The encoder, up to the layer that is compared."""
        from transformers import AutoModel

        return self.load(AutoModel, num_hidden_layers=self.layer)

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return the values of each row, 0 for an empty summary; None where the encoder does not know the language."""
        unknown = self.unknown(summaries.languages)
        empty = [None if language in unknown else 0.0 for language in summaries.languages]
        values: dict[str, list[float | None]] = {name: [*empty] for name in self.scores}
        rows = [row for row, text in enumerate(summaries.predictions) if empty[row] is not None and text.strip()]
        encoder = self.encoder
        # Rows of similar length, so that only the tokens of a batch are held in memory.
        rows.sort(key=lambda row: len(summaries.predictions[row]) + len(summaries.references[row]))
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            own, other = (
                self._encode(encoder, [texts[row] for row in batch])
                for texts in (summaries.predictions, summaries.references)
            )
            for row, prediction, reference in zip(batch, own, other, strict=True):
                for name, value in zip(self.scores, greedy_match(prediction, reference), strict=True):
                    values[name][row] = value
        return values

    def _encode(self, encoder: Encoder, texts: Sequence[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the unit vectors of each text's tokens, shape (tokens, size), and whether each token counts."""
        import torch
        from torch.nn.functional import normalize

        found: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(texts)
        for rows, inputs in encoder.batches(texts, None, self.batch_size):
            special = inputs.pop("special_tokens_mask").bool()
            with torch.no_grad():
                hidden = normalize(encoder.model(**inputs).last_hidden_state, dim=-1)
            for row, vectors, is_text, is_special in zip(
                rows, hidden, inputs["attention_mask"].bool(), special, strict=True
            ):
                found[row] = vectors[is_text], ~is_special[is_text]
        return [pair for pair in found if pair is not None]


def greedy_match(
    prediction: tuple[torch.Tensor, torch.Tensor], reference: tuple[torch.Tensor, torch.Tensor]
) -> tuple[float, float, float]:
    """Return F1, precision and recall of two texts: equations in section 3 of the paper."""
    (own, own_counts), (other, other_counts) = prediction, reference
    similarity = own @ other.T
    # Rounding may lead beyond 1.
    precision = min(float(similarity.max(dim=1).values[own_counts].mean()), 1.0)
    recall = min(float(similarity.max(dim=0).values[other_counts].mean()), 1.0)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0, precision, recall
