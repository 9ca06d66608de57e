"""Unigram tokenizers trained on texts, with T5's conventions."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def train_unigram(texts: Iterable[str], pieces: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer with `pieces` tokens (Kudo 2018, https://arxiv.org/abs/1804.10959), identical on every run.

    Special tokens are T5's: `<pad>` 0, `</s>` 1, `<unk>` 2, and `</s>` after every text. Texts are normalized to NFKC,
    and each run of white space becomes one space.
    """
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    # SentencePiece trains the pieces, since the trainer in `tokenizers` yields different scores on every run.
    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(normalizer.normalize_str(text) for text in texts),
        model_writer=trained,
        model_type="unigram",
        vocab_size=pieces,
        normalization_rule_name="identity",
        character_coverage=1.0,
        max_sentence_length=100_000,  # bytes; longer texts are left out
        num_threads=1,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=1,
    )
    found = SentencePieceProcessor(model_proto=trained.getvalue())
    vocabulary = [(found.id_to_piece(i), found.get_score(i)) for i in range(len(found))]

    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=found.unk_id()))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", found.eos_id())]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
