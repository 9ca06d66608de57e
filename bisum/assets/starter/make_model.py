"""Copy a run's best checkpoint here as the `starter` model: `python -m bisum.assets.starter.make_model RUN`.

Its weights are rounded to half precision; bisum computes with them in float32. Its `config.json` states the fingerprint
of the training corpus and the dropout for fine-tuning: the model was trained without dropout, but small corpora overfit
without it (T5 1.1 is published in the same way).
"""

from pathlib import Path

from transformers import AutoModelForSeq2SeqLM

from bisum.assets.script import script
from bisum.config.model_source import model_of
from bisum.errors import UserError
from bisum.runs.record import read_record

DROPOUT = 0.1


def main(run: str, folder: Path) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors` into `folder`."""
    checkpoint, directory = model_of(run)
    if directory is None:
        raise UserError(f"run: '{run}' is not a run directory")
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint).half()
    model.config.dropout_rate = DROPOUT
    model.config.trained_on = read_record(directory)["data"]["fingerprint"]
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    print(f"{model.num_parameters():,} parameters, {(folder / 'model.safetensors').stat().st_size:,} bytes")


if __name__ == "__main__":
    script(lambda run: main(run, Path(__file__).parent), "RUN")
