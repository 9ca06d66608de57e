"""Memory, speed and checkpoint size of LoRA and full fine-tuning, on mT5-small's shape with a tied head.

python tests/benchmarks/lora.py        # 172 M parameters, 6 steps of 8 rows, alternating, medians of 2
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer, MT5Config, MT5ForConditionalGeneration

from bisum.config.model_source import located

ARGUMENTS = [
    *("corpus.max_train_rows=48", "corpus.max_eval_rows=8", "model.max_document_tokens=128", "tracker=none"),
    *("trainer.batch_size=8", "trainer.epochs=1", "trainer.log_every=6", "trainer.keep_checkpoints=1"),
    *("evaluation.bootstrap_samples=100", "evaluation.shown_summaries=0", "hardware=cpu", "log=quiet"),
]
FILES = {"weights": ("model.safetensors", "adapter_model.safetensors"), "optimizer": ("optimizer.safetensors",)}


def checkpoint(folder: Path) -> None:
    """Write a model of mT5-small's shape (Xue et al. 2021, table 2) with bisum's small tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(located("pkg://bisum.assets.tiny"))
    tokenizer.save_pretrained(folder)
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = MT5Config(**ids, decoder_start_token_id=tokenizer.pad_token_id)  # the defaults are mT5-small's
    MT5ForConditionalGeneration(config).save_pretrained(folder)


def run(model: Path, directory: Path, adapter: str) -> dict[str, float]:
    """Train and return what it took: peak memory and sizes in MB, rows per second."""
    command = [sys.executable, "-m", "bisum", f"model.checkpoint={model}", f"adapter={adapter}", *ARGUMENTS]
    subprocess.run([*command, f"hydra.run.dir={directory}"], check=True, capture_output=True)
    record = json.loads((directory / "run.json").read_text("utf-8"))
    saved = directory / "checkpoints" / record["test"]["checkpoint"]
    sizes = {
        name: sum((saved / file).stat().st_size for file in files if (saved / file).exists()) / 1e6
        for name, files in FILES.items()
    }
    return {
        "trained parameters (M)": record["trained_parameters"] / 1e6,
        "peak memory (MB)": record["peak_memory"] / 1e6,
        "rows per second": record["rows_per_second"],
        **{f"{name} in a checkpoint (MB)": size for name, size in sizes.items()},
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checkpoint(folder / "model")
        found: dict[str, list[dict[str, float]]] = {"none": [], "lora": []}
        for number in range(2):
            for adapter, runs in found.items():
                runs.append(run(folder / "model", folder / f"{adapter}{number}", adapter))
    print("| | full | LoRA | ratio |\n| --- | ---: | ---: | ---: |")
    for name in found["none"][0]:
        full, lora = (statistics.median(values[name] for values in runs) for runs in found.values())
        print(f"| {name} | {full:,.1f} | {lora:,.1f} | {lora / full:.3f} |")


if __name__ == "__main__":
    main()
