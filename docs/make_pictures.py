"""Make the pictures in `.github/` from real commands on the sample: `make pictures`, eleven minutes on two cores.

The commands run in a terminal of fixed size, in a temporary home folder; nothing is uploaded or kept.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import pexpect
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / ".github"
NAMES = ("run.svg", "explore.svg", "compare.svg", "compare.png", "trackio.png")
SWEEP = "bisum -m trainer.learning_rate=3e-4,3e-3 seed=1,2,3 hydra.sweep.dir=outputs/lr"
TRACKED = (
    "bisum -m tracker=trackio corpus.max_train_rows=320 corpus.max_eval_rows=60 trainer.epochs=5 "
    "trainer.learning_rate=3e-4,3e-3"
)
_PORT = 7861
"""The port of trackio's dashboard."""
_SCREEN_CODES = re.compile(r"(\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])")
"""Cursor movements of rich's progress bars; all other codes are styles."""


class Terminal:
    """Commands in a pseudo-terminal, with a folder as their home and current folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "TRACKIO_DIR": str(folder / "trackio"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "BROWSER": "true",  # otherwise trackio opens one
        }

    def run(self, command: str, width: int = 80) -> str:
        """Run a command and return the text left on the screen, with its styles; exit if it fails."""
        print(f"$ {command}", flush=True)
        options = {"timeout": None, "encoding": "utf-8", "cwd": str(self.folder), "dimensions": (50, width)}
        module = f"{sys.executable} -m {command}"
        output, status = pexpect.run(module, withexitstatus=True, env=self.environment, **options)
        shown = _final_screen(output)
        if status:
            sys.exit(f"{command}: exit code {status}\n{shown}")
        return f"$ {command}\n{shown}"


def _final_screen(output: str) -> str:
    """Return the text left on a screen after bars have moved its cursor and cleared its lines."""
    lines, row = [""], 0
    for part in _SCREEN_CODES.split(output):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part.startswith("\x1b[") and part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not _SCREEN_CODES.fullmatch(part):
            lines[row] += part
    return "\n".join(lines).strip("\n")


def write_svg(text: str, file: Path, width: int = 80) -> None:
    """Write a picture of a terminal that loads no fonts."""
    console = Console(record=True, width=width + 1, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text, overflow="fold"))
    svg = console.export_svg(title="bisum", unique_id="bisum")
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def write_png(page: str, file: Path, size: tuple[int, int], terminal: Terminal) -> None:
    """Write a picture of a web page with a headless browser."""
    browser = _browser()
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=15000", "--disable-gpu"]
    window = f"--window-size={size[0]},{size[1]}"
    command = [browser, *options, window, f"--screenshot={file}", page]
    done = subprocess.run(command, capture_output=True, text=True, env=terminal.environment, timeout=120)
    if done.returncode or not file.is_file():
        sys.exit(f"{browser}: could not show {page}\n{done.stderr}")


def _browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or sys.exit("compare.png and trackio.png: install Chromium or Chrome, or name other pictures")


def picture_run(terminal: Terminal) -> None:
    """Show a default run."""
    write_svg(terminal.run("bisum"), PICTURES / "run.svg")


def picture_explore(terminal: Terminal) -> None:
    """Copy the lengths in tokens that an exploration plots."""
    terminal.run("bisum explore hydra.run.dir=outputs/explored")
    shutil.copy(terminal.folder / "outputs/explored/plots/tokens.svg", PICTURES / "explore.svg")


def picture_comparison(terminal: Terminal, names: Sequence[str]) -> None:
    """Show a sweep's comparison in the terminal and as a report."""
    terminal.run(SWEEP)
    if "compare.svg" in names:
        write_svg(terminal.run("bisum compare outputs/lr rows=1", 100), PICTURES / "compare.svg", 100)
    if "compare.png" in names:
        terminal.run("bisum compare outputs/lr format=html output=report.html")
        write_png((terminal.folder / "report.html").as_uri(), PICTURES / "compare.png", (1100, 1150), terminal)


def picture_trackio(terminal: Terminal) -> None:
    """Show two runs in trackio's dashboard."""
    terminal.run(TRACKED)
    environment = {**terminal.environment, "GRADIO_SERVER_PORT": str(_PORT)}
    command = [sys.executable, "-m", "trackio.cli", "show", "--project", "bisum"]
    log = terminal.folder / "dashboard.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=terminal.folder)
    address = f"http://127.0.0.1:{_PORT}/?project=bisum&metrics=eval/rouge1,eval/rougeL&smoothing=0&x_axis=epoch"
    try:
        for _ in range(60):
            time.sleep(1)
            try:
                urlopen(address, timeout=5).close()
                break
            except OSError:
                continue
        else:
            sys.exit(f"trackio.png: the dashboard does not respond\n{log.read_text()}")
        write_png(address, PICTURES / "trackio.png", (1280, 510), terminal)
    finally:
        server.terminate()
        server.wait()


def main(names: Sequence[str]) -> None:
    """Make the named pictures, or all of them."""
    if unknown := sorted(set(names) - set(NAMES)):
        sys.exit(f"{unknown[0]}: no such picture (valid: {', '.join(NAMES)})")
    names = names or NAMES
    if {"compare.png", "trackio.png"} & set(names):
        _browser()  # before anything trains
    with tempfile.TemporaryDirectory(prefix="bisum-pictures-") as folder:
        terminal = Terminal(Path(folder))
        if "run.svg" in names:
            picture_run(terminal)
        if "explore.svg" in names:
            picture_explore(terminal)
        if {"compare.svg", "compare.png"} & set(names):
            picture_comparison(terminal, names)
        if "trackio.png" in names:
            picture_trackio(terminal)


if __name__ == "__main__":
    main(sys.argv[1:])
