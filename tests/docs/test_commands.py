"""Every command in the documentation is composed, or run if that takes only seconds.

The shell parses each command, which checks its quoting. A run must print the output on the page, where a line of three
dots replaces omitted lines.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Command, blocks_of, commands_of

from bisum.config.plain import plain_options

COMMANDS = [command for page in PAGES for command in commands_of(page)]
BISUM_COMMANDS = [command for command in COMMANDS if re.search(r"(^|[ /|(])bisum( |$)", command.text)]
OTHER_COMMANDS = [command for command in COMMANDS if command not in BISUM_COMMANDS]
INSTALLED_PROGRAMS = {"wandb", "trackio", "optuna-dashboard"}
"""Programs installed with the tests' dependencies."""

SYSTEM_PROGRAMS = {".", "cat", "cd", "export", "git", "grep", "head", "iconv", "ln", "ls", "mkdir", "scancel", "squeue"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with a stand-in for `bisum` that records its arguments."""
    program = tmp_path / "bin/bisum"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$BISUM_ARGUMENTS"\n')
    program.chmod(0o755)
    for environment in (".venv", ".venv-xla"):
        (tmp_path / environment).mkdir()
        (tmp_path / environment / "bin").symlink_to(program.parent)
    return tmp_path


def arguments_of(command: Command, folder: Path) -> list[str]:
    """Return the arguments that the shell passes to bisum."""
    recorded = folder / "arguments"
    env = {
        **os.environ, "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "BISUM_ARGUMENTS": str(recorded),
    }  # fmt: skip
    subprocess.run(
        ["bash", "-euc", command.text], cwd=folder, env=env, check=True, stdin=subprocess.DEVNULL, timeout=20
    )
    return recorded.read_text("utf-8").split("\0")[:-1]


def prepare(command: Command, folder: Path, sweep: Path) -> None:
    """Create the files that the page shows, and the files, runs and sweeps that the command names."""
    for block in blocks_of(command.page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(block.lines) + "\n", "utf-8")
    for other in commands_of(command.page):
        if shown := re.fullmatch(r"cat ([\w./-]+)", other.text):
            (folder / shown[1]).write_text("\n".join(other.output) + "\n", "utf-8")
    for name in re.findall(r"(?<![\w=/])[\w-]+\.(?:txt|csv|jsonl)(?:\.gz)?\b", command.text):
        (folder / name).touch()
    sweeps = {name for one in COMMANDS for name in re.findall(r"hydra\.sweep\.dir=(outputs/[\w.-]+)", one.text)}
    without_outputs = re.sub(r"hydra\.(run|sweep)\.dir=\S+", "", command.text)
    for name in re.findall(r"\boutputs/[\w./*-]+|\bRUN\b", without_outputs):
        top = re.sub(r"/(checkpoints|wandb|predictions|plots|\*).*", "", name)
        path = folder / top
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            is_sweep = top in sweeps or top.startswith("outputs/sweeps/")
            shutil.copytree(sweep if is_sweep else sweep / "0", path, symlinks=True)


def agree(shown: list[str], printed: str) -> bool:
    """Return whether the shown lines occur in the printed text, in order; `...` replaces omitted lines."""

    def plain(line: str) -> str:
        return re.sub(r"outputs/\d{4}-\d\d-\d\d/[\w-]+", "outputs/DATE/TIME", line).rstrip()

    pattern = "\n".join(r"(?:.*\n)*?.*" if line == "..." else re.escape(plain(line)) for line in shown)
    lines = "\n".join(plain(line) for line in printed.splitlines())
    return re.search(rf"^{pattern}$", lines, re.MULTILINE) is not None


def is_quick(arguments: list[str]) -> bool:
    """Return whether to run a command even if its page shows no error."""
    queries = {"--help", "-h", "--version", "--cfg"} & set(arguments)
    is_baseline = arguments == ["baseline", "split=test", "evaluation.lead=1"]
    writes_folder = arguments[:1] == ["push"] and any(argument.startswith("hub.folder=") for argument in arguments)
    return bool(queries) or arguments[:1] == ["compare"] or is_baseline or writes_folder


@pytest.mark.parametrize("command", BISUM_COMMANDS, ids=str)
def test_bisum_command_composes_or_prints_the_shown_output(command, folder, sweep, call_bisum, monkeypatch):
    prepare(command, folder, sweep)
    arguments = arguments_of(command, folder)
    monkeypatch.setenv("HOME", str(folder))
    for name in re.findall(r"oc\.env:(\w+)", command.text):
        monkeypatch.setenv(name, "https://host/reviews.csv")
    monkeypatch.syspath_prepend(str(folder))
    refused = bool(command.output) and command.output[0].startswith("bisum: ")
    if is_quick(arguments) or refused:
        done = call_bisum(*arguments)
        assert done.code == (2 if refused else 0), done.err
        shows_other_runs = arguments[0] in ("compare", "evaluate")  # not the stand-ins of `prepare`
        if command.output and (refused or not shows_other_runs):
            assert agree(command.output, done.err if refused else done.out), done.err + done.out
        return
    if arguments[0] == "push":  # an upload
        assert plain_options("push", [argument for argument in arguments[1:] if "=" in argument])
        return
    end = arguments.index("--") if "--" in arguments else len(arguments)
    done = call_bisum(*arguments[:end], "--cfg", "job", *arguments[end:])
    assert done.code == 0, done.err


@pytest.mark.parametrize("command", OTHER_COMMANDS, ids=str)
def test_command_of_another_program_exists(command):
    """Also the targets of make and the extras of pip."""
    for part in re.split(r"\s*(?:&&|\|)\s*", command.text.replace("\\\n", " ")):
        program, *arguments = shlex.split(part, comments=True)
        if program == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
            assert {argument for argument in arguments if "=" not in argument} <= set(targets)
        elif program == "pip" or arguments[:2] == ["-m", "pip"]:
            known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            extras = [name for group in re.findall(r"(?:\.|bisum)\[([\w,]+)\]", part) for name in group.split(",")]
            assert set(extras) <= set(known)
        elif program == "python":
            shown = {block.file for block in blocks_of(command.page)}
            assert arguments[0] in shown or (ROOT / arguments[0]).is_file(), f"no such file: {arguments[0]}"
        elif program in INSTALLED_PROGRAMS:
            assert shutil.which(program, path=Path(sys.executable).parent), f"{program} is not installed"
        else:
            assert program in SYSTEM_PROGRAMS, f"unknown program: {program}"


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in blocks_of(page) if block.language == "python"],
    ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}",
)  # fmt: skip
def test_python_block_compiles_and_its_imports_exist(block):
    code = "\n".join(block.lines)
    compile(code, str(block.page), "exec")
    imports = [line for line in block.lines if re.match(r"(from|import) ", line)]
    exec("\n".join(imports), {})
