"""Copy a run's best checkpoint here as the `starter` model: `python -m bisum.assets.starter.make_model RUN`.

Its weights are rounded to half precision; bisum computes with them in float32. Its `config.json` states the fingerprint
of the training corpus, and its `generation_config.json` the length of banned n-grams.
"""

from pathlib import Path

from transformers import AutoModelForSeq2SeqLM

from bisum.assets.script import best_checkpoint, script
from bisum.runs.record import read_record

NO_REPEAT_NGRAM_SIZE = 3
"""Chosen on the validation split, as the card describes."""


def main(run: str, folder: Path) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors` into `folder`."""
    checkpoint, directory = best_checkpoint(run)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint).half()
    model.config.trained_on = read_record(directory)["data"]["fingerprint"]
    model.generation_config.no_repeat_ngram_size = NO_REPEAT_NGRAM_SIZE
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    print(f"{model.num_parameters():,} parameters, {(folder / 'model.safetensors').stat().st_size:,} bytes")


if __name__ == "__main__":
    script(lambda run: main(run, Path(__file__).parent), "RUN")
