"""How a command line is taken apart: command, RUNs, FILEs, settings and TEXTs."""

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
    """The current folder, in which each of the names is a file or, if it ends so, a folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def summarize() -> Composer:
    return Composer("summarize")


def given(composer: Composer, key: str, arguments: list[str]):
    """Return what a key is, once Hydra and OmegaConf have read the arguments."""
    return composer.compose(composer.parse(parse(arguments).arguments))[key]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "x=1"])
def test_a_run_of_any_name_reaches_the_configuration_as_it_is(name, folder, summarize):
    (folder / name).mkdir(parents=True, exist_ok=True)
    assert given(summarize, "run", ["summarize", name]) == name


def test_files_of_any_name_reach_the_configuration_as_they_are(folder, summarize, write):
    names = [name for name in NAMES if name and not name.startswith(("/", ".", "~")) and not name.endswith("/")]
    for name in names:
        write(folder / name, "")
    assert list(given(summarize, "files", ["summarize", "gpt2", *names, "-"])) == [*names, "-"]
    assert given(summarize, "run", ["summarize", *names[:3], "gpt2"]) == "gpt2"


def test_the_jobs_of_several_runs_are_one_each():
    line = parse(["evaluate", *NAMES[:8], "seed=1"])
    assert line.multirun
    composer = Composer("evaluate")
    jobs = swept(composer.parse(line.arguments))
    assert [job[0].value() for job in jobs] == NAMES[:8]
    assert {typed(job[1]) for job in jobs} == {"seed=1"}
    assert not parse(["evaluate", "a", "seed=1"]).multirun


def test_a_setting_is_one_whatever_lies_in_the_folder(folder, write):
    write(folder / "seed=1", "")
    write(folder / "lr=1.txt", "")
    arguments = parse(["summarize", "seed=1", "+model.prefix=a", "hydra/launcher=basic", "lr=1.txt"]).arguments
    assert arguments == ["files=['lr=1.txt']", "seed=1", "+model.prefix=a", "hydra/launcher=basic"]
    assert parse(["evaluate", "~filter.length", "nothing=1"]).arguments == ["~filter.length", "nothing=1"]


def test_options_and_settings_may_come_before_the_command():
    line = parse(["--config-dir", "mine", "seed=1", "evaluate", "a/b", "evaluate"])
    assert (line.named, line.config_dir) == ("evaluate", "mine")
    assert line.arguments == ["run=a/b,'evaluate'", "seed=1"]


def test_what_stands_after_two_dashes_is_text_as_it_is():
    texts = ["${x}", "-m", "--help", "", "--", "seed=1", "~x", " two  blanks ", "--version", "-sc"]
    line = parse(["summarize", "gpt2", "language=es", "--", *texts])
    assert line.texts == texts
    assert line.arguments == ["run=" + "'gpt2'", "language=es"]
    assert not line.multirun
    assert parse(["summarize", "--"]).texts == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--package", "model"], "--package: needs --cfg job"),
        (["baseline", "-p", "model"], "--package: needs --cfg job"),
        (["--resolve"], "--resolve: needs --cfg job"),
        (["-m", "--resolve", "seed=1,2"], "--resolve: needs --cfg job"),
        (["--info", "-m"], "--info: explains the configuration of one job; leave out -m"),
        (["--info", "--cfg", "job"], "--info and --cfg: give one of the two"),
        (["--", "x"], "bisum train takes no texts after '--'; bisum summarize does"),
        (["evaluate", "a", "--"], "bisum evaluate takes no texts after '--'"),
        (["baseline", "run"], "bisum baseline takes no 'run'"),
        (["seed=1", "extra"], "no command 'extra'"),
        (["train", "extra"], "bisum train takes no 'extra'"),
        (["evaluate", "a", "run=b"], "'a' and 'run=b': give run once"),
        (["summarize", "-", "files=[b]"], "'-' and 'files=[b]': give files once"),
        (["summarize", "a/b", "."], "bisum summarize takes one RUN, not 'a/b' and '.'"),
        (["summarize", "notes.txt"], "there is no file 'notes.txt' (texts come after --)"),
        (["summarize", "A small game."], "there is no file 'A small game.' (texts come after --)"),
        (["summarize", "a/b", "notes.txt"], "there is no file 'notes.txt' (texts come after --)"),
        (["summarize", ".", "word " * 2000], f"there is no file '{'word ' * 12}...' (texts come after --)"),
    ],
)
def test_words_that_do_not_fit_are_refused_in_one_line(arguments, said):
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        parse(arguments)
    assert len(str(raised.value).splitlines()) == 1


def test_parsing_leaves_hydra_only_what_is_hydras(monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "earlier")
    line = parse(["baseline", "-m", "split=test", "allow_targets=[mine,'yours']", "~filter", "seed=1,2"])
    assert line.named == "baseline"
    assert line.arguments == ["split=test", "~filter", "seed=1,2"]
    assert line.multirun
    assert os.environ[ALLOW_VARIABLE] == "earlier,mine,yours"
    assert parse(["seed=1"]).named is None
    assert parse([]).arguments == []
