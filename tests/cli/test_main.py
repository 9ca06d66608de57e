"""The command line as users see it: its output, its speed and its imports."""

import hashlib
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import bisum
from bisum import compose
from bisum.cli.arguments import parse
from bisum.cli.commands import COMMANDS
from bisum.config.composition import Composer
from bisum.config.jobs import single_job
from bisum.config.plain import PLAIN_SCHEMAS, plain_options
from bisum.config.schema import check
from bisum.config.sweep import listed_sweep
from bisum.interfaces.defaults import conf_directory
from bisum.version import __version__

HEAVY = (
    *("torch", "transformers", "datasets", "evaluate", "wandb", "accelerate", "ctranslate2", "tokenizers"),
    *("numpy", "pandas", "pyarrow", "scipy", "nltk", "matplotlib"),
)

WATCHED = """
import json, sys
from bisum.cli.main import main
for arguments in json.loads(sys.argv[1]):
    code = None
    try:
        main(arguments)
    except SystemExit as error:
        code = error.code
    heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(json.loads(sys.argv[2])))
    print("\\n@", json.dumps([code, heavy]))
"""


def test_a_command_line_that_starts_nothing_writes_all_its_output(run_bisum, tmp_path):
    """It ends without Python's cleanup, which would flush the output."""
    shown = run_bisum("--cfg", "job", cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert yaml.safe_load(shown.out)["trainer"]["epochs"] == compose().trainer.epochs
    refused = run_bisum("trainer.lr=1", cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("bisum: trainer.lr: no such key")
    assert refused.err.endswith("\n")


def test_no_heavy_library_is_imported_for_help_or_configurations(tmp_path, write):
    write(tmp_path / "mine/experiment/bad.yaml", "# @package _global_\ntrainer:\n  epochz: 1\n")
    record = {"job": "train", "status": "running", "best": {"epoch": 1.0}, "config": compose().provenance.resolved}
    write(tmp_path / "run/run.json", json.dumps(record))
    manifest = {"model.safetensors": hashlib.sha256(b"weights").hexdigest(), "state.json": ""}
    write(tmp_path / "run/checkpoints/epoch-1/model.safetensors", "weights")
    write(tmp_path / "run/checkpoints/epoch-1/manifest.json", json.dumps(manifest))
    lines = {
        "--version": 0,
        "--help": 0,
        "--help trainer": 0,
        "baseline --help": 0,
        "-sc install=bash": 0,
        "-sc query=zsh": 0,
        "--cfg job": 0,
        "--cfg job --resolve experiment=course_trainer corpus.path=x": 0,
        "--cfg job trainer=seq2seq_trainer +trainer.arguments.torch_empty_cache_steps=5": 0,
        "--cfg hydra": 0,
        "baseline --cfg job": 0,
        "evaluate --help": 0,
        "evaluate --cfg job": 0,
        "evaluate model=tiny": 2,
        "evaluate run --cfg job": 0,
        "evaluate run/checkpoints/epoch-1 --cfg job": 0,
        "evaluate google-t5/t5-small --cfg job": 0,
        "evaluate run ./nowhere": 2,
        "summarize --help": 0,
        "summarize run --cfg job -- text": 0,
        "summarize --cfg job -- text": 0,
        "summarize model=tiny -- text": 2,
        "trainer.epochz=1": 2,
        "model=nope": 2,
        "trainer.epochs=x": 2,
        "trainer=seq2seq_trainer +trainer.arguments.torch_empty_cache_stps=5": 2,
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_lists_commands_groups_with_their_options_and_keys(call_bisum, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    out = call_bisum("--help").out
    assert all(re.search(rf"^ +{name}\s+\w", out, re.MULTILINE) for name in COMMANDS)
    for folder in (folder for folder in conf_directory().iterdir() if folder.is_dir() and folder.name != "hydra"):
        (listed,) = re.findall(rf"^ +{folder.name} +(.+(?:\n {{8}} .+)*)$", out, re.MULTILINE)
        options = {path.stem for path in folder.glob("*.yaml") if not path.name.startswith("_")}
        assert set(re.split(r",\s+", listed)) == options
    assert re.search(r"^  seed +Seed of all randomness", out, re.MULTILINE)
    assert max(len(line) for line in out.splitlines()) <= max(columns, 80)


def test_help_shows_value_type_and_effect_of_each_key(call_bisum):
    out = call_bisum("trainer=seq2seq_trainer", "trainer.epochs=7", "--help").out
    assert "trainer.epochs=7  (a whole number >= 1 and <= 10,000)\n      Number of passes over the training" in out
    assert "trainer.max_steps=null  (a whole number >= 1 and <= 1,000,000,000 or null)" in out
    assert "trainer.optimizer=adamw  (one of adamw, adafactor)" in out
    assert "trainer.arguments={}  (a mapping of names to values)" in out
    trainer = call_bisum("--help", "trainer").out
    assert re.search(r"^  accelerate +A training loop on Accelerate", trainer, re.MULTILINE)
    assert "trainer.arguments=" not in trainer
    assert "evaluation.lead=3  (a whole number >= 1 and <= 1000)" in call_bisum("--help", "evaluation.lead").out
    assert "model.architecture.d_model=128" in call_bisum("model=tiny", "model.architecture", "--help").out
    assert "filter.books.categories=[book,digital_ebook_purchase]" in call_bisum("filter=[books]", "--help").out
    assert "corpus.path=(required)" in call_bisum("--help", "corpus=marc").out


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("corpus.columns.document", "The text to summarize."),
        ("corpus.path", "Files of all rows"),
        ("filter.length.min_document_words", "Minimum length of a document"),
        ("metric.bertscore.layer", "metric.bertscore.layer="),
        ("trainer.arguments", "trainer.arguments={}"),
    ],
)
def test_help_describes_keys_of_options_that_are_not_chosen(call_bisum, key, text):
    done = call_bisum("--help", key)
    assert done.code == 0, done.err
    assert text in done.out


def test_help_of_one_key_describes_it_once(call_bisum):
    assert call_bisum("--help", "generation.num_beams").out.splitlines() == [
        "generation.num_beams: Number of beams in beam search; 1 is greedy decoding.",
        "",
        "  generation.num_beams=1  (a whole number >= 1 and <= 64)",
    ]


def test_help_of_an_option_begins_with_its_description(call_bisum):
    out = call_bisum("--help", "model=gpt2").out
    assert out.startswith("model=gpt2: GPT-2 (English")
    assert (
        "\n  bisum evaluate model=gpt2 languages=[en]\n\nKeys and their current values\n  model.checkpoint=open" in out
    )
    assert "  model.suffix=\\nTL;DR:  (" in out
    experiment = call_bisum("--help", "experiment=t5_english").out
    assert "\n  bisum experiment=t5_english\n\nKeys" in experiment
    assert "  languages=[en]  (" in experiment
    assert "seed=" not in experiment


def test_help_of_a_command_describes_its_keys(call_bisum):
    out = call_bisum("baseline", "--help").out
    assert out.startswith("bisum baseline: score lead-k")
    assert "split=validation  (one of train, validation, test)" in out
    assert "  bisum baseline split=test evaluation.lead=1" in out
    assert "split=" not in call_bisum("train", "--help").out


def test_help_of_a_command_shows_its_arguments(call_bisum):
    evaluate, summarize = (call_bisum(command, "--help").out for command in ("evaluate", "summarize"))
    assert "\nbisum evaluate [RUN ...] [group=option ...] [key=value ...] [-m]\n" in evaluate
    assert "  run=null  (text or null)" in evaluate
    assert "  split=test  (one of train, validation, test)" in evaluate
    assert "\nbisum summarize [RUN] [FILE ...] [key=value ...] [-- TEXT ...]\n" in summarize
    for key in ("files=[]", "unit=line", "language=null", "format=text", "split=null", "rows=null", "ids=null"):
        assert f"\n  {key}  (" in summarize
    assert call_bisum("summarize", "outputs/a/run", "--help").out == summarize
    assert call_bisum("summarize", "--help", "unit").out.startswith("unit: Extent of one document")


def test_help_accepts_an_option_name_without_its_group(call_bisum):
    for option, group in (("gpt2", "model"), ("wandb", "tracker"), ("t5_english", "experiment")):
        assert call_bisum("--help", option).out == call_bisum("--help", f"{group}={option}").out
    assert call_bisum("--help", "deduplicate").out.startswith("filter=deduplicate: Drops rows repeated")
    none = call_bisum("--help", "none").out
    assert none.startswith("adapter=none: ")
    assert "\ntracker=none: " in none


@pytest.mark.parametrize(
    ("topic", "nearest"),
    [
        ("trianer", "trainer"),
        ("trainer.epocs", "trainer.epochs"),
        ("corpus.pathh", "corpus"),
        ("hparams_search.x", "hparams_search"),
        ("experiment.x", "experiment"),
        ("filter.x", "filter"),
    ],
)
def test_help_on_an_unknown_topic_suggests_the_nearest(call_bisum, one_line, topic, nearest):
    assert f"'{topic}', did you mean '{nearest}'?" in one_line(call_bisum("--help", topic))


@pytest.mark.parametrize(
    ("argument", "nearest"), [("explor", "explore"), ("--multirn", "--multirun"), ("--confg-dir=x", "--config-dir")]
)
def test_unknown_argument_suggests_the_nearest(call_bisum, one_line, argument, nearest):
    assert f"did you mean '{nearest}'?" in one_line(call_bisum(argument))


def test_user_file_that_replaces_one_of_bisums_is_reported(call_bisum, tmp_path, write):
    write(tmp_path / "mine/hardware/cpu.yaml", "defaults: [auto]\npin_memory: true\n")
    done = call_bisum("--config-dir", "mine", "hardware=cpu", "--cfg", "job", "--package", "hardware")
    assert yaml.safe_load(done.out)["pin_memory"] is True
    assert done.err == "bisum: --config-dir: mine/hardware/cpu.yaml replaces bisum's own hardware/cpu.yaml\n"


def test_help_lists_the_options_of_a_user_folder(call_bisum, tmp_path, write):
    write(tmp_path / "mine/filter/questions.yaml", "# @package filter.questions\n")
    assert re.search(r"^ +filter .*\bquestions\b", call_bisum("--config-dir", "mine", "--help").out, re.MULTILINE)


def test_example_command_lines_of_help_compose(call_bisum):
    out = call_bisum("--help").out
    lines = re.findall(r"^  (bisum\b.*)$", out.split("Examples")[1], re.MULTILINE)
    assert len(lines) == 9
    for line in lines:
        command_line = parse(shlex.split(line)[1:])
        if command_line.command in PLAIN_SCHEMAS:
            assert plain_options(command_line.command, command_line.arguments)
            assert len(command_line.runs) == 1
            continue
        composer = Composer(command_line.command)
        overrides = composer.parse(command_line.arguments)
        jobs = listed_sweep(composer, overrides).jobs if command_line.multirun else [single_job(composer, overrides)]
        assert len(jobs) == (6 if command_line.multirun else 1)


@pytest.mark.parametrize("arguments", [("--version",), ("train", "--version"), ("seed=1", "--version")])
def test_version_is_printed(call_bisum, arguments):
    assert call_bisum(*arguments).out == f"bisum {__version__}\n"


def test_cfg_job_prints_the_same_configuration_as_yaml(call_bisum, tmp_path):
    arguments = [
        "corpus=marc",
        "corpus.path='1e3'",
        "trainer.learning_rate=2e-5",
        "languages=['no',en]",
        "model.prefix=null",
    ]
    shown = call_bisum(*arguments, "--cfg", "job", "--resolve")
    assert (shown.code, shown.err) == (0, "")
    values = yaml.safe_load(shown.out)
    config = compose(arguments)
    assert values == config.provenance.resolved
    assert check(values) == config
    assert values["trainer"]["learning_rate"] == 2e-5
    assert values["languages"] == ["no", "en"]
    assert values["corpus"]["path"] == "1e3"
    assert list(tmp_path.iterdir()) == []


def test_cfg_job_keeps_interpolations_that_resolve_replaces(call_bisum):
    assert "bisum.cache" in yaml.safe_load(call_bisum("--cfg", "job").out)["cache_dir"]
    cache = yaml.safe_load(call_bisum("--cfg", "job", "--resolve").out)["cache_dir"]
    assert cache == f"{os.environ['XDG_CACHE_HOME']}/bisum"


@pytest.mark.parametrize("given", ["", "cache", "./cache"])
def test_a_cache_folder_that_is_not_absolute_is_ignored(given, call_bisum, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert yaml.safe_load(call_bisum("--cfg", "job", "--resolve").out)["cache_dir"] == "~/.cache/bisum"


def test_package_shows_a_part(call_bisum):
    shown = call_bisum("baseline", "split=test", "trainer.epochs=7", "--cfg", "job", "--package", "trainer")
    assert yaml.safe_load(shown.out) == compose(["trainer.epochs=7"]).provenance.resolved["trainer"]
    inner = call_bisum("model=tiny", "--cfg", "job", "--package", "model.architecture").out
    assert yaml.safe_load(inner) == compose(["model=tiny"]).provenance.resolved["model"]["architecture"]
    assert call_bisum("--cfg", "job", "--package", "trainer.max_steps").out == "null\n"
    assert yaml.safe_load(call_bisum("seed=5", "--cfg", "job", "--package", "seed").out) == 5


def test_hydra_help_and_info_are_available(call_bisum, run_bisum, tmp_path):
    for arguments, message in ((["--hydra-help"], "--config-dir"), (["--info", "searchpath"], "Config search path")):
        done = run_bisum(*arguments, cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert message in done.out
    hydra = yaml.safe_load(call_bisum("seed=5", "hydra.run.dir=x", "--cfg", "hydra").out)
    assert list(hydra) == ["hydra"]
    assert hydra["hydra"]["run"]["dir"] == "x"
    assert hydra["hydra"]["overrides"]["task"] == ["seed=5"]
    everything = yaml.safe_load(call_bisum("seed=5", "--cfg", "all").out)
    assert (everything["seed"], everything["hydra"]["job"]["name"]) == (5, "bisum")


def test_cfg_shows_what_a_resumed_run_would_do(call_bisum, tmp_path, one_line, write):
    earlier = compose(["trainer.epochs=7", "generation.num_beams=4"]).provenance.resolved
    write(tmp_path / "run/run.json", json.dumps({"job": "train", "config": earlier}))
    values = yaml.safe_load(call_bisum("resume=run", "trainer.patience=2", "--cfg", "job").out)
    assert values == {**earlier, "trainer": {**earlier["trainer"], "patience": 2}}
    assert "trainer.epochz: no such key" in one_line(call_bisum("resume=run", "trainer.epochz=1"))
    write(tmp_path / "run/run.json", json.dumps({"job": "baseline", "config": earlier}))
    assert "is a baseline run, not a training run" in one_line(call_bisum("resume=run"))
    write(tmp_path / "run/run.json", '{"job": "train", ')
    assert "run.json' cannot be read" in one_line(call_bisum("resume=run"))


def test_options_and_settings_can_come_in_any_order(call_bisum, tmp_path, one_line):
    (tmp_path / "mine").mkdir()
    shown = call_bisum("baseline", "split=test", "--config-dir", "mine", "seed=5", "--cfg", "job", "evaluation.lead=1")
    assert shown.code == 0, shown.err
    values = yaml.safe_load(shown.out)
    assert (values["split"], values["seed"], values["evaluation"]["lead"]) == ("test", 5, 1)
    assert "not 'x'" in one_line(call_bisum("seed=1", "-m", "trainer.epochs=1,x"))


def test_configuration_takes_at_most_two_and_a_half_times_the_import_of_hydra(run_bisum, tmp_path):
    """Minimum processor time over alternating runs, like `timeit`, since other processes share the machine."""
    times: dict[str, list[float]] = {"hydra": [], "--cfg job": [], "trainer.epochz=1": []}

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def within() -> bool:
        hydra, *ours = (min(seconds) for seconds in times.values())
        return max(ours) <= 2.5 * hydra

    for turn in range(10):
        before = spent()
        subprocess.run([sys.executable, "-c", "import hydra"], check=True)
        times["hydra"].append(spent() - before)
        for line in ("--cfg job", "trainer.epochz=1"):
            before = spent()
            run_bisum(*shlex.split(line), cwd=tmp_path)
            times[line].append(spent() - before)
        if turn >= 2 and within():
            break
    assert within(), {line: min(seconds) for line, seconds in times.items()}


@pytest.mark.parametrize(("arguments", "where"), [([], "outputs/*/*"), (["-m", "seed=1"], "outputs/sweeps/*/*")])
def test_run_creates_one_directory(arguments, where, call_bisum, tmp_path):
    assert call_bisum("baseline", "corpus.max_eval_rows=4", "log=quiet", *arguments).code == 0
    (directory,) = tmp_path.glob(where)
    assert list(directory.rglob("run.json"))


@pytest.fixture
def begin(tmp_path):
    """Start `python -m bisum ARGUMENTS` in its own process in `tmp_path`."""
    started = []

    def process(*arguments: str, **streams) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
        command = [sys.executable, "-m", "bisum", *arguments]
        options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True, **streams}
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield process
    for one in started:
        one.kill()
        one.communicate()


@pytest.mark.parametrize("arguments", [("--help",), ("--cfg", "job")])
def test_closed_output_pipe_ends_the_command_silently(begin, arguments):
    process = begin(*arguments, stdout=subprocess.PIPE)
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
def test_output_that_cannot_be_written_is_reported_in_one_line(begin):
    with Path("/dev/full").open("w") as full:
        process = begin("--help", stdout=full)
        assert (process.wait(60), process.stderr.read()) == (1, "bisum: [Errno 28] No space left on device\n")


def test_closed_standard_output_is_not_an_error(tmp_path):
    python = shlex.join([sys.executable, "-m", "bisum"])
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    done = subprocess.run(f"{python} --help >&-", shell=True, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_closed_standard_error_does_not_redirect_errors_to_standard_output(tmp_path):
    python = shlex.join([sys.executable, "-m", "bisum"])
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    done = subprocess.run(f"{python} epochz=1 2>&-", shell=True, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")


def test_run_continues_without_standard_output(tmp_path):
    line = f"{shlex.join([sys.executable, '-m', 'bisum'])} baseline corpus.max_eval_rows=4 hydra.run.dir=run >&-"
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "rougeL" in (tmp_path / "run/metrics.jsonl").read_text("utf-8")


@pytest.mark.timeout(60)
def test_ctrl_c_during_an_import_prints_one_line(begin, tmp_path, write):
    write(tmp_path / "mine/filter/slow.yaml", "# @package filter.slow\n_target_: slow.Slow\n")
    write(tmp_path / "slow.py", "import pathlib, time\npathlib.Path('there').touch()\ntime.sleep(60)\n")
    process = begin("--config-dir", "mine", "allow_targets=[slow]", "filter=[slow]", stdout=subprocess.PIPE)
    while not (tmp_path / "there").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode in (
        130,
        -signal.SIGINT,
    )  # Python can end itself with the signal; a shell reports 130 for both
    assert (out, err) == ("", "bisum: interrupted\n")


@pytest.mark.parametrize("shown", ["hydra", "all"])
def test_resolved_configuration_leaves_values_of_a_running_job_missing(call_bisum, shown):
    done = call_bisum("--cfg", shown, "--resolve", "hydra.run.dir=${seed}/x")
    assert done.code == 0, done.err
    node = yaml.safe_load(done.out)["hydra"]
    assert (node["run"]["dir"], node["sweep"]["subdir"]) == ("42/x", "???")
