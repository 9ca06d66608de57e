"""Train the tokenizer of the `tiny` model: `python -m bisum.models.tiny.make_tokenizer`.

A Unigram tokenizer (Kudo 2018, https://arxiv.org/abs/1804.10959) of 8,000 pieces in T5's conventions: `<pad>` 0,
`</s>` 1, `<unk>` 2, `</s>` after every text. It is trained on the sample corpus' training rows alone, documents and
summaries of both languages, and saved beside this script, the same bytes on every run.
"""

import io
from collections.abc import Iterator
from pathlib import Path

VOCABULARY_SIZE = 8_000


def main(folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    # SentencePiece finds the pieces, since the trainer in `tokenizers` gives other scores on every run.
    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(normalizer.normalize_str(text) for text in _texts()),
        model_writer=trained,
        model_type="unigram",
        vocab_size=VOCABULARY_SIZE,
        normalization_rule_name="identity",
        character_coverage=1.0,
        max_sentence_length=100_000,  # bytes; longer texts would be left out
        num_threads=1,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=1,
    )
    pieces = SentencePieceProcessor(model_proto=trained.getvalue())
    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]

    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=pieces.unk_id()))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", pieces.eos_id())]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    print(f"{tokenizer.get_vocab_size():,} pieces")


def _texts() -> Iterator[str]:
    from bisum.corpus.sources import Sample

    rows = Sample(max_train_rows=None, max_eval_rows=None).load(["en", "es"])["train"]
    for column in ("document", "summary"):
        yield from rows[column].to_pylist()


if __name__ == "__main__":
    main(Path(__file__).parent)
