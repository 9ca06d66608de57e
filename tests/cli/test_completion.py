"""TAB completion in real shells, and the candidates at each position."""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pexpect
import pytest

import bisum
from bisum.cli.commands import COMMANDS
from bisum.cli.completion import answer
from bisum.cli.options import OPTIONS

SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$({} -sc install=bash)"'),
    "zsh": (["-f", "-i"], 'eval "$({} -sc install=zsh)"'),
    "fish": (["--no-config", "-i"], "{} -sc install=fish | source"),
}
PROGRAM = """\
#!{python}
import sys
from bisum.cli.main import main
main(sys.argv[1:])
"""

FLAGS = ["-m", *(option.name for option in OPTIONS)]


@pytest.fixture
def offered(monkeypatch):
    """Return the arguments offered at the end of a line, in zsh's protocol."""

    def arguments(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        return [found.partition("\t")[0] for found in answer(["-sc", "query=zsh"]).splitlines()]

    return arguments


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("bisum base", ["baseline"]),
        ("bisum seed=1 base", []),
        ("bisum trainer=a", ["trainer=accelerate"]),
        ("bisum baseline trainer=a", ["trainer=accelerate"]),
        ("/opt/bin/bisum trainer=a", ["trainer=accelerate"]),
        ("python -m bisum trainer=a", ["trainer=accelerate"]),
        ("bisum model=t5_", ["model=t5_base", "model=t5_small"]),
        ("bisum model=tiny,t5", []),
        ("bisum -m model=tiny,t5_", ["model=tiny,t5_base", "model=tiny,t5_small"]),
        ("bisum filter=", [f"filter=[{name}" for name in ("books", "deduplicate", "length", "long_titles")]),
        ("bisum filter=bo", ["filter=books"]),
        ("bisum filter=[books,", [f"filter=[books,{name}" for name in ("deduplicate", "length", "long_titles")]),
        ("bisum filter=[books", ["filter=[books]", "filter=[books,"]),
        ("bisum 'filter=[books,d", ["filter=[books,deduplicate"]),
        ("bisum trainer.warm", ["trainer.warmup="]),
        ("bisum ++trainer.warm", ["++trainer.warmup="]),
        ("bisum model=tiny model.arch", ["model.architecture."]),
        ("bisum model=tiny model.architecture.num_h", ["model.architecture.num_heads="]),
        ("bisum model=t5_small model.architecture.", []),
        ("bisum trainer.argu", []),
        ("bisum trainer=seq2seq_trainer trainer.argu", ["trainer.arguments="]),
        ("bisum trainer=seq2seq_trainer trainer.nonsense=1 trainer.argu", ["trainer.arguments="]),
        ("bisum filter=[books] filter.books.", ["filter.books.categories="]),
        ("bisum spl", []),
        ("bisum baseline split=", ["split=train", "split=validation", "split=test"]),
        ("bisum trainer.optimizer=", ["trainer.optimizer=adamw", "trainer.optimizer=adafactor"]),
        ("bisum trainer.decay_all_parameters=", [f"trainer.decay_all_parameters={v}" for v in ("true", "false")]),
        ("bisum seed=", ["seed=42"]),
        ("bisum experiment=course_t", ["experiment=course_trainer"]),
        ("bisum -", FLAGS),
        ("bisum --cfg ", ["job", "hydra", "all"]),
        ("bisum seed=1 --cfg j", ["job"]),
        ("bisum --cfg job --package trainer.opt", ["trainer.optimizer"]),
        ("bisum --help trainer.opt", ["trainer.optimizer"]),
        ("bisum -sc inst", ["install=bash", "install=zsh", "install=fish"]),
        ("bisum --shell-completion install=z", ["install=zsh"]),
        ("bisum nonsense=", []),
        ("bisum eva", ["evaluate", "evaluation."]),
        ("bisum evaluate spl", ["split="]),
        ("bisum evaluate split=t", ["split=train", "split=test"]),
        ("bisum summarize format=", ["format=text", "format=jsonl"]),
        ("bisum summarize -", [*FLAGS, "--"]),
        ("bisum summarize -- ", []),
        ("bisum summarize a b -- la", []),
    ],
)
def test_candidates_match_the_text_before_the_cursor(offered, line, arguments):
    assert offered(line) == arguments


def test_groups_commands_and_keys_are_offered_but_no_base_files(offered):
    arguments = offered("bisum ")
    assert {*COMMANDS, "model=", "trainer.", "seed=", "resume="} <= set(arguments)
    assert not any("=_" in argument or argument.startswith("_") for argument in [*arguments, *offered("bisum model=")])


def test_user_folders_and_files_are_offered(offered, tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine/model/mylab.yaml", "# Mine.\ndefaults: [tiny]\n")
    write(tmp_path / "data/json/x.json", "")
    write(tmp_path / "data.csv", "")
    assert offered("bisum --config-dir ") == ["data/", "mine/"]
    assert offered("bisum --config-dir mine model=my") == ["model=mylab"]
    assert offered("bisum corpus=marc corpus.path=d") == ["corpus.path=data/", "corpus.path=data.csv"]
    assert offered("bisum corpus=marc corpus.path=data/j") == ["corpus.path=data/json/"]
    assert offered(f"bisum resume={tmp_path}/mi") == [f"resume={tmp_path}/mine/"]


def test_runs_and_files_are_offered_to_commands_that_accept_them(offered, tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "outputs/today/run.json", "{}")
    write(tmp_path / "ouija.txt", "")
    assert offered("bisum evaluate ou") == ["outputs/"]
    assert offered("bisum evaluate outputs/") == ["outputs/today/"]
    assert offered("bisum evaluate outputs/today/ run=ou") == ["run=ouija.txt", "run=outputs/"]
    assert offered("bisum summarize outputs/today ou") == ["ouija.txt", "outputs/"]
    assert offered("bisum baseline ou") == []
    arguments = offered("bisum summarize ")
    assert {"outputs/", "ouija.txt", "model=", "language=", "files=", "generation."} <= set(arguments)


def test_bash_receives_the_part_after_the_last_word_break(monkeypatch):
    monkeypatch.setenv("COMP_BREAKS", " \t\n\"'><=;|&(:")
    for line, arguments in {
        "bisum trainer=": ["accelerate ", "seq2seq_trainer "],
        "bisum 'trainer=s": ["trainer=seq2seq_trainer "],
        "bisum trainer": ["trainer=", "trainer."],
        "bisum filter=[b": ["[books"],
    }.items():
        monkeypatch.setenv("COMP_LINE", line)
        assert answer(["-sc", "query=bash"]).splitlines() == arguments


def test_unknown_request_is_refused(call_bisum, one_line):
    assert "install=bash, install=zsh, install=fish, not 'install=tcsh'" in one_line(call_bisum("-sc", "install=tcsh"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("program", ["bisum", "python -m bisum"])
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_in_a_real_shell(shell, program, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "bin/bisum"
    script.parent.mkdir()
    script.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    path = f"{script.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    root = str(Path(bisum.__file__).parents[1])
    own = {"PATH": path, "HOME": str(tmp_path), "PS1": "$ ", "TERM": "xterm", "PYTHONPATH": root}
    options, install = SHELLS[shell]
    child = pexpect.spawn(
        shell, options, env={**os.environ, **own}, cwd=tmp_path, encoding="utf-8", dimensions=(40, 120), timeout=30
    )
    child.sendline(f"{install.format(program)}; echo rea''dy")
    child.expect("ready")
    time.sleep(1)  # zsh and fish discard input typed before their prompt
    for typed, completed in {
        "base": "baseline",
        "trainer=acc": "trainer=accelerate",
        "'filter=[boo": "filter=[books",
    }.items():
        child.send(f"{program} {typed}\t")
        rest = completed.removeprefix(typed.split()[-1].strip("'"))
        child.expect(re.escape(rest))
        child.sendcontrol("u")
        time.sleep(0.2)
    child.close(force=True)
