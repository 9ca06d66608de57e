"""No control sequence of a document, a name, a value or a message reaches the terminal, a pipe, the log or a report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pexpect
import pytest

import bisum

ROOT = str(Path(bisum.__file__).parents[1])
EVIL = "\x1b]0;title\x07\x1b[2J\x9b3J\u202e"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
SMALL = [
    "model=tiny", "model.architecture.d_model=32", "model.architecture.d_ff=32", "model.architecture.num_layers=1",
    "model.max_document_tokens=64", "trainer.epochs=1", "evaluation.bootstrap_samples=100", "hardware=cpu",
    "model.max_summary_tokens=8", "generation.num_beams=1",
]  # fmt: skip
SHORT = ["model.max_summary_tokens=8", "generation.num_beams=1"]


@pytest.fixture
def lab(tmp_path, write):
    """Arguments that read a corpus of evil texts, in a file with an evil name."""
    rows = [
        {
            "id": f"{EVIL}{number}",
            "text": f"{EVIL} A cat sleeps on the roof of house {number}. [red]Rain[/red] fell all night. [/]",
            "title": f"\x1b[31m A cat on roof {number} {EVIL}",
            "category": ["[/]", f"[link=file:///etc/passwd]{EVIL}[/link]", "می‌خواهم"][number % 3],
            "lang": "en",
        }
        for number in range(6)
    ]
    write(tmp_path / f"rows{EVIL}.jsonl", "\n".join(map(json.dumps, rows)))
    splits = [f"corpus.{split}='rows{EVIL}.jsonl'" for split in ("train", "validation", "test")]
    return ["tracker=none", "corpus=files", *splits, "languages=[en]"]


def clean(*texts):
    for text in texts:
        found = CONTROLS.search(text)
        assert not found, text[max(0, found.start() - 80) : found.end() + 20]


def test_pipe_and_log_receive_text_without_control_sequences(call_bisum, lab, tmp_path):
    for command, arguments in {"train": SMALL, "evaluate": SHORT, "baseline": []}.items():
        done = call_bisum(command, *lab, *arguments, f"hydra.run.dir={command}")
        assert done.code == 0, done.err
        log = (tmp_path / command / "train.log").read_text("utf-8")
        clean(done.out, done.err, log)
        if command != "baseline":
            assert re.search(r"\]0;title\[2J3J A cat sleeps on the roof of house \d\. \[red\]Rain\[/red\] fell", log)
            assert "A cat sleeps on the roof" in done.out


def test_exploration_is_clean_in_every_file(call_bisum, lab, tmp_path):
    arguments = ["explore.samples=6", "filter=[length]", "filter.length.min_document_words=100", "hydra.run.dir=run"]
    done = call_bisum("explore", *lab, *arguments)
    assert done.code == 0, done.err
    files = (tmp_path / "run/train.log", tmp_path / "run/exploration.json")
    clean(done.out, done.err, *(file.read_text("utf-8") for file in files))
    assert "[/]" in done.out
    for svg in (tmp_path / "run/plots").glob("*.svg"):
        ElementTree.parse(svg)
        clean(svg.read_text("utf-8"))


def test_summaries_are_clean_and_json_keeps_the_whole_document(call_bisum, lab):
    done = call_bisum("summarize", *lab, *SHORT, "split=test", f"ids=['{EVIL}3']")
    assert done.code == 0, done.err
    clean(done.out, done.err)
    assert done.out.startswith("]0;title[2J3J3 (en)\ndocument   ]0;title[2J3J A cat sleeps on the roof of house 3.")
    assert "\nreference  A cat on roof 3 ]0;title[2J3J\n" in done.out
    done = call_bisum("summarize", *lab, *SHORT, "split=test", f"ids=['{EVIL}3']", "format=jsonl")
    clean(done.out, done.err)
    row = json.loads(done.out)
    assert row["document"].startswith(f"{EVIL} A cat")
    assert row["id"] == f"{EVIL}3"


TRAINED_THEN_USED = """
import sys
from bisum.cli.main import main
for arguments in (
    ["train", *sys.argv[1:], "hydra.run.dir=run"], ["evaluate", "run"], ["summarize", "run", "split=test"],
):
    try:
        main(arguments)
    except SystemExit as error:
        assert error.code == 0, error.code
print("done")
"""

PRINTING = """
import sys, warnings

class Printing:
    def keep(self, rows, held_out):
        print("\\x1b[31mprinted", rows["document"][0])
        print("\\x1b[2Jcomplained", file=sys.stderr)
        return rows["document"].is_valid()

class Failing:
    def keep(self, rows, held_out):
        raise ValueError(rows["document"][0])
"""


@pytest.fixture
def own(tmp_path, write):
    write(tmp_path / "own.py", PRINTING)
    for name in ("Printing", "Failing"):
        write(tmp_path / f"conf/filter/{name.lower()}.yaml", f"# @package filter.mine\n_target_: own.{name}\n")
    return ["--config-dir", "conf", "allow_targets=[own]"]


@pytest.mark.timeout(180)
def test_terminal_receives_sequences_of_bars_but_none_of_documents(lab, own, tmp_path):
    arguments = [*own, *lab, *SMALL, "filter=[printing]"]
    terminal = pexpect.spawn(
        sys.executable, ["-c", TRAINED_THEN_USED, *arguments], cwd=str(tmp_path),
        env={**os.environ, "PYTHONPATH": ROOT},
        dimensions=(50, 120), encoding="utf-8", timeout=150,
    )  # fmt: skip
    terminal.expect(pexpect.EOF)
    terminal.close()
    out = terminal.before
    assert terminal.exitstatus == 0, out
    assert out.rstrip().endswith("done")
    assert "\x1b[2K" in out  # rich's own
    assert "printed ]0;title[2J3J A cat" in out
    assert "reference  A cat on roof" in out
    for text in ("title", "2Jcomplained", "file:///", "2J3J"):
        assert not re.search(rf"\x1b\S?\S?{re.escape(text)}", out)
    assert not re.search("\x1b[^[]|\x1b\\[2J|\x1b\\[31m|[\x80-\x9f\u202e]", out)


def test_output_and_errors_of_user_classes_are_clean(call_bisum, lab, own, tmp_path):
    done = call_bisum("baseline", *own, *lab, "filter=[printing]")
    assert done.code == 0
    assert "printed ]0;title[2J3J A cat" in done.out
    assert "[2Jcomplained" in done.err
    clean(done.out, done.err)
    done = call_bisum("baseline", *own, *lab, "filter=[failing]", "hydra.run.dir=run")
    assert done.code == 2
    assert "]0;title[2J3J A cat" in done.err
    log = (tmp_path / "run/train.log").read_text("utf-8")
    assert "Traceback" in log
    assert "ValueError: ]0;title[2J3J A cat" in log
    clean(done.err, log)


def test_names_values_and_comments_are_clean(call_bisum, run_bisum, lab, tmp_path, write, monkeypatch):
    folder = tmp_path / f"conf{EVIL}"
    write(folder / f"model/x{EVIL}.yaml", "# bisum model=x \u202e\n# About \u202e it\ndefaults: [tiny]\n")
    write(
        folder / "model/evil.yaml",
        '# About \u202e it\n# bisum model=evil\ndefaults: [tiny]\nprefix: "a\\e[2J\\x9b\\u202e"\n',
    )
    monkeypatch.setenv("EVIL", EVIL)
    with_folder = ["--config-dir", str(folder)]
    run = f"hydra.run.dir='run{EVIL}'"
    expected = {
        ("baseline", *lab, run, f"tracker.name='{EVIL}'"): 0,
        ("baseline", *lab, run): 2,
        ("baseline", "-m", *lab, f"tracker.name='{EVIL}','[/]','[red]x[/red]'", f"hydra.sweep.dir='sweep{EVIL}'"): 0,
        (*with_folder, "--help"): 0,
        (*with_folder, "--help", "model"): 0,
        (*with_folder, "--help", "model=evil"): 0,
        (*with_folder, "--hydra-help"): 0,
        (*with_folder, f"model='x{EVIL}'", "--cfg", "job"): 0,
        (*with_folder, "model=evil", "--cfg", "job"): 0,
        (*with_folder, "model=evil", "--cfg", "job", "--package", "model.prefix"): 0,
        ("model.prefix='${oc.env:EVIL}'", "--cfg", "job", "--resolve"): 0,
        ("--config-dir", f"no{EVIL}"): 2,
        ("corpus=files", f"corpus.train='no{EVIL}.csv'", "corpus.validation=x", "corpus.test=x"): 2,
        ("evaluate", f"no{EVIL}"): 2,
        ("summarize", f"no{EVIL}"): 2,
        (f"resume='no{EVIL}'",): 2,
        (f"seed='{EVIL}'",): 2,
        (f"{EVIL}=1",): 2,
        (f"--{EVIL}",): 2,
        (f"model='{EVIL}'",): 2,
        ("--cfg", "job", "--package", EVIL): 2,
    }
    for arguments, code in expected.items():
        done = call_bisum(*arguments)
        assert done.code == code, (arguments, done.err)
        clean(done.out, done.err)
        if code == 2:
            assert done.err.count("\n") == 1
            assert r"\x1b]0;title\x07\x1b[2J" in done.err
    assert "without their control characters" in call_bisum(*with_folder, "model=evil", "--cfg", "job").err
    # Hydra reconfigures Python's logging, which closes the streams of other libraries' handlers.
    done = run_bisum(*with_folder, "model=evil", "--info", "all", cwd=tmp_path)
    assert done.code == 0, done.err
    clean(done.out, done.err)


def test_completion_omits_names_with_control_characters(call_bisum, tmp_path, monkeypatch):
    for name in (f"x{EVIL}.txt", "xb\nc.txt", "xbc.txt", "xb\udce9.txt", "xbمی‌خ.txt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("COMP_LINE", "bisum summarize x")
    for shell in ("bash", "zsh", "fish"):
        done = call_bisum("-sc", f"query={shell}")
        assert (done.code, done.err) == (0, "")
        clean(done.out.replace("\t", ""))
        offered = [line.partition("\t")[0].strip() for line in done.out.splitlines()]
        assert [argument for argument in offered if "=" not in argument] == ["xbc.txt", "xbمی‌خ.txt"]


def test_traceback_of_python_is_clean(tmp_path):
    """An error that `main` does not handle, in a separate process."""
    script = "import sys, bisum.cli.main as m; sys.argv[1:] = ['--version']; import bisum.cli.dispatch as d\n"
    script += "def run(arguments): raise ValueError('\\x1b[2J\\x9b')\nd.run = run\nm.main()"
    env = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: [2J")
    clean(done.stderr)
