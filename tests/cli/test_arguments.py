"""Parsing of a command line: command, RUNs, FILEs, settings and TEXTs."""

import os
import re

import pytest

from bisum.cli.arguments import parse
from bisum.config.composition import Composer
from bisum.config.overrides import swept
from bisum.config.targets import ALLOW_VARIABLE
from bisum.config.typed_text import typed
from bisum.errors import UserError

NAMES = [
    "outputs/2026-11-22/16-18-59-6db4",
    "/abs/run",
    "../run/checkpoints/epoch-0.5/",
    "a run",
    " a ",
    "it's",
    'say "x"',
    "a,b",
    "[1]",
    "{a:b}",
    "x=1",
    "a/b=c",
    "${HOME}/x",
    "a/${oc.env:HOME}",
    "a\\b",
    "a\\",
    "\\'",
    "1",
    "1e3",
    "true",
    "null",
    "~/run",
    "glob(*)",
    "choice(a,b)",
    "año/日本",
    "#x",
    "",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def summarize() -> Composer:
    return Composer("summarize")


def given(composer: Composer, key: str, arguments: list[str]):
    """Return the value of a key after Hydra and OmegaConf have read the arguments."""
    return composer.compose(composer.parse(parse(arguments).arguments))[key]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "x=1"])
def test_run_of_any_name_reaches_the_configuration_unchanged(name, folder, summarize):
    (folder / name).mkdir(parents=True, exist_ok=True)
    assert given(summarize, "run", ["summarize", name]) == name


def test_files_of_any_name_reach_the_configuration_unchanged(folder, summarize, write):
    names = [name for name in NAMES if name and not name.startswith(("/", ".", "~")) and not name.endswith("/")]
    for name in names:
        write(folder / name, "")
    assert list(given(summarize, "files", ["summarize", "gpt2", *names, "-"])) == [*names, "-"]
    assert given(summarize, "run", ["summarize", *names[:3], "gpt2"]) == "gpt2"


def test_each_run_becomes_a_job():
    line = parse(["evaluate", *NAMES[:8], "seed=1"])
    assert line.multirun
    composer = Composer("evaluate")
    jobs = swept(composer.parse(line.arguments))
    assert [job[0].value() for job in jobs] == NAMES[:8]
    assert {typed(job[1]) for job in jobs} == {"seed=1"}
    assert not parse(["evaluate", "a", "seed=1"]).multirun


def test_known_keys_are_settings_even_if_files_have_their_names(folder, write):
    write(folder / "seed=1", "")
    write(folder / "lr=1.txt", "")
    arguments = parse(["summarize", "seed=1", "+model.prefix=a", "hydra/launcher=basic", "lr=1.txt"]).arguments
    assert arguments == ["files=['lr=1.txt']", "seed=1", "+model.prefix=a", "hydra/launcher=basic"]
    assert parse(["evaluate", "~filter.length", "nothing=1"]).arguments == ["~filter.length", "nothing=1"]


def test_options_and_settings_can_precede_the_command():
    line = parse(["--config-dir", "mine", "seed=1", "evaluate", "a/b", "evaluate"])
    assert (line.named, line.config_dir) == ("evaluate", "mine")
    assert line.arguments == ["run=a/b,'evaluate'", "seed=1"]


def test_arguments_after_two_dashes_are_literal_texts():
    texts = ["${x}", "-m", "--help", "", "--", "seed=1", "~x", " two  blanks ", "--version", "-sc"]
    line = parse(["summarize", "gpt2", "language=es", "--", *texts])
    assert line.texts == texts
    assert line.arguments == ["run=" + "'gpt2'", "language=es"]
    assert not line.multirun
    assert parse(["summarize", "--"]).texts == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--package", "model"], "--package: needs --cfg job"),
        (["baseline", "-p", "model"], "--package: needs --cfg job"),
        (["--resolve"], "--resolve: needs --cfg job"),
        (["-m", "--resolve", "seed=1,2"], "--resolve: needs --cfg job"),
        (["--info", "-m"], "--info: explains a single job; drop -m"),
        (["--info", "--cfg", "job"], "--info: cannot be combined with --cfg; drop one"),
        (["--", "x"], "bisum train accepts no texts after '--'; use bisum summarize"),
        (["evaluate", "a", "--"], "bisum evaluate accepts no texts after '--'"),
        (["baseline", "run"], "unexpected argument 'run' for bisum baseline"),
        (["seed=1", "extra"], "unknown command 'extra'"),
        (["train", "extra"], "unexpected argument 'extra' for bisum train"),
        (["evaluate", "a", "run=b"], "'a' and 'run=b': both set run; drop one"),
        (["summarize", "-", "files=[b]"], "'-' and 'files=[b]': both set files; drop one"),
        (["summarize", "a/b", "."], "bisum summarize accepts one RUN, not 'a/b' and '.'"),
        (["summarize", "notes.txt"], "'notes.txt': no such file; put texts after --"),
        (["summarize", "A small game."], "'A small game.': no such file; put texts after --"),
        (["summarize", "a/b", "notes.txt"], "'notes.txt': no such file; put texts after --"),
        (["summarize", ".", "text " * 2000], f"'{'text ' * 12}...': no such file; put texts after --"),
    ],
)
def test_misplaced_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        parse(arguments)
    assert len(str(raised.value).splitlines()) == 1


def test_parsing_leaves_only_overrides_for_hydra(monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "earlier")
    line = parse(["baseline", "-m", "split=test", "allow_targets=[mine,'yours']", "~filter", "seed=1,2"])
    assert line.named == "baseline"
    assert line.arguments == ["split=test", "~filter", "seed=1,2"]
    assert line.multirun
    assert os.environ[ALLOW_VARIABLE] == "earlier,mine,yours"
    assert parse(["seed=1"]).named is None
    assert parse([]).arguments == []
