"""T5 and its relatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bisum.models.families.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class T5(EncoderDecoder):
    """T5 (Raffel et al. 2020), mT5, umT5, Flan-T5, ByT5 and LongT5."""

    shares_states: ClassVar[bool] = True
    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        "q",
        "k",
        "v",
        "o",
        "wi",
        "wi_0",
        "wi_1",
        "wo",
    )

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model; a separate head, as in mT5 and T5 v1.1, stays separate.

        transformers' MT5Config declares the head tied, so resizing or re-tying would overwrite it with the embedding;
        UMT5Config does, too, and the model would scale its logits. This corrects the flag on the loaded model.
        """
        model = super().load_model(checkpoint, config, **options)
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if head.weight is not embedding.weight:
            model.config.tie_word_embeddings = False
        return model

    def precision_problem(self, precision: str) -> str | None:
        """Return why fp16 fails: activations of models trained in bf16 overflow its range."""
        if precision == "fp16":
            return "T5-family activations overflow fp16 and the loss becomes NaN; use bf16 or float32"
        return None

    def suppressed_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:
        """Return the sentinels of pretraining and the ids that only pad the vocabulary."""
        sentinels = [at for token, at in tokenizer.get_vocab().items() if re.fullmatch(r"▁?<extra_id_\d+>", token)]
        return sorted({*sentinels, *range(len(tokenizer), vocabulary)})
