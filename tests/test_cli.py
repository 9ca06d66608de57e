"""The command line as a person meets it: what it says, what it refuses, how soon, and what it never imports."""

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import bisum
from bisum import __version__, compose
from bisum.checking import ALLOW_VARIABLE
from bisum.cli import COMMANDS, parse
from bisum.composition import Composer, conf_directory
from bisum.config import check
from bisum.errors import UserError

pytestmark = pytest.mark.timeout(60)  # a bad line that is not refused would train

BAD_LINES = [
    # Names that are not there, with the nearest.
    ("trainer.epochz=1", "trainer.epochz: no such key, did you mean 'epochs'?", "(valid: epochs, max_steps,"),
    ("trianer.epochs=1", "trianer: no such key, did you mean 'trainer'?"),
    ("+sead=1", "sead: no such key, did you mean 'seed'? (valid: seed, languages, corpus,"),
    ("++model.architecture.d_modle=1", "model.architecture.d_modle: no such key, did you mean 'd_model'?"),
    ("filter.long_titles.min_word=1", "filter.long_titles.min_word", "did you mean 'min_words'? (valid: min_words)"),
    ("corpus.path=x", "corpus.path: no such key", "(valid: max_train_rows, max_eval_rows)"),
    ("modle=tiny", "modle: no such key, did you mean 'model'?"),
    ("trainer=accelerat", "trainer=accelerat: no such option, did you mean 'accelerate'?", "seq2seq_trainer)"),
    ("filter=[book]", "filter=book: no such option, did you mean 'books'?", "long_titles)"),
    ("hardware=cuda", "hardware=cuda: no such option", "(valid: auto, cpu, gpu, tpu)"),
    ("experiment=cours_trainer", "experiment=cours_trainer: no such option, did you mean 'course_trainer'?"),
    ("trian", "no command 'trian', did you mean 'train'? (valid: train, baseline)"),
    ("baseline extra", "takes no 'extra'"),
    ("--nope", "no option '--nope'"),
    ("--cfg jobb", "--cfg", "jobb", "'job'"),
    ("--config-dir nowhere", "--config-dir: there is no folder 'nowhere'"),
    ("--config-name nowhere", "nowhere"),
    ("--cfg job --config-path nowhere", "--config-path"),
    ("--cfg job --package trainr", "--package: no key 'trainr'"),
    ("split=test", "split: no such key"),
    # Values of a wrong type.
    ("trainer.epochs=many", "trainer.epochs: expected a whole number >= 1, not 'many'"),
    ("trainer.epochs=1.5", "trainer.epochs: expected a whole number >= 1, not 1.5"),
    ("trainer.epochs=true", "trainer.epochs: expected a whole number >= 1, not true"),
    ("trainer.epochs=null", "trainer.epochs: expected a whole number >= 1, not null"),
    ("trainer.epochs=", "trainer.epochs: expected a whole number >= 1, not ''"),
    ("trainer.epochs.x=1", "trainer.epochs: expected a whole number >= 1, not {'x': 1}"),
    ("""'seed="1"'""", "seed: expected a whole number >= 0 and < 4294967296, not '1'"),
    ("trainer.learning_rate=fast", "trainer.learning_rate: expected a number > 0, not 'fast'"),
    ("trainer.gradient_checkpointing=yes", "trainer.gradient_checkpointing: expected true or false, not 'yes'"),
    ("trainer.best_metric=1", "trainer.best_metric: expected text, not 1"),
    ("languages=en", "languages: expected a list such as [a,b]", "not 'en'"),
    ("languages={en:1}", "languages: expected a list"),
    ("languages=[]", "languages", "a list", "at least 1"),
    ("languages=[en,1]", "languages[1]: expected text, not 1"),
    ("model.family=mt5", "model.family: has no _target_"),
    ("cache_dir=null", "cache_dir: expected text, not null"),
    # Values out of range, and choices that are not there.
    ("trainer.epochs=0", "trainer.epochs: expected a whole number >= 1, not 0"),
    ("seed=-1", "seed: expected a whole number >= 0 and < 4294967296, not -1"),
    ("trainer.learning_rate=nan", "trainer.learning_rate: expected a finite number > 0, not nan"),
    ("trainer.label_smoothing=1", "trainer.label_smoothing: expected a number >= 0 and < 1, not 1"),
    ("generation.num_beams=0", "generation.num_beams: expected a whole number >= 1, not 0"),
    ("trainer.optimizer=sgd", "trainer.optimizer: expected one of adamw, adafactor, not 'sgd'"),
    ("hardware.precision=fp32", "hardware.precision: expected one of auto, float32, bf16, fp16, not 'fp32'"),
    ("baseline split=dev", "split: expected one of train, validation, test, not 'dev'"),
    ("trainer.best_metric=eval/rogue1", "trainer.best_metric: no metric 'eval/rogue1' (valid: eval/loss,"),
    # Values that are missing.
    ("corpus=marc", "corpus.path: needs a value"),
    ("seed=???", "seed: needs a value"),
    ("~trainer.epochs", "trainer.epochs: is missing"),
    ("~model", "model=null: one is needed"),
    ("trainer=null", "trainer", "(valid: accelerate, seq2seq_trainer)"),
    ("filter=null", "filter"),
    ("filter.books.categories=[toy]", "filter.books: ", "filter=[...,books]"),
    # Words that go wrong together or cannot be read.
    ("model.architecture.num_heads=3", "model.architecture", "128", "3"),
    ("filter=[length] filter.length.min_summary_words=9 filter.length.max_summary_words=5", "filter.length", "9", "5"),
    ("seed=1,2", "seed: several values", "add -m"),
    ("seed=[1", "'seed=[1' cannot be read"),
    ("seed=${nothing}", "seed", "nothing"),
    ("seed=${oc.env:BISUM_NOT_SET}", "seed", "BISUM_NOT_SET"),
    ("corpus=marc corpus.path=~/x=y", "'corpus.path=~/x=y' cannot be read"),
    ("trainer=seq2seq_trainer +trainer.arguments.neftune_noise_alpa=5", "did you mean 'neftune_noise_alpha'?"),
    ("trainer=seq2seq_trainer +trainer.arguments.learning_rate=1", "trainer.arguments.learning_rate is set by"),
    # Hydra's own words.
    ("hydra.run.dirr=x", "hydra.run.dirr", "'dirr'"),
    ("hydra/launcher=nope", "hydra/launcher", "nope"),
    ("hydra.mode=MULTIRUN", "hydra.mode", "-m"),
    # Runs that cannot be continued.
    ("resume=nowhere", "'nowhere' is not a run directory: it has no run.json"),
    ("resume=[a", "resume=[a"),
    ("resume=a=b", "resume=a=b"),
    ("resume=a,b", "resume=a,b"),
    ("baseline resume=nowhere", "only a single `bisum train` continues a run"),
    ("-m resume=nowhere", "only a single `bisum train` continues a run"),
    # Sweeps: the mistake is in a later job than the first.
    ("-m trainer.epochs=1,x", "trainer.epochs: expected a whole number >= 1, not 'x'"),
    ("-m languages=[en],[]", "languages: expected"),
    ("-m trainer=accelerate,seq2seq trainer.epochs=1,2", "trainer=seq2seq: no such option, did you mean 'seq2seq_"),
    ("-m seed=1,2 filter=[long_titles],[lenght]", "filter=lenght: no such option, did you mean 'length'?"),
    ("-m trainer.epochs=glob(*)", "trainer.epochs"),
    ("-m seed=1,2 trainer.epochz=1", "trainer.epochz: no such key"),
    ("-m seed=1,2 --cfg job", "--cfg", "leave -m out"),
]


def one_line(finished) -> str:
    """The single line of a command line that was refused: exit code 2, nothing but it on either stream."""
    assert finished.code == 2, finished.err
    assert finished.out == ""
    lines = finished.err.splitlines()
    assert len(lines) == 1, finished.err
    assert lines[0].startswith("bisum: ")
    return lines[0]


@pytest.mark.parametrize(("words", "said"), [(words, said) for words, *said in BAD_LINES], ids=lambda value: str(value))
def test_a_bad_command_line_is_refused_in_one_line_and_leaves_nothing_behind(call_bisum, tmp_path, words, said):
    line = one_line(call_bisum(*shlex.split(words)))
    assert all(part in line for part in said), line
    assert list(tmp_path.iterdir()) == []
    for jargon in ("Error", "Sweep(", "DictConfig", "++", "Traceback"):
        assert jargon not in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trainer.epochz=1",), "trainer.epochz: no such key, did you mean 'epochs'?"),
        (("baseline", "model=tinny"), "model=tinny: no such option, did you mean 'tiny'?"),
        (("-m", "trainer.epochs=1,x"), "trainer.epochs: expected a whole number >= 1, not 'x'"),
    ],
)
def test_the_program_itself_refuses_in_one_line(run_bisum, tmp_path, words, said):
    assert said in one_line(run_bisum(*words, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_of_a_command_line_is_told_at_once(call_bisum):
    done = call_bisum("trainer.epochs=0", "seed=x", "model.architecture.d_modle=1", "evaluation.lead=0")
    assert done.code == 2
    lines = done.err.splitlines()
    assert all(line.startswith("bisum: ") for line in lines)
    keys = {line.removeprefix("bisum: ").partition(":")[0] for line in lines}
    assert keys == {"trainer.epochs", "seed", "model.architecture.d_modle", "evaluation.lead"}


BAD_FILES = [
    ("trainer:\n  epochz: 1\n", "trainer.epochz: no such key, did you mean 'epochs'?"),
    ("trianer:\n  epochs: 1\n", "trianer: no such key, did you mean 'trainer'?"),
    ("filter:\n  long_titles:\n    min_word: 1\n", "filter.long_titles.min_word: no such key"),
    ("filter:\n  books:\n    categories: [a]\n", "filter.books: "),
    ("trainer:\n  epochs: '3'\n", "trainer.epochs: expected a whole number >= 1, not '3'"),
    ("trainer:\n  epochs: 0\n", "trainer.epochs: expected a whole number >= 1, not 0"),
    ("trainer:\n  optimizer: sgd\n", "trainer.optimizer: expected one of adamw, adafactor, not 'sgd'"),
    ("trainer:\n", "trainer"),
    ("trainer: seq2seq_trainer\n", "trainer"),
    ("filter: [books]\n", "bad"),
    ("languages: en\n", "languages: expected a list"),
    ("languages: [en, no]\n", "languages[1]: expected text, not false"),
    ("allow_targets: [os]\n", "allow_targets: no such key"),
    ("defaults:\n  - override /trainer: accelerat\n", "trainer=accelerat: no such option, did you mean 'accelerate'?"),
    ("defaults:\n  - override /trainr: accelerate\n", "trainr: no such group, did you mean 'trainer'?"),
    ("defaults:\n  - /trainer: seq2seq_trainer\n", "override"),
    ("defaults: accelerate\n", "bad"),
    ("seed: ${nothing.there}\n", "seed", "nothing.there"),
    ("seed: ${nothing\n", "nothing"),
    ("seed: [1\n", "bad.yaml, line", "not valid YAML"),
    ("trainer:\n\tepochs: 1\n", "bad.yaml, line 3", "not valid YAML"),
    ("seed: 1\nseed: 2\n", "bad.yaml, line 3", "duplicate key seed"),
    ("- a\n- b\n", "bad"),
    ("hydra:\n  run:\n    dirr: x\n", "'dirr'"),
]


@pytest.mark.parametrize(("text", "said"), [(text, said) for text, *said in BAD_FILES], ids=lambda value: repr(value))
def test_a_mistake_in_an_experiment_file_is_told_in_one_line(call_bisum, tmp_path, text, said):
    write(tmp_path / "mine/experiment/bad.yaml", f"# @package _global_\n{text}")
    line = one_line(call_bisum("--config-dir", "mine", "experiment=bad"))
    assert all(part in line for part in said), line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_experiment_file_that_does_not_say_where_it_belongs_is_told_how_to(call_bisum, tmp_path):
    write(tmp_path / "mine/experiment/bad.yaml", "trainer:\n  epochs: 1\n")
    assert "# @package _global_" in one_line(call_bisum("--config-dir", "mine", "experiment=bad"))
    write(tmp_path / "mine/filter/bad.yaml", "_target_: bisum.corpus.filters.LongTitles\nmin_words: 1\n")
    assert "# @package filter.NAME" in one_line(call_bisum("--config-dir", "mine", "filter=[bad]"))


def test_a_file_that_is_not_utf8_is_named(call_bisum, tmp_path):
    write(tmp_path / "mine/experiment/bad.yaml", "")
    (tmp_path / "mine/experiment/bad.yaml").write_bytes("# @package _global_\n# año\n".encode("latin-1"))
    assert "bad.yaml" in one_line(call_bisum("--config-dir", "mine", "experiment=bad"))


def test_a_primary_configuration_of_ones_own_is_refused_by_name(call_bisum, tmp_path):
    write(tmp_path / "mine/other.yaml", "defaults:\n  - train\n")
    assert "other" in one_line(call_bisum("--config-dir", "mine", "--config-name", "other"))


def test_a_group_of_ones_own_is_not_offered_as_the_nearest_to_itself(call_bisum, tmp_path):
    write(tmp_path / "mine/extra/a.yaml", "x: 1\n")
    assert "did you mean 'extra'" not in one_line(call_bisum("--config-dir", "mine", "extra=a"))


def test_the_mistakes_of_several_nodes_of_a_file_are_told_at_once(call_bisum, tmp_path):
    write(
        tmp_path / "mine/experiment/bad.yaml",
        "# @package _global_\nseed: -1\ntrainer: {epochs: 0, optimiser: adamw}\nmodel: {architecture: {d_ff: x}}\n",
    )
    lines = call_bisum("--config-dir", "mine", "experiment=bad").err.splitlines()
    keys = {line.removeprefix("bisum: ").partition(":")[0] for line in lines}
    assert keys == {"seed", "trainer.epochs", "trainer.optimiser", "model.architecture.d_ff"}


def test_all_jobs_of_a_sweep_that_a_file_asks_for_are_checked(call_bisum, tmp_path):
    write(
        tmp_path / "mine/experiment/sweep.yaml",
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      trainer.epochs: 1,0\n",
    )
    line = one_line(call_bisum("-m", "--config-dir", "mine", "experiment=sweep"))
    assert "trainer.epochs: expected a whole number >= 1, not 0" in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of YAML files that name a class outside bisum, whose module leaves a mark when it is imported."""
    write(
        tmp_path / "foreign_code.py",
        "from pathlib import Path\nPath('imported').touch()\n"
        "class Keep:\n    def keep(self, rows, held_out):\n        return None\n",
    )
    write(tmp_path / "mine/filter/foreign.yaml", "# @package filter.foreign\n_target_: foreign_code.Keep\n")
    write(
        tmp_path / "mine/experiment/foreign.yaml",
        "# @package _global_\ndefaults:\n  - override /filter: [long_titles, foreign]\n",
    )
    sys.modules.pop("foreign_code", None)
    return tmp_path


@pytest.mark.parametrize("word", ["filter=[foreign]", "experiment=foreign"])
def test_a_class_outside_bisum_needs_the_users_leave(call_bisum, foreign, word):
    words = ["--config-dir", "mine", "--cfg", "job", word]
    line = one_line(call_bisum(*words))
    assert "filter.foreign._target_: 'foreign_code.Keep' is not allowed (allowed: bisum)" in line
    assert "allow_targets=[foreign_code]" in line
    assert f"{ALLOW_VARIABLE}=foreign_code" in line
    assert "not allowed" in one_line(call_bisum(*words, "allow_targets=[foreign]"))
    assert not (foreign / "imported").exists()
    assert call_bisum(*words, "allow_targets=[other,foreign_code]").code == 0
    assert (foreign / "imported").exists()


def test_the_environment_gives_leave_too(call_bisum, foreign, monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "other, foreign_code")
    assert call_bisum("--config-dir", "mine", "--cfg", "job", "experiment=foreign").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "allow_targets: [foreign_code]\n",
        "hydra:\n  job:\n    env_set:\n      BISUM_ALLOW_TARGETS: foreign_code\n",
        "seed: ${oc.env:BISUM_ALLOW_TARGETS,foreign_code}\n",
    ],
)
def test_a_file_cannot_give_itself_leave(call_bisum, foreign, text):
    path = foreign / "mine/experiment/foreign.yaml"
    write(path, path.read_text(encoding="utf-8") + text)
    done = call_bisum("--config-dir", "mine", "experiment=foreign", "corpus.max_eval_rows=8")
    assert done.code == 2
    assert "filter.foreign._target_: 'foreign_code.Keep' is not allowed" in done.err
    assert not (foreign / "imported").exists()


@pytest.mark.parametrize(
    ("node", "target", "said"),
    [
        ("model.architecture", "os.system", "'os.system' is not allowed"),
        ("model.architecture", "bisum_evil.Model", "'bisum_evil.Model' is not allowed"),
        ("model.architecture", "bisum.models.architectures.T5Arch", "did you mean 'T5Architecture'?"),
        ("model.architecture", "bisum.models.architecture.T5Architecture", "there is no module 'bisum.models.arch"),
        ("model.architecture", "bisum.models.families.T5", "is no Architecture: it has no load_tokenizer, build_model"),
        ("trainer", "bisum.corpus.filters.Books", "does not inherit from bisum.training.trainer.Trainer"),
        ("trainer", "bisum.training.seq2seq_trainer.training_argument_names", "has no class"),
        ("filter.long_titles", "bisum.corpus.sources.Sample", "is no Filter: it has no keep"),
        ("corpus", "bisum.corpus.filters.Books", "is no Source: it has no"),
        ("corpus", "null", "corpus"),
    ],
)
def test_what_target_may_not_name(call_bisum, node, target, said):
    line = one_line(call_bisum(f"{node}._target_={target}"))
    assert line.startswith(f"bisum: {node}")
    assert said in line


@pytest.mark.parametrize(
    "words",
    [
        ("+hydra.callbacks.x._target_=os.mkdir", "+hydra.callbacks.x.path=made"),
        ("+hydra.callbacks.x={_target_:os.mkdir,path:made}",),
        ("+hydra.callbacks.x._target_=hydra.nothing.Callback",),
        ("-m", "hydra.sweeper._target_=os.mkdir", "seed=1,2"),
        ("-m", "hydra.launcher._target_=os.mkdir", "seed=1,2"),
        ("-m", "hydra.sweeper._target_=hydra.nothing.Sweeper", "seed=1,2"),
    ],
)
def test_hydras_own_nodes_are_held_to_the_same_rule(call_bisum, tmp_path, words):
    options = [word for word in words if word == "-m"]
    settings = [word for word in words if word != "-m"]
    assert "hydra" in one_line(call_bisum("baseline", *options, "corpus.max_eval_rows=8", *settings))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "hydra",
    [
        "callbacks: {x: {_target_: os.mkdir, path: made}}",
        """callbacks: {x: "${oc.create:{_target_: os.mkdir, path: made}}"}""",
        """callbacks: {x: {_target_: hydra.utils.call, config: "${oc.create:{_target_: os.mkdir, path: made}}"}}""",
        """job_logging: {version: 1, handlers: {x: {"()": os.mkdir, path: made}}, root: {handlers: [x]}}""",
        """hydra_logging: {version: 1, handlers: {x: {"()": os.mkdir, path: made}}, root: {handlers: [x]}}""",
    ],
)
def test_no_file_makes_hydra_call_a_function_of_its_choice(run_bisum, tmp_path, hydra):
    write(tmp_path / "mine/experiment/evil.yaml", f"# @package _global_\nhydra:\n  {hydra}\n")
    words = ["baseline", "--config-dir", "mine", "experiment=evil", "corpus.max_eval_rows=8"]
    done = run_bisum(*words, "evaluation.bootstrap_samples=100", cwd=tmp_path)
    assert not (tmp_path / "made").exists()
    one_line(done)


HEAVY = ("torch", "transformers", "datasets", "evaluate", "wandb", "accelerate")

WATCHED = """
import json, sys
from bisum.cli import main
for words in json.loads(sys.argv[1]):
    code = None
    try:
        main(words)
    except SystemExit as error:
        code = error.code
    heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(json.loads(sys.argv[2])))
    print("\\n@", json.dumps([code, heavy]))
"""


def test_nothing_heavy_is_imported_for_help_or_a_configuration_good_or_bad(tmp_path):
    write(tmp_path / "mine/experiment/bad.yaml", "# @package _global_\ntrainer:\n  epochz: 1\n")
    lines = {
        "--version": 0,
        "--help": 0,
        "--cfg job": 0,
        "--cfg job --resolve experiment=course_trainer corpus.path=x": 0,
        "--cfg job trainer=seq2seq_trainer +trainer.arguments.neftune_noise_alpha=5": 0,
        "--cfg hydra": 0,
        "baseline --cfg job": 0,
        "trainer.epochz=1": 2,
        "model=nope": 2,
        "trainer.epochs=x": 2,
        "trainer=seq2seq_trainer +trainer.arguments.neftune_noise_alpa=5": 2,
        "model.architecture._target_=bisum.models.architectures.T5": 2,
        "evaluation.metrics=[bleu]": 2,
        "--config-dir mine experiment=bad": 2,
        "-m trainer.epochs=1,x": 2,
        "resume=nowhere": 2,
    }
    arguments = json.dumps([shlex.split(line) for line in lines]), json.dumps(HEAVY)
    out = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ends = [json.loads(line.removeprefix("@ ")) for line in out.splitlines() if line.startswith("@ ")]
    assert dict(zip(lines, ends, strict=True)) == {line: [code, []] for line, code in lines.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_help_lists_commands_and_every_group_with_its_options(call_bisum):
    out = call_bisum("--help").out
    assert all(re.search(rf"^\W*{name}\s+\w", out, re.MULTILINE) for name in COMMANDS)
    assert set(COMMANDS) == {"train", "baseline"}
    groups = [folder for folder in conf_directory().iterdir() if folder.is_dir()]
    assert {folder.name for folder in groups} == {"corpus", "filter", "model", "trainer", "hardware", "experiment"}
    for folder in groups:
        (listed,) = re.findall(rf"^ +{folder.name} +(.+)$", out, re.MULTILINE)
        options = {path.stem for path in folder.glob("*.yaml") if not path.name.startswith("_")}
        assert set(listed.split(", ")) == options
    assert max(len(line) for line in out.splitlines()) <= 120


def test_help_lists_the_options_of_a_folder_of_ones_own(call_bisum, tmp_path):
    write(tmp_path / "mine/filter/questions.yaml", "# @package filter.questions\n")
    assert re.search(r"^ +filter .*\bquestions\b", call_bisum("--config-dir", "mine", "--help").out, re.MULTILINE)


def test_the_five_command_lines_of_help_compose(call_bisum):
    out = call_bisum("--help").out
    lines = [
        line.split("   ")[0] for line in re.findall(r"^  (bisum\b.*)$", out.split("Worth copying")[1], re.MULTILINE)
    ]
    assert len(lines) == 5
    for line in lines:
        invocation = parse(shlex.split(line)[1:])
        composer = Composer(invocation.command)
        jobs = composer.jobs(invocation.overrides) if invocation.options.multirun else [invocation.overrides]
        assert len(jobs) == (6 if invocation.options.multirun else 1)
        for job in jobs:
            composer.checked(job)


@pytest.mark.parametrize("words", [("--version",), ("train", "--version"), ("seed=1", "--version")])
def test_version(call_bisum, words):
    assert call_bisum(*words).out == f"bisum {__version__}\n"


def test_cfg_job_prints_yaml_that_is_the_same_configuration(call_bisum, tmp_path):
    words = [
        "corpus=marc",
        "corpus.path='1e3'",
        "trainer.learning_rate=2e-5",
        "languages=['no',en]",
        "model.prefix=null",
    ]
    shown = call_bisum(*words, "--cfg", "job", "--resolve")
    assert (shown.code, shown.err) == (0, "")
    values = yaml.safe_load(shown.out)
    config = compose(words)
    assert values == config.resolved
    assert check(values) == config
    assert values["trainer"]["learning_rate"] == 2e-5
    assert values["languages"] == ["no", "en"]
    assert values["corpus"]["path"] == "1e3"
    assert list(tmp_path.iterdir()) == []


def test_cfg_job_keeps_interpolations_that_resolve_replaces(call_bisum):
    assert "oc.env:XDG_CACHE_HOME" in yaml.safe_load(call_bisum("--cfg", "job").out)["cache_dir"]
    cache = yaml.safe_load(call_bisum("--cfg", "job", "--resolve").out)["cache_dir"]
    assert cache == f"{os.environ['XDG_CACHE_HOME']}/bisum"


def test_package_shows_a_part(call_bisum):
    shown = call_bisum("baseline", "split=test", "trainer.epochs=7", "--cfg", "job", "--package", "trainer")
    assert yaml.safe_load(shown.out) == compose(["trainer.epochs=7"]).resolved["trainer"]
    inner = call_bisum("--cfg", "job", "--package", "model.architecture").out
    assert yaml.safe_load(inner) == compose().resolved["model"]["architecture"]
    assert yaml.safe_load(call_bisum("seed=5", "--cfg", "job", "--package", "seed").out) == 5


def test_cfg_shows_what_a_resumed_run_would_do(call_bisum, tmp_path):
    earlier = compose(["trainer.epochs=7", "generation.num_beams=4"]).resolved
    write(tmp_path / "run/run.json", json.dumps({"job": "train", "config": earlier}))
    values = yaml.safe_load(call_bisum("resume=run", "trainer.patience=2", "--cfg", "job").out)
    assert values == {**earlier, "trainer": {**earlier["trainer"], "patience": 2}}
    assert "trainer.epochz: no such key" in one_line(call_bisum("resume=run", "trainer.epochz=1"))
    write(tmp_path / "run/run.json", json.dumps({"job": "baseline", "config": earlier}))
    assert "holds no training" in one_line(call_bisum("resume=run"))
    write(tmp_path / "run/run.json", '{"job": "train", ')
    assert "run.json' cannot be read" in one_line(call_bisum("resume=run"))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bisum trainer=a", "trainer=accelerate"),
        ("bisum trainer.warm", "trainer.warmup="),
    ],
)
def test_shells_complete_groups_and_keys(tmp_path, line, offered):
    script = tmp_path / "bisum"
    write(script, "import sys\nfrom bisum.cli import main\nmain(sys.argv[1:])\n")
    root = str(Path(bisum.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, script, "--shell-completion", "query=bash"],
        env={**os.environ, "PYTHONPATH": root, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [offered]


def test_parsing_leaves_hydra_only_what_is_hydras(monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "earlier")
    invocation = parse(["baseline", "-m", "split=test", "allow_targets=[mine,'yours']", "~filter", "seed=1,2"])
    assert invocation.command == "baseline"
    assert invocation.overrides == ["split=test", "~filter", "seed=1,2"]
    assert invocation.options.multirun
    assert os.environ[ALLOW_VARIABLE] == "earlier,mine,yours"
    assert parse(["seed=1"]).command == "train"
    assert parse([]).overrides == []
    with pytest.raises(UserError, match="takes no 'extra'"):
        parse(["seed=1", "extra"])


def test_options_and_settings_may_come_in_any_order(call_bisum, tmp_path):
    (tmp_path / "mine").mkdir()
    shown = call_bisum("baseline", "split=test", "--config-dir", "mine", "seed=5", "--cfg", "job", "evaluation.lead=1")
    assert shown.code == 0, shown.err
    values = yaml.safe_load(shown.out)
    assert (values["split"], values["seed"], values["evaluation"]["lead"]) == ("test", 5, 1)
    assert "not 'x'" in one_line(call_bisum("seed=1", "-m", "trainer.epochs=1,x"))


def test_a_configuration_comes_back_in_at_most_two_and_a_half_times_hydras_own_import(run_bisum, tmp_path):
    """Wall time; medians of runs that take turns, and more of them where the machine is busy."""
    times: dict[str, list[float]] = {"hydra": [], "--cfg job": [], "trainer.epochz=1": []}

    def within() -> bool:
        hydra, *ours = (statistics.median(seconds) for seconds in times.values())
        return max(ours) <= 2.5 * hydra

    for turn in range(10):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import hydra"], check=True)
        times["hydra"].append(time.perf_counter() - began)
        for line in ("--cfg job", "trainer.epochz=1"):
            times[line].append(run_bisum(*shlex.split(line), cwd=tmp_path).seconds)
        if turn >= 2 and within():
            break
    assert within(), {line: statistics.median(seconds) for line, seconds in times.items()}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
