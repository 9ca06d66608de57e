"""Number of summaries that match plain transformers calls, by family, decoding and mix of languages.

    PYTHONPATH=tests python tests/benchmarks/beams.py [ROWS]

The families are the small checkpoints of `tests/checkpoints/`. The plain calls are in `tests/plain.py`: one row at a
time, without padding. ROWS (default 100) documents come from the sample, alternating English and Spanish.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from checkpoints import BUILDERS, build
from plain import Plain
from transformers import logging

from bisum import compose
from bisum.corpus.sample import Sample
from bisum.evaluation.generation import summarize
from bisum.models.loading import load

DECODING = {
    "greedy": {"num_beams": 1},
    "4 beams": {"num_beams": 4, "length_penalty": 1.0, "early_stopping": False},
    "4 beams, penalty 2": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": False},
}


def main(count: int) -> None:
    """Print a line per family and decoding."""
    logging.set_verbosity_error()
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1.0).load(["en", "es"])["train"]
    texts = {code: [row["document"] for row in rows.to_pylist() if row["language"] == code] for code in ("en", "es")}
    mixed = [(code, texts[code][number]) for number in range(count // 2) for code in ("en", "es")]
    for family in BUILDERS:
        folder = build(family, Path(tempfile.mkdtemp()))
        config = compose([f"model.checkpoint={folder}", "model.max_document_tokens=64", "model.max_summary_tokens=12"])
        prompt = {"t5": {"prefix": "summarize: "}, "gpt2": {"suffix": "\nTL;DR:"}, "chat": {"prefix": "Summarize:\n"}}
        loaded = load(replace(config.model, **prompt.get(family, {})), 0, "float32")
        plain = Plain(family, folder)
        for name, decoding in DECODING.items():
            own_settings = {**decoding, "no_repeat_ngram_size": 0}  # BART's checkpoint says 3
            expected = [
                plain.text(plain.generate(plain.document(text, code), code, **own_settings)) for code, text in mixed
            ]
            options = replace(config.generation, **decoding)
            codes, documents = map(list, zip(*mixed, strict=True))
            together = summarize(loaded, documents, codes, options, 8, "float32")
            alone = dict.fromkeys(range(len(mixed)), "")
            for code in ("en", "es"):
                at = [number for number, language in enumerate(codes) if language == code]
                own = summarize(loaded, [documents[number] for number in at], [code] * len(at), options, 8, "float32")
                alone |= dict(zip(at, own, strict=True))
            same = [sum(map(str.__eq__, expected, found)) for found in (together, alone.values())]
            print(f"{family:8} {name:20} {same[0]} of {len(mixed)} mixed, {same[1]} one language at a time", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
