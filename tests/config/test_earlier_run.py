"""`resume=RUN` and `run=RUN`: an earlier run's configuration with command-line arguments applied."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bisum import compose, train
from bisum.config.composition import Composer
from bisum.config.jobs import configure
from bisum.config.overrides import quoted
from bisum.config.schema import Config
from bisum.corpus.marc import Marc
from bisum.errors import UserError
from bisum.runs.record import read_record
from bisum.training.seq2seq_trainer import TransformersTrainer

ARGUMENTS = [
    "seed=7",
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "filter=[length]",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_heads=2",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.num_beams=2",
    "evaluation.bootstrap_samples=100",
    "trainer=seq2seq_trainer",
    "trainer.epochs=2",
    "hardware=cpu",
    "tracker=none",
    "cache_dir=cache",
    "log=quiet",
]
"""A tiny run with few default values."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The directory of a finished run; tests must not change it."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory.parent)
        train(compose(ARGUMENTS), directory)
    return directory


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the finished run as `run` in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, "run"))


def evaluated(*arguments: str) -> Config:
    return configure(Composer("evaluate"), arguments)


def continued(run, *arguments: str) -> Config:
    """Return the configuration for resuming a run."""
    return configure(Composer("train"), [*arguments, f"resume={quoted(str(run))}"])


def refusal(*arguments: str, command: str = "evaluate") -> str:
    """Return the one-line error message for a command line."""
    with pytest.raises(UserError) as raised:
        configure(Composer(command), arguments)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def record_of(run: Path, **changes: Any) -> dict[str, Any]:
    """Change entries of a run's `run.json` (None: delete) and return the whole record."""
    record = {**json.loads((run / "run.json").read_text("utf-8")), **changes}
    record = {key: value for key, value in record.items() if value is not None}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return record


@pytest.mark.parametrize("arguments", [("evaluate",), ("summarize", "split=test")])
def test_run_uses_the_runs_configuration_except_machine_keys(arguments, run, call_bisum):
    shown = call_bisum(*arguments, "run", "--cfg", "job")
    assert (shown.code, shown.err) == (0, "")
    record = record_of(run)
    values = yaml.safe_load(shown.out)
    defaults = compose().provenance.resolved
    best = f"run/checkpoints/{record['test']['checkpoint']}"
    different = {"model": {**record["config"]["model"], "checkpoint": best}, "run": "run"}
    own = {"split", "files", "unit", "language", "format", "rows", "ids"} & set(values)
    machine = {key: defaults[key] for key in ("cache_dir", "log", "resume")}
    expected = {**record["config"], **different, **machine, **{key: values[key] for key in own}}
    assert values == expected
    assert not [key for key in ("seed", "filter", "generation", "trainer") if values[key] == defaults[key]]


def test_summarizing_texts_uses_only_the_runs_model_keys(run):
    own, defaults = record_of(run)["config"], compose().provenance.resolved
    own["metric"] = {"gone": {"_target_": "gone.Metric"}}
    record_of(run, config=own)
    values = configure(Composer("summarize"), ["run=run"]).provenance.resolved
    for key in ("languages", "generation", "hardware", "seed"):
        assert values[key] == own[key]
    assert values["evaluation"] == own["evaluation"]
    assert values["metric"] == {}
    for argument in ("rows=[1]", "split=test"):
        assert configure(Composer("summarize"), ["run=run", argument]).metric == {}
    assert values["model"]["max_summary_tokens"] == 12
    for key in ("corpus", "filter", "trainer", "tracker"):
        assert values[key] == defaults[key]


def test_run_with_a_missing_filter_class_summarizes_texts_but_not_rows(run):
    config = record_of(run)["config"]
    config["filter"] = {"own": {"_target_": "gone.Own"}}
    record_of(run, config=config)
    assert configure(Composer("summarize"), ["run=run"]).model.max_summary_tokens == 12
    expected = "run/run.json: filter.own._target_: 'gone.Own' is not allowed"
    for argument in ("rows=[1]", "ids=[a]", "split=test"):
        assert refusal("run=run", argument, command="summarize").startswith(expected)


def test_choices_of_the_run_are_kept(run):
    chosen = record_of(run)["choices"]
    assert chosen["trainer"] == "seq2seq_trainer"
    assert evaluated("run=run").provenance.choices == chosen
    config = evaluated("run=run", "filter=[books]", "hardware=auto", "split=validation", "generation.num_beams=1")
    assert config.provenance.choices == {**chosen, "hardware": "auto"}
    assert list(config.filter) == ["books"]
    assert (config.seed, config.generation.num_beams, config.model.max_summary_tokens) == (7, 1, 12)


def test_arguments_replace_single_values_of_a_run(run):
    config = evaluated("run=run", "model.max_summary_tokens=9", "seed=1", "generation={num_beams: 3}", "log=info")
    assert (config.model.max_summary_tokens, config.seed, config.log) == (9, 1, "info")
    assert (config.generation.num_beams, config.generation.length_penalty) == (3, 1.0)
    assert config.model.max_document_tokens == 64


def test_record_with_deleted_keys_is_refused_with_its_file_name(run):
    config = record_of(run)["config"]
    del config["trainer"]["epochs"]
    record_of(run, config=config)
    assert refusal("run=run") == "run/run.json: trainer.epochs: is missing"
    assert refusal("run=run", "trainer.epochs=0") == "trainer.epochs: expected a whole number >= 1, not 0"


def test_record_without_the_node_of_a_group_is_refused(run):
    """The group's default could be another option than the run's."""
    config = record_of(run)["config"]
    del config["adapter"]
    record_of(run, config=config)
    assert refusal("run=run") == "'run/run.json': config.adapter is missing; restore the original value"


def test_finished_run_uses_its_tested_checkpoint_and_unfinished_run_its_best(run):
    record_of(run, test={"checkpoint": "epoch-1"}, best={"epoch": 2.0})
    assert evaluated("run=run").model.checkpoint == "run/checkpoints/epoch-1"
    record_of(run, status="interrupted")
    assert evaluated("run=run/").model.checkpoint == "run/checkpoints/epoch-2"
    (run / "checkpoints/epoch-2").rename(run / "checkpoints/epoch-1.5")
    record_of(run, best={"epoch": 1.5})
    config = evaluated(f"run={quoted(str(run.resolve()))}")
    assert config.model.checkpoint == str(run.resolve() / "checkpoints/epoch-1.5")


def test_checkpoint_inside_a_run_uses_the_runs_configuration(run, monkeypatch):
    config = evaluated("run=run/checkpoints/epoch-1/")
    assert (config.model.checkpoint, config.seed) == ("run/checkpoints/epoch-1", 7)
    monkeypatch.chdir(run / "checkpoints/epoch-2")
    assert evaluated("run=.").seed == 7


def test_damaged_checkpoint_is_refused_and_the_others_are_suggested(run):
    record_of(run, test={"checkpoint": "epoch-2"})
    weights = run / "checkpoints/epoch-2/model.safetensors"
    (weights.parent / "optimizer.safetensors").unlink()  # only training needs it
    assert evaluated("run=run").model.checkpoint == str(weights.parent)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    problem = "run: 'run/checkpoints/epoch-2' is damaged (model.safetensors has changed)"
    assert refusal("run=run") == f"{problem}; use run/checkpoints/epoch-1"
    assert refusal("run=run/checkpoints/epoch-2").startswith(problem)
    assert evaluated("run=run/checkpoints/epoch-1").seed == 7
    shutil.rmtree(weights.parent)
    assert refusal("run=run").startswith(
        "run: 'run/checkpoints/epoch-2' is damaged (its manifest is missing or broken)"
    )


def test_a_run_without_a_best_checkpoint_is_refused(run):
    record_of(run, status="interrupted", test=None, best=None)
    line = "run: 'run' has no evaluated checkpoint yet; choose one, such as run/checkpoints/epoch-2"
    assert refusal("run=run").startswith(line)
    shutil.rmtree(run / "checkpoints")
    assert refusal("run=run") == "run: 'run' has no checkpoint (status: interrupted)"
    record_of(run, job="baseline")
    assert refusal("run=run") == "run: 'run' is a run of `bisum baseline`, which trains no model"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("model=mt5_small", "conflicts with run 'run', which already sets the model; drop one"),
        ("model.checkpoint=t5-small", "conflicts with run 'run'"),
        ("model.revision=abc", "conflicts with run 'run'"),
        ("model.architecture.d_model=64", "conflicts with run 'run'"),
        ("experiment=course_trainer", "change single keys"),
        ("~trainer.epochs", "change single keys"),
        ("trainer.epochz=1", "trainer.epochz: no such key, did you mean 'epochs'?"),
        ("model.max_summary_tokens=1", "model.max_summary_tokens: expected a whole number >= 2"),
        ("resume=run", "resume: works only with a single `bisum train`"),
        ("languages=[es", "cannot be read"),
    ],
)
def test_invalid_argument_for_a_run_is_refused(argument, message, run, call_bisum, one_line):
    assert message in one_line(call_bisum("evaluate", "run", argument))
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_languages_can_differ_from_the_best_metrics_language(run):
    config = record_of(run)["config"]
    config["trainer"]["best_metric"] = "eval/en/rougeL"
    record_of(run, config=config)
    assert evaluated("run=run", "languages=[es]").languages == ["es"]


def test_sweep_directory_is_refused_and_one_of_its_runs_is_suggested(run):
    Path("sweep").mkdir()
    run.rename("sweep/0")
    assert refusal("run=sweep").endswith("it contains the runs of a sweep, such as sweep/0")


def test_checkpoint_outside_a_run_uses_the_defaults(run, tmp_path):
    plain = Path(shutil.copytree(run / "checkpoints/epoch-1", "plain"))
    config = evaluated("run=plain")
    expected = compose(["model.checkpoint=plain"]).provenance.resolved
    assert config.provenance.resolved == {**expected, "run": "plain", "split": "test"}
    assert "model" not in config.provenance.choices
    assert "model" not in compose(["model.checkpoint=plain"]).provenance.choices
    assert compose(["model=tiny", "model.checkpoint=plain"]).provenance.choices["model"] == "tiny"
    config = evaluated("run=plain", "model=t5_small", "experiment=null")
    assert (config.model.checkpoint, config.model.revision, config.model.prefix) == ("plain", None, "summarize: ")
    assert config.provenance.choices["model"] == "t5_small"
    assert refusal("run=plain", "model.checkpoint=other") == (
        "'model.checkpoint=other': conflicts with run 'plain', which already sets the model; drop one"
    )
    (plain / "config.json").unlink()
    assert refusal("run=plain") == "run: 'plain' has neither run.json (a run) nor config.json (a checkpoint)"


@pytest.mark.parametrize("command", ["evaluate", "summarize"])
def test_model_option_does_not_allow_pickles_in_another_checkpoint(command, run):
    shutil.copytree(run / "checkpoints/epoch-1", "plain")
    arguments = ["run=plain", "model=mt5_small"]
    assert configure(Composer(command), arguments).model.pickled_weights is False
    assert configure(Composer(command), [*arguments, "model.pickled_weights=true"]).model.pickled_weights is True


def test_any_other_name_is_a_hub_name():
    config = evaluated("run=google/mt5-small", "model=mt5_small")
    assert (config.model.checkpoint, config.model.revision) == ("google/mt5-small", None)
    assert config.model.pickled_weights is False
    assert evaluated("run=gpt2", "model.revision=abc").model.revision == "abc"
    assert configure(Composer("summarize"), ["run=gpt2"]).model.checkpoint == "gpt2"


def test_recorded_text_is_not_interpolated(run, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    config = record_of(run)["config"]
    config["model"]["prefix"] = r"${oc.env:SECRET} \${seed}: "
    record_of(run, config=config)
    assert evaluated("run=run", "seed=3").model.prefix == r"${oc.env:SECRET} \${seed}: "
    assert evaluated("run=run", "seed=3", "trainer.epochs=${seed}").trainer.epochs == 3


def test_directory_name_with_hydra_syntax_is_found(run, call_bisum):
    name = "it's, [a] ${HOME} = {run}\\"
    run.rename(name)
    done = call_bisum("evaluate", name, "--cfg", "job", "--package", "model.checkpoint")
    assert done.err == ""
    assert re.fullmatch(re.escape(name) + r"/checkpoints/epoch-\d\n", done.out)


def test_missing_run_is_reported_before_the_first_evaluation(run, call_bisum, one_line):
    assert "no such directory: './no'" in one_line(call_bisum("evaluate", "run", "./no"))
    assert "no such directory: './no'" in one_line(call_bisum("evaluate", "-m", "run=run,./no", "split=validation"))
    assert [path.name for path in Path().iterdir()] == ["run"]
    Path("empty").mkdir()
    assert "'empty' has neither run.json (a run) nor config.json" in one_line(call_bisum("evaluate", "run", "empty"))
    assert {path.name for path in Path().iterdir()} == {"run", "empty"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=run", "run=other"], "run: 'run=run' conflicts with 'run=other'; drop one"),
        (["run=run", "hydra.run.dir=x"], "'hydra.run.dir=x': bisum summarize has no run directory"),
        ("run=run", "'run=run': expected a list of arguments, ['run=run']"),
    ],
)
def test_invalid_arguments_from_python_are_refused_in_one_line(arguments, message, run):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        configure(Composer("summarize"), arguments)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("config", {}, "config.model is missing"),
        ("config.model", None, "config.model must be an object"),
        ("config.model", "mt5", "config.model must be an object"),
        ("config.model", {"max_summary_tokens": 9}, "config.model.max_document_tokens is missing"),
        ("config.model", {"max_document_tokens": 9}, "config.model.max_summary_tokens is missing"),
        ("config.evaluation", None, "config.evaluation must be an object"),
        ("choices", None, "choices must be an object"),
        ("choices", ["tiny"], "choices must be an object"),
        ("test", "epoch-1", "test must be an object or null"),
        ("test", [], "test must be an object or null"),
        ("test", {"test/rougeL": 1.0}, "test.checkpoint is missing"),
        ("best", "epoch-1", "best must be an object or null"),
        ("best", {"step": 1}, "best.epoch is missing"),
        ("best", {"epoch": "1"}, "best.epoch must be a number"),
        ("seconds", "none", "seconds must be an object"),
    ],
)
def test_record_entry_of_the_wrong_type_is_reported(entry, value, message, run):
    record = record_of(run)
    *parents, name = entry.split(".")
    (record[parents[0]] if parents else record)[name] = value
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    line = f"'run/run.json': {message}; restore the original value"
    assert refusal("run=run") == refusal("run=run", command="summarize") == line
    with pytest.raises(UserError, match=re.escape(line)):
        continued("run")


def test_evaluated_checkpoints_are_the_requested_ones(run, call_bisum):
    done = call_bisum("evaluate", "run", "run/checkpoints/epoch-1", "split=validation", "hydra.sweep.dir=out")
    assert done.code == 0, done.err
    best = record_of(run)["test"]["checkpoint"]
    for job, checkpoint in enumerate([best, "epoch-1"]):
        record = json.loads(Path(f"out/{job}/run.json").read_text("utf-8"))
        assert record["status"] == "finished"
        assert record["config"]["model"]["checkpoint"] == f"run/checkpoints/{checkpoint}"
        assert (record["config"]["seed"], record["config"]["split"]) == (7, "validation")
        assert record["choices"]["trainer"] == "seq2seq_trainer"
    assert "is a run of `bisum evaluate`, which trains no model" in call_bisum("evaluate", "out/0").err


def test_summarize_writes_no_run_directory(run, call_bisum):
    done = call_bisum("summarize", "run", "--", "A text.", "${seed} = -m")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 2
    assert [path.name for path in Path().iterdir()] == ["run"]


@pytest.fixture
def earlier(tmp_path) -> dict[str, Any]:
    """The configuration of an earlier run in `tmp_path`, with values that are not the defaults."""
    arguments = ["corpus=marc", "corpus.path=reviews", "trainer.epochs=7", "generation.num_beams=4", "languages=[es]"]
    config = compose(arguments).provenance.resolved
    (tmp_path / "run.json").write_text(json.dumps({"job": "train", "config": config}), encoding="utf-8")
    return config


def test_resumed_run_keeps_values_not_on_the_command_line(earlier, tmp_path):
    assert continued(tmp_path).provenance.resolved == earlier
    config = continued(tmp_path, "trainer.patience=2")
    expected = json.loads(json.dumps(earlier))
    expected["trainer"]["patience"] = 2
    assert config.provenance.resolved == expected
    assert config.trainer.epochs == 7


def test_resumed_run_replaces_a_whole_group_from_the_command_line(earlier, tmp_path):
    config = compose([f"resume={tmp_path}", "trainer=seq2seq_trainer", "trainer.epochs=9"])
    assert isinstance(config.trainer, TransformersTrainer)
    assert config.provenance.choices == {"trainer": "seq2seq_trainer"}
    assert config.trainer.epochs == 9
    assert config.trainer.batch_size == compose(["trainer=seq2seq_trainer"]).trainer.batch_size
    assert config.generation.num_beams == 4
    config = compose([f"resume={tmp_path}", "filter=[books]", "metric=[chrf]"])
    assert list(config.filter) == ["books"]
    assert list(config.metric) == ["chrf"]
    assert isinstance(config.corpus, Marc)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=course_trainer"], "'experiment=course_trainer': changes the experiment"),
        (["seed=1"], "'seed=1': changes the experiment"),
        (["model=mt5_small"], "'model=mt5_small': changes the experiment"),
        (["~trainer.epochs"], "'~trainer.epochs': changes the experiment"),
        (["trainer.epochz=1"], "trainer.epochz: no such key, did you mean 'epochs'?"),
        (["+anything=1"], "anything: no such key"),
        (["trainer.epochs=0"], "trainer.epochs: expected a whole number >= 1, not 0"),
        (["trainer=nope"], "trainer=nope: no such option"),
        (["corpus=marc"], "corpus.path: needs a value"),
    ],
)
def test_invalid_argument_of_a_resumed_run_is_refused(earlier, tmp_path, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        continued(tmp_path, *arguments)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run directory: it has no run.json"),
        ("{broken", "cannot be read"),
        ("[]", "must contain an object"),
        ('{"job": "train", "config": 1}', "config must be an object"),
        ("[" * 200_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_directory_without_a_valid_record_is_reported(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as raised:
        read_record(str(tmp_path))
    assert str(tmp_path) in str(raised.value)


def test_missing_run_directory_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"no such directory"):
        read_record(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"not a run directory|no such directory|cannot be read|is a file"):
        read_record(__file__)
