"""bisum's configurations and sweeps are identical to Hydra's own for the same arguments.

bisum lets Hydra compose the groups and sets keys on a copy; the reference is Hydra's composition of all arguments.
Since bisum sets keys that do not exist, too, Hydra receives `++key=value` for `key=value`.
"""

import random
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.composition import Composer
from bisum.config.overrides import swept
from bisum.config.schema import SCHEMAS
from bisum.config.sweep import listed_sweep
from bisum.config.typed_text import typed
from bisum.errors import UserError
from bisum.interfaces.defaults import conf_directory


def lines(text: str) -> list[str]:
    """Return the command lines of a text, without its comments."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


LINES = lines(r"""
# Only a command.
train
baseline
explore
evaluate
summarize

# Integers, decimal numbers, booleans and null.
seed=1
seed=-7 evaluation.lead=1_000 evaluation.bootstrap_samples=0x10
trainer.learning_rate=1e-3 trainer.weight_decay=-0.0 generation.length_penalty=.5
trainer.learning_rate=inf trainer.warmup=nan corpus.language_temperature=1.0
trainer.gradient_checkpointing=true generation.early_stopping=False trainer.decay_all_parameters=on
model.prefix=null trainer.max_gradient_norm=NULL log=debug
log='str(1)' seed='int(3.7)' trainer.warmup='float(2)' generation.early_stopping='bool(1)'

# Text: bare, quoted, empty, with blanks, escapes, interpolations and texts that are values elsewhere.
log='"a b"' model.prefix="'summarize: '" model.suffix='"#1: 100%"'
log= model.prefix="''"
model.prefix='"it'\''s: "' model.suffix="'it\\'s: '"
model.prefix='a\ b\,\ c\=\(d\)'
model.prefix='"tab\tnewline\nback\\slash"' model.suffix='"ends in a backslash\\"'
model.prefix="'true'" model.suffix="'null'" log="'1'"
model.prefix='"résumé: "' model.suffix="'要約：'"
model.prefix='${log}' model.suffix='"${log}: ${seed}"' log='${oc.env:HOME,nobody}'
model.prefix='"\${log}"' model.suffix='${nothing.there}'
cache_dir='${oc.env:HOME}/cache' run=outputs/2025-01-01/12-00-00-abcd corpus.path=s3://bucket/rows.csv
corpus.path='"s3://bucket/{language}/*.parquet"' corpus=files corpus.train=???

# Lists and mappings, alone, within each other, and one after the other.
languages='[es, "en", ${log}, "${seed}", null]' trainer.arguments.x='[1, true, 1e5, {1: nan}]' trainer=seq2seq_trainer
languages=[en] languages=[es,de,fr] languages.1=x
tracker.tags='[a,[b,[c]],{d: e}]' tracker.tags.0=x evaluation.metrics='[{a: 1}]' evaluation.metrics=[]
generation='{num_beams: 4}'
generation='{num_beams: 4, length_penalty: 0.8}' generation='{num_beams: 2}' evaluation={}
generation=null
generation=null generation.num_beams=2
evaluation='{lead: 1, new: {a: [1, 2], b: c}}' evaluation='{new: {a: [3], d: null}}'
evaluation.metrics='[{_target_: mine.Metric, arguments: [a, b]}]' evaluation.metrics.0.arguments=c

# Nested keys, and keys that are in no file.
generation.num_beams=8 generation.new=1 trainer.arguments.x=1
generation.deep.deeper.deepest=1 generation.deep='{other: 2}'
trainer.arguments.torch_empty_cache_steps=100 trainer=seq2seq_trainer
trainer=seq2seq_trainer trainer.arguments='{a: {b: 1}}' trainer.arguments='{a: {c: 2}}' trainer.arguments.a.b=3
corpus=files corpus.columns.document=body
corpus=files corpus.columns='{id: null, group: [a, b]}' corpus.columns.group=[c]
corpus=hub corpus.repo=a/b corpus.configurations='{en: "en, us", es: spanish}'
corpus=wikilingua corpus.columns.document=text corpus.columns.new.1=x
new='{a: 1}' new='{b: {c: 2}}' new.b.d=3
new.a.b=1 new.a=2 seed.x=1
new='${generation}' new.num_beams=3
filter.own='{_target_: mine.Filter, arguments: [a, b]}' filter.long_titles=null
filter.long_titles.min_words=4 filter.long_titles='{min_words: 5}'
model.architecture.d_model=256
model.architecture='{d_model: 256, _target_: mine.Architecture}'

# Arguments with one plus sign and with two.
+seed=1 ++log=debug
+new=1 ++new=2 +new=3
+trainer.arguments.x=1 ++trainer.arguments.y.z=2 trainer=seq2seq_trainer
+languages=[de] ++languages=[fr] +evaluation='{new: {a: 1}}' ++evaluation='{new: {b: 2}}'
++filter='{own: {_target_: mine.Filter}}' filter.own.arguments=[a]
++model='{prefix: a, new: 2}'

# Deletions.
~seed ~languages
~seed=42 ~languages=[en,es] ~log="'info'" ~cache_dir
~trainer.learning_rate=4e-4 ~trainer.epochs ~filter.long_titles
~generation generation.num_beams=2 seed=1 ~seed seed=2
new='{a: 1, b: 2}' ~new.a
~model.architecture.dropout model=tiny
~experiment
corpus=passages ~corpus@corpus.of
corpus=passages ~corpus@corpus.of=sample

# Several values for a key: the last one applies.
seed=1 seed=2 seed=1
log=debug log='{a: 1}' log.b=2
trainer.epochs=1 generation='{num_beams: 2}' trainer.epochs=2 generation.num_beams=3
model=tiny model=gpt2 filter=[books] filter=[length]
experiment=course_trainer experiment=t5_english

# Groups.
model=mt5_small model=starter seed=3
filter=books tracker=none tracker.project=titles
filter=[length,deduplicate] filter.length.max_document_words=200 filter.deduplicate.x=1
corpus=marc corpus.path=PATH filter='[books]' filter.books.categories=[toy]
trainer=seq2seq_trainer tracker=trackio hardware=tpu hardware.precision=bf16 hardware.new=null
+model@second=tiny second.prefix=a +corpus@other.place=files other.place.path=x
corpus@corpus.of=files corpus.of.path=reviews.csv.gz corpus=passages
corpus=passages corpus@corpus.of=hub corpus.of='{repo: a/b, columns: {document: text}}'
corpus=passages corpus@corpus.of=passages corpus@corpus.of.of=files corpus.of.of.path=x

# Experiments, which choose options, and values and options beside them.
trainer.epochs=1 experiment=course_trainer corpus.path=PATH
experiment=course_accelerate trainer.max_gradient_norm=1 languages=[en]
experiment=course_trainer model=tiny filter=[] trainer=accelerate
experiment=starter corpus.repo=a/b trainer.schedule=linear
experiment=starter_copying corpus@corpus.of=hub corpus.of.repo=a/b
experiment=starter_copying model=mt5_small model.architecture=null
experiment=mbart_against_mt5 hydra.mode=RUN trainer.warmup=0
experiment=gpt2_tldr languages=[es] generation='{num_beams: 2, new: 2}' ~filter.long_titles

# Another checkpoint, with and without a commit.
model=mt5_small model.checkpoint=a/b
model.checkpoint=a/b model=mt5_small model.revision=abc
++model.checkpoint=a/b experiment=gpt2_tldr

# Hydra's own node.
hydra.run.dir='outputs/${seed}/${hydra.job.override_dirname}' seed=5
++hydra.run.dir=x hydra.run.dir=y hydra.sweep='{dir: y, subdir: z}'
hydra='{job: {name: a}, output_subdir: null}' hydra.job.name=b
hydra.job.name=b hydra='{job: {name: a}}' seed=1
hydra.job.chdir=true hydra.job.name="'4'" hydra.output_subdir=null seed=1
hydra/job_logging=none hydra/launcher=basic hydra/sweeper=basic hydra.sweeper.max_batch_size=2
hydra.job.config.override_dirname.kv_sep='${log}' log=debug seed=1 model=tiny
seed=1 hydra.job.config.override_dirname.item_sep=__ +new=2 languages=[en,es] ++log=debug
hydra.job.config.override_dirname.exclude_keys=[seed,model] seed=1 model=tiny log=debug
hydra.verbose='[a,b]' hydra.mode=MULTIRUN
hydra.verbose='${trainer.decay_all_parameters}' trainer.decay_all_parameters=true

# A folder on the search path; FOLDER is the folder of the fixture below.
hydra.searchpath=[FOLDER] filter=[own] filter.own.arguments=[c]
hydra.searchpath=[file://FOLDER] experiment=quick seed=1

# The other commands, and everything mixed.
baseline evaluation='{lead: 2}' filter=[] ~tracker.tags seed=1 corpus=passages seed=2
explore split=validation filter=[long_titles,deduplicate] model=mt5_small
explore explore.samples=1 explore='{dropped: 5, new: 1}' +new.a=1 experiment=course_trainer
evaluate run=outputs/a split=validation languages=[en] hydra.run.dir=x
evaluate model=qwen_instruct model.prefix='"Title: ${split}\n"' ~cache_dir hydra/job_logging=none
summarize run=a/b files='["a b.txt",c.txt]' unit=file language=null rows=[1,2] ids='["1",x]'
summarize corpus=hub +corpus.repo=a/b split=test hydra.output_subdir=null log='"${unit}"' generation.num_beams=4
trainer.epochs=1 model=tiny hydra.run.dir=x ~trainer.log_every hydra.job.name=n filter=[books] seed=1 ++new=[]

# A mapping for a group's node, which is merged in argument order and can have new keys.
filter='{length: {min_summary_words: 4}}'
filter.long_titles.min_words=4 filter='{long_titles: {min_words: 5}}'
trainer.epochs=1 trainer='{epochs: 2}'
model='{prefix: a, new: 2}' model.prefix=b

# A key of Hydra's own that refers to a command-line key, and a separator with an escape.
hydra.verbose='${trainer.x}' trainer.x=true
hydra.job.config.override_dirname.kv_sep="'\n'" seed=1

# A group that is only on the search path.
hydra.searchpath=[FOLDER] +recipe=fast
""")

IS_1_3 = hydra.__version__.startswith("1.3.")

DIFFERENT = lines(r"""
# A separator that refers to a command-line key: bisum sets keys after Hydra has composed its own node.
hydra.job.config.override_dirname.kv_sep='${trainer.x}' trainer.x=_
""")
"""Lines that bisum composes differently, in addition to the numbers in `test_typed_text.py`."""

IN_A_FOLDER = lines(r"""
# With --config-dir: a user's option, group and node, and files that replace bisum's.
train
filter=[own] filter.own.arguments=[c]
filter=[own,books] seed=1 ~filter.own.arguments
model=starter
model.prefix='"y: "' model.checkpoint=a/b
+recipe=fast trainer.batch_size=4
+recipe=fast seed=8 experiment=quick
experiment=quick
experiment=quick model=gpt2 trainer.learning_rate=1 filter.long_titles.min_words=2
trainer.epochs=5 experiment=quick hydra.job.name=slow
baseline
baseline split=train new=2 hydra.run.dir=y
summarize experiment=quick files=[a.txt]
""")

REFUSED = lines(r"""
# By both, in any order.
~nothing
~seed=1
~languages=[en]
~filter
~model=tiny
~corpus@corpus.of
languages='{a: b}'
generation=[a]
new='{a: 1}' new=[1]
languages.5=de
model=nothing
nothing@model=tiny
++model=tiny
corpus@corpus.of=files
filter=[nothing]
seed=1,2
hydra.run.dirr=x
hydra.job.num=x
~hydra.run.dir
""")

SWEEPS = lines(r"""
# Values.
seed=1,2
trainer.epochs=3 trainer.learning_rate=1e-3,.5 log=debug
model.prefix="'b, c: ',null,d\ e"
model.prefix='${log},"${seed}: "' model.suffix='${log}'
generation='{num_beams: 1},{num_beams: 4, length_penalty: 0.8}'
model=mt5_small model.checkpoint=a/b,c/d
++trainer.epochs='choice(1)' +trainer.max_steps=5

# Functions.
seed='range(1,3)' log='choice(info)' trainer.warmup='range(0.1,0.3,step=0.2)'
trainer.epochs='sort(2,1)' seed='sort(tag(a,choice(7)),reverse=true)' log='str(choice(info))'
seed='int(shuffle(range(0.5,3)))'

# Lists and groups.
languages='choice([en,es])' filter='[],[books,long_titles]'
filter='choice([length])' +filter.new='{_target_: bisum.corpus.filters.Deduplicate}'
model='glob([t5*,tiny],exclude=*base)'
experiment=t5_english,gpt2_tldr trainer.epochs=1
corpus=passages corpus@corpus.of=sample,xlsum

# Several arguments: the last changes fastest; the last one for a key applies, at the first one's position.
hardware=auto,cpu trainer.epochs=1,2
seed=1,2 generation.num_beams=2 seed=3 trainer.epochs=1 generation.num_beams=3,4

# Arguments from YAML come first.
trainer.learning_rate=1e-3 experiment=mbart_against_mt5
hydra.sweeper.max_batch_size=1 experiment=mbart_against_mt5 model=tiny seed=1

# Deletions, Hydra's own keys and other commands.
~filter.long_titles seed=1
~filter.long_titles='{_target_: bisum.corpus.filters.LongTitles, min_words: 3}' ~experiment
hydra.job.config.override_dirname.kv_sep=_ model=tiny hydra.run.dir=x seed=1
baseline evaluation.lead=1,2 hydra.job.name=n hydra.sweep.subdir=x${hydra.job.num}
explore split=train filter.long_titles.min_words='choice(5)'
evaluate split=validation

# Hydra's sweeper ignores the arguments for Hydra's own node: they all come first, as typed.
hydra='{job: {name: a}}' hydra.job.name=b seed=1
hydra.sweep.subdir='${seed}' seed=1
""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder of YAML files."""
    folder = tmp_path_factory.mktemp("user")
    files = {
        "experiment/quick": "# @package _global_\ndefaults: [override /model: tiny, override /filter: [books]]\n"
        "trainer: {epochs: 1, learning_rate: 1e-3}\nfilter: {long_titles: {min_words: 9}}\n"
        "hydra: {job: {name: quick}}\n",
        "filter/own": "# @package filter.own\n_target_: mine.Filter\narguments: [a, b]\n",
        "recipe/fast": "# @package _global_\nseed: 7\ntrainer: {epochs: 3}\n",
        "model/starter": "defaults: [_base]\ncheckpoint: mine/model\nrevision: abc\nprefix: 'x: '\n",
        "baseline": "defaults: [train, _self_]\nsplit: test\nnew: {a: 1}\nhydra: {run: {dir: 'x/${seed}'}}\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


GROUPS = {path.name for path in conf_directory().iterdir() if path.is_dir()} | {"recipe"}
"""The groups of bisum and of the folder above."""

STARTED: dict[tuple[str, str | None], tuple[Composer, Any]] = {}


def composer_of(command: str, config_dir: Path | None = None) -> Composer:
    """Return a composer, shared by all lines while Hydra is the same, as by the jobs of a sweep."""
    key = (command, config_dir and str(config_dir))
    if key not in STARTED or STARTED[key][1] is not GlobalHydra.instance().hydra:
        STARTED[key] = Composer(*key), GlobalHydra.instance().hydra
    return STARTED[key][0]


def taken_apart(line: str) -> tuple[str, list[str]]:
    """Return the command and the arguments of a line, as a shell would."""
    arguments = shlex.split(line)
    return (arguments[0], arguments[1:]) if arguments[0] in SCHEMAS else ("train", arguments)


def is_hydras(argument: str) -> bool:
    """Return whether an argument is for Hydra's own node, not for the task."""
    return re.match(r"[+~]*hydra[./]", argument) is not None


def forced(argument: str) -> str:
    """Return an argument in the form that also sets a missing key: `++key=value`."""
    key, _, value = argument.lstrip("+").partition("=")
    chooses = "@" in key or (key in GROUPS and not value.startswith("{"))
    return argument if chooses or key.startswith("~") or re.match(r"hydra\b", key) else f"++{key}={value}"


def by_hydra(command: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return Hydra's composition of arguments."""
    return container(GlobalHydra.instance().hydra.compose_config(command, list(arguments), run_mode=RunMode.RUN))


def container(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain data, with unresolved interpolations."""
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return values


def shown(values: dict[str, Any]) -> str:
    """Return plain data as text, to compare types, key order and nan."""
    return pformat(values, width=120, sort_dicts=False)


def with_bisums_own(values: dict[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Return Hydra's composition with bisum's changes: the revision of another checkpoint, the sources' schema."""
    keys = {argument.lstrip("+").partition("=")[0] for argument in arguments}
    if "model.checkpoint" in keys and "model.revision" not in keys:
        values["model"]["revision"] = None
    for source in values["hydra"]["runtime"]["config_sources"]:  # bisum reads its own and the user's folders itself
        source["schema"] = re.sub("bisum.*", "file", source["schema"])
    return values


def assert_same(line: str, config_dir: Path | None = None) -> None:
    """Compare bisum's and Hydra's compositions of a line, except for added plus signs."""
    command, arguments = taken_apart(line)
    composer = composer_of(command, config_dir)
    composed = container(composer.compose(composer.parse(arguments), shared=config_dir is None))
    expected = with_bisums_own(by_hydra(command, [*map(forced, arguments)]), arguments)
    assert composed["hydra"]["overrides"]["task"] == [argument for argument in arguments if not is_hydras(argument)]
    for values in (composed, expected):
        del values["hydra"]["overrides"]["task"]
        job = values["hydra"]["job"]
        separator = job["config"]["override_dirname"]["item_sep"]
        job["override_dirname"] = sorted(argument.lstrip("+") for argument in job["override_dirname"].split(separator))
    assert shown(composed) == shown(expected)


def test_enough_lines_are_compared():
    assert len({*LINES, *IN_A_FOLDER}) >= 110
    assert len(SWEEPS) >= 25
    assert {taken_apart(line)[0] for line in LINES} == set(SCHEMAS)


def not_yet(line: str) -> Any:
    """Return a line whose test is expected to fail."""
    raised = (AssertionError, UserError, OmegaConfBaseException)
    return pytest.param(line, marks=pytest.mark.xfail(strict=IS_1_3, raises=raised))


@pytest.mark.parametrize("line", [*LINES, *map(not_yet, DIFFERENT)])
def test_composition_equals_hydras(line, folder):
    assert_same(line.replace("FOLDER", str(folder)))


@pytest.mark.parametrize("line", IN_A_FOLDER)
def test_composition_with_a_users_folder_equals_hydras(line, folder):
    assert_same(line, config_dir=folder)


@pytest.mark.parametrize("line", REFUSED)
def test_arguments_that_hydra_refuses_are_refused(line):
    command, arguments = taken_apart(line)
    composer = composer_of(command)
    with pytest.raises((HydraException, ValueError)):
        by_hydra(command, [forced(argument) for argument in arguments])
    with pytest.raises(UserError):
        composer.compose(composer.parse(arguments))


@pytest.fixture(autouse=True)
def _each_job_is_composed_once(monkeypatch):
    """Skip the composition of every job with which Hydra's sweeper checks them before the first runs."""
    monkeypatch.setattr(Sweeper, "validate_batch_is_legal", lambda sweeper, batch: None)


def swept_by_hydra(command: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the compositions of the jobs in Hydra's own sweeper."""
    jobs = []

    def task(config: DictConfig) -> None:
        jobs.append({"hydra": container(HydraConfig.instance().cfg)["hydra"], **container(config)})

    GlobalHydra.instance().hydra.multirun(command, task, list(arguments), with_log_configuration=False)
    return jobs


def without_null(text: str) -> str:
    """Return arguments of Hydra's sweeper without the null that it adds to a deletion: `~key=null` is `~key`."""
    return re.sub(r"(~[\w.]+)[=_]null\b", r"\1", text)


@pytest.mark.parametrize("line", SWEEPS)
def test_sweep_has_the_jobs_of_hydras_own_sweeper(line, tmp_path):
    if not IS_1_3 and line.startswith("~"):
        pytest.skip("the sweeper of Hydra 1.4.0rc3 turns ~key into ~key=null, which deletes nothing")
    command, arguments = taken_apart(line)
    arguments = [*arguments, f"hydra.sweep.dir={tmp_path}", "hydra.output_subdir=null", "hydra/launcher=basic"]
    composer = composer_of(command)
    random.seed(1)
    jobs = listed_sweep(composer, composer.parse(arguments)).jobs
    assert jobs is not None
    random.seed(1)
    expected = swept_by_hydra(command, arguments)
    own = [[argument for argument in job.arguments if not is_hydras(argument)] for job in jobs]
    assert own == [[without_null(argument) for argument in job["hydra"]["overrides"]["task"]] for job in expected]
    for job, same in zip(jobs, expected, strict=True):
        composed = container(job.composed)
        same["hydra"]["overrides"]["task"] = [*map(without_null, same["hydra"]["overrides"]["task"])]
        same["hydra"]["job"]["override_dirname"] = without_null(same["hydra"]["job"]["override_dirname"])
        with_bisums_own(same, job.arguments)
        for values in (composed, same):
            del values["hydra"]["runtime"]["output_dir"]  # set when a job runs
        assert shown(composed) == shown(same)


def test_glob_excludes_base_files_unlike_hydras(tmp_path):
    composer = composer_of("train")
    arguments = ["trainer=glob(*)", f"hydra.sweep.dir={tmp_path}", "hydra/launcher=basic"]
    theirs = [job["hydra"]["overrides"]["task"] for job in swept_by_hydra("train", arguments)]
    assert [[*map(typed, job)] for job in swept(composer.parse(arguments[:1]))] == [
        job for job in theirs if job != ["trainer=_base"]
    ]
    assert ["trainer=_base"] in theirs
