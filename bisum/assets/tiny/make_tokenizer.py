"""Train the tokenizer of the `tiny` model: `python -m bisum.assets.tiny.make_tokenizer`.

A Unigram tokenizer of 8,000 pieces with T5's conventions is trained on the documents and summaries of both languages
in the sample corpus's training rows only. It is saved next to this script, with identical bytes on every run.
"""

from collections.abc import Iterator
from pathlib import Path

from bisum.assets.unigram import train_unigram

VOCABULARY_SIZE = 8_000


def main(folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`."""
    tokenizer = train_unigram(_texts(), VOCABULARY_SIZE)
    tokenizer.save_pretrained(folder)
    print(f"{len(tokenizer):,} pieces")


def _texts() -> Iterator[str]:
    from bisum.corpus.sample import Sample

    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]
    for column in ("document", "summary"):
        yield from rows[column].to_pylist()


if __name__ == "__main__":
    main(Path(__file__).parent)
