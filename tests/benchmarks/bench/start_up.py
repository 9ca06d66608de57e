"""Seconds until a command answers or trains, beside the bare imports of the libraries that it needs.

Each measurement is a process of its own, from its start to its end; the two columns alternate, and a ratio is the
median over the rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TORCH = "import torch; from transformers.models.t5 import modeling_t5"
_FIRST_STEP = """
import os
from bisum.training.session import Session
Session.end_step = lambda *_, **__: os._exit(0)
"""


@dataclass(frozen=True)
class Start:
    """A command, and the imports that it cannot do without."""

    title: str
    arguments: Sequence[str]
    imports: str
    code: int = 0
    """Exit code of the command."""
    ends_at_step: bool = False
    """Whether to end the process at the first optimizer step."""


STARTS = [
    Start("show the configuration", ["--cfg", "job"], "import hydra"),
    Start("report an unknown option", ["model=t5_smal"], "import hydra", code=2),
    Start("report an unknown key", ["trainer.lr=1"], "import hydra", code=2),
    Start(
        "summarize a text, in torch",
        ["summarize", "generation.engine=transformers", "hardware=cpu", "--", "A mail reader."],
        _TORCH,
    ),
    Start(
        "summarize a text, stored conversion",
        ["summarize", "hardware=cpu", "--", "A mail reader."],
        "import ctranslate2, hydra, rich.console; from transformers import PreTrainedTokenizerFast",
    ),
    Start(
        "train until the first step",
        ["tracker=none", "hardware=cpu"],
        f"{_TORCH}; import accelerate, transformers.optimization",
        ends_at_step=True,
    ),
]


def measure(start: Start, rounds: int) -> list[tuple[float, float]]:
    """Return the seconds of the command and of the imports, a pair for each round."""
    with tempfile.TemporaryDirectory() as folder:
        # A first run compiles the modules and stores a conversion.
        return [(_seconds(start, folder), _import_seconds(start, folder)) for _ in range(rounds + 1)][1:]


def table(measured: Sequence[tuple[Start, Sequence[tuple[float, float]]]]) -> list[str]:
    """Return the lines of a Markdown table; a ratio is the median of the ratios within a round."""
    lines = ["| start | bisum s | imports s | time/imports |", "| --- | --- | --- | --- |"]
    for start, pairs in measured:
        ours, imports = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        lines.append(f"| {start.title} | {ours:.2f} | {imports:.2f} | {ratio:.2f} |")
    return lines


def _seconds(start: Start, folder: str) -> float:
    command = [sys.executable, "-m", "bisum", *start.arguments]
    if start.ends_at_step:
        code = f"{_FIRST_STEP}\nfrom bisum.cli.main import main; main()"
        command = [sys.executable, "-c", code, *start.arguments]
    return _time(command, folder, start.code)


def _import_seconds(start: Start, folder: str) -> float:
    return _time([sys.executable, "-c", start.imports], folder, 0)


def _time(command: Sequence[str], folder: str, code: int) -> float:
    """Return the seconds that a command takes in an empty home folder; end with its output if it fails."""
    own = {"XDG_CACHE_HOME": folder, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode != code:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return seconds
