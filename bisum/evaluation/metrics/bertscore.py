"""BERTScore: the similarity of contextual token embeddings."""

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

    As in the authors' bert-score package, [CLS] and [SEP] can be matched but do not count. Scores depend on the
    checkpoint and the layer: compare only scores that share both.
    """

    layer: Annotated[int, Ge(1), Le(1000)]
    """Layer that provides the embeddings, counted from 1."""

    scores = {
        f"bertscore{end}": Score(
            f"BERTScore {measure} of tokens matched by contextual similarity", True, lowest=-1, highest=1, scale=100
        )
        for end, measure in (("", "F1"), ("_precision", "precision"), ("_recall", "recall"))
    }

    def load(self) -> Encoder:
        """Return the encoder, cut off after `layer`."""
        from transformers import AutoModel

        return self.load_as(AutoModel, num_hidden_layers=self.layer)

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's values: 0 for an empty summary, None if the encoder does not support the language."""
        unknown = self.unknown(summaries.languages)
        empty = [None if language in unknown else 0.0 for language in summaries.languages]
        values: dict[str, list[float | None]] = {name: [*empty] for name in self.scores}
        rows = [row for row, text in enumerate(summaries.predictions) if empty[row] is not None and text.strip()]
        rows.sort(key=lambda row: len(summaries.predictions[row]) + len(summaries.references[row]))  # limits padding
        encoder = self.load()
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            texts = [[texts[row] for row in batch] for texts in (summaries.predictions, summaries.references)]
            found = greedy_match(*(self._encode(encoder, part) for part in texts))
            for name, of_rows in zip(self.scores, found.tolist(), strict=True):
                for row, value in zip(batch, of_rows, strict=True):
                    values[name][row] = value
            summaries.advance(start + len(batch))
        return values

    def _encode(self, encoder: Encoder, texts: Sequence[str]) -> Encoded:
        """Return the embeddings of texts, in their order."""
        import torch
        from torch.nn.functional import normalize

        ((rows, inputs),) = encoder.batches(texts, None, len(texts))
        special = inputs.pop("special_tokens_mask").bool()
        with torch.no_grad():
            vectors = normalize(encoder.model(**inputs).last_hidden_state, dim=-1)
        order = torch.tensor(rows, device=vectors.device).argsort()
        is_text = inputs["attention_mask"].bool()
        return Encoded(vectors[order], is_text[order], (is_text & ~special)[order])


@dataclass(frozen=True)
class Encoded:
    """Contextual token embeddings of some texts."""

    vectors: torch.Tensor
    """Unit vectors, shape (texts, tokens, size)."""
    is_text: torch.Tensor
    """Whether a token is not padding, shape (texts, tokens)."""
    counts: torch.Tensor
    """Whether a token counts: neither padding nor special, shape (texts, tokens)."""


def greedy_match(predictions: Encoded, references: Encoded) -> torch.Tensor:
    """Return F1, precision and recall of each pair of texts, shape (3, texts): the equations in section 3 of the paper.

    They are 0 if either text has no token that counts.
    """
    import torch

    similarity = predictions.vectors @ references.vectors.transpose(1, 2)
    both = predictions.is_text[:, :, None] & references.is_text[:, None, :]
    similarity = similarity.masked_fill(~both, -1)

    def mean(best: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        # Rounding can exceed 1.
        return (best * counts).sum(dim=1).div(counts.sum(dim=1).clamp(min=1)).clamp(max=1)

    precision = mean(similarity.amax(dim=2), predictions.counts)
    recall = mean(similarity.amax(dim=1), references.counts)
    f1 = 2 * precision * recall / (precision + recall)
    is_empty = (predictions.counts.sum(dim=1) == 0) | (references.counts.sum(dim=1) == 0)
    scores = torch.stack([f1, precision, recall]).nan_to_num(0, 0, 0)
    return scores.masked_fill(is_empty, 0)
