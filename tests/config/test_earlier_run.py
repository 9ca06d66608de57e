"""`resume=RUN` and `run=RUN`: an earlier run's own configuration, and what the command line replaces of it."""

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

WORDS = [
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
"""A tiny run, few of whose values are the defaults."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The directory of a finished run; nothing in it may be changed."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory.parent)
        train(compose(WORDS), directory)
    return directory


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the finished run, `run` in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, "run"))


def evaluated(*arguments: str) -> Config:
    return configure(Composer("evaluate"), arguments)


def continued(run, *arguments: str) -> Config:
    """The configuration with which a run goes on."""
    return configure(Composer("train"), [*arguments, f"resume={quoted(str(run))}"])


def told(*arguments: str, command: str = "evaluate") -> str:
    """Return the one line in which a command line is refused."""
    with pytest.raises(UserError) as raised:
        configure(Composer(command), arguments)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def record_of(run: Path, **changes: Any) -> dict[str, Any]:
    """Change entries of a run's `run.json` (None: take them out) and return all of it."""
    record = {**json.loads((run / "run.json").read_text("utf-8")), **changes}
    record = {key: value for key, value in record.items() if value is not None}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return record


@pytest.mark.parametrize("arguments", [("evaluate",), ("summarize", "split=test")])
def test_a_runs_own_configuration_is_used_but_for_what_must_differ(arguments, run, call_bisum):
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


def test_texts_are_summarized_with_what_concerns_the_model_alone(run):
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


def test_a_run_whose_filter_is_not_there_any_longer_summarizes_texts_but_no_rows(run):
    config = record_of(run)["config"]
    config["filter"] = {"own": {"_target_": "gone.Own"}}
    record_of(run, config=config)
    assert configure(Composer("summarize"), ["run=run"]).model.max_summary_tokens == 12
    refused = "run/run.json: filter.own._target_: 'gone.Own' is not allowed"
    for argument in ("rows=[1]", "ids=[a]", "split=test"):
        assert told("run=run", argument, command="summarize").startswith(refused)


def test_the_options_that_a_run_chose_are_still_known(run):
    chosen = record_of(run)["choices"]
    assert chosen["trainer"] == "seq2seq_trainer"
    assert evaluated("run=run").provenance.choices == chosen
    config = evaluated("run=run", "filter=[books]", "hardware=auto", "split=validation", "generation.num_beams=1")
    assert config.provenance.choices == {**chosen, "hardware": "auto"}
    assert list(config.filter) == ["books"]
    assert (config.seed, config.generation.num_beams, config.model.max_summary_tokens) == (7, 1, 12)


def test_words_replace_single_values_of_a_run_its_models_limits_and_seed_too(run):
    config = evaluated("run=run", "model.max_summary_tokens=9", "seed=1", "generation={num_beams: 3}", "log=info")
    assert (config.model.max_summary_tokens, config.seed, config.log) == (9, 1, "info")
    assert (config.generation.num_beams, config.generation.length_penalty) == (3, 1.0)
    assert config.model.max_document_tokens == 64


def test_a_record_from_which_keys_were_deleted_is_refused_by_the_name_of_its_file(run):
    config = record_of(run)["config"]
    del config["trainer"]["epochs"]
    record_of(run, config=config)
    assert told("run=run") == "run/run.json: trainer.epochs: is missing"
    assert told("run=run", "trainer.epochs=0") == "trainer.epochs: expected a whole number >= 1, not 0"


def test_of_a_finished_run_the_tested_checkpoint_is_used_of_another_the_best_so_far(run):
    record_of(run, test={"checkpoint": "epoch-1"}, best={"epoch": 2.0})
    assert evaluated("run=run").model.checkpoint == "run/checkpoints/epoch-1"
    record_of(run, status="interrupted")
    assert evaluated("run=run/").model.checkpoint == "run/checkpoints/epoch-2"
    (run / "checkpoints/epoch-2").rename(run / "checkpoints/epoch-1.5")
    record_of(run, best={"epoch": 1.5})
    config = evaluated(f"run={quoted(str(run.resolve()))}")
    assert config.model.checkpoint == str(run.resolve() / "checkpoints/epoch-1.5")


def test_a_checkpoint_inside_a_run_comes_with_the_runs_configuration(run, monkeypatch):
    config = evaluated("run=run/checkpoints/epoch-1/")
    assert (config.model.checkpoint, config.seed) == ("run/checkpoints/epoch-1", 7)
    monkeypatch.chdir(run / "checkpoints/epoch-2")
    assert evaluated("run=.").seed == 7


def test_a_damaged_checkpoint_is_refused_and_the_others_are_named(run):
    record_of(run, test={"checkpoint": "epoch-2"})
    weights = run / "checkpoints/epoch-2/model.safetensors"
    (weights.parent / "optimizer.safetensors").unlink()  # nothing but training needs it
    assert evaluated("run=run").model.checkpoint == str(weights.parent)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    problem = "run: 'run/checkpoints/epoch-2' is damaged (model.safetensors has changed)"
    assert told("run=run") == f"{problem}; there is also run/checkpoints/epoch-1"
    assert told("run=run/checkpoints/epoch-2").startswith(problem)
    assert evaluated("run=run/checkpoints/epoch-1").seed == 7
    shutil.rmtree(weights.parent)
    assert told("run=run").startswith("run: 'run/checkpoints/epoch-2' is damaged (its manifest is missing or broken)")


def test_a_run_without_a_best_checkpoint_is_refused(run):
    record_of(run, status="interrupted", test=None, best=None)
    line = "run: 'run' has evaluated none of its checkpoints yet; name one, such as run/checkpoints/epoch-2"
    assert told("run=run").startswith(line)
    shutil.rmtree(run / "checkpoints")
    assert told("run=run") == "run: 'run' has no checkpoint (its status: interrupted)"
    record_of(run, job="baseline")
    assert told("run=run") == "run: 'run' is of `bisum baseline`, which trains no model"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("model=mt5_small", "the model is that of 'run'; leave one of the two out"),
        ("model.checkpoint=t5-small", "the model is that of 'run'"),
        ("model.revision=abc", "the model is that of 'run'"),
        ("model.architecture.d_model=64", "the model is that of 'run'"),
        ("experiment=course_trainer", "give only the keys to change"),
        ("~trainer.epochs", "give only the keys to change"),
        ("trainer.epochz=1", "trainer.epochz: no such key, did you mean 'epochs'?"),
        ("model.max_summary_tokens=1", "model.max_summary_tokens: expected a whole number >= 2"),
        ("resume=run", "resume: works only with a single `bisum train`"),
        ("languages=[es", "cannot be read"),
    ],
)
def test_what_a_runs_configuration_does_not_take(argument, said, run, call_bisum, one_line):
    assert said in one_line(call_bisum("evaluate", "run", argument))
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_languages_may_be_others_than_those_of_the_metric_that_chose_the_best(run):
    config = record_of(run)["config"]
    config["trainer"]["best_metric"] = "eval/en/rougeL"
    record_of(run, config=config)
    assert evaluated("run=run", "languages=[es]").languages == ["es"]


def test_a_sweeps_directory_is_refused_and_a_run_of_it_named(run):
    Path("sweep").mkdir()
    run.rename("sweep/0")
    assert told("run=sweep").endswith("it holds a sweep's runs, such as sweep/0")


def test_a_checkpoint_that_no_run_tells_of_comes_with_the_defaults(run, tmp_path):
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
    assert told("run=plain", "model.checkpoint=other") == (
        "'model.checkpoint=other': the model is that of 'plain'; leave one of the two out"
    )
    (plain / "config.json").unlink()
    assert told("run=plain") == "run: 'plain' is neither a run directory nor a checkpoint: no run.json, no config.json"


@pytest.mark.parametrize("command", ["evaluate", "summarize"])
def test_an_option_beside_a_checkpoint_does_not_make_it_read_pickles(command, run):
    shutil.copytree(run / "checkpoints/epoch-1", "plain")
    arguments = ["run=plain", "model=mt5_small"]
    assert configure(Composer(command), arguments).model.pickled_weights is False
    assert configure(Composer(command), [*arguments, "model.pickled_weights=true"]).model.pickled_weights is True


def test_any_other_name_is_one_of_the_hub():
    config = evaluated("run=google/mt5-small", "model=mt5_small")
    assert (config.model.checkpoint, config.model.revision) == ("google/mt5-small", None)
    assert config.model.pickled_weights is False
    assert evaluated("run=gpt2", "model.revision=abc").model.revision == "abc"
    assert configure(Composer("summarize"), ["run=gpt2"]).model.checkpoint == "gpt2"


def test_what_looks_like_an_interpolation_in_a_run_is_none(run, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    config = record_of(run)["config"]
    config["model"]["prefix"] = r"${oc.env:SECRET} \${seed}: "
    record_of(run, config=config)
    assert evaluated("run=run", "seed=3").model.prefix == r"${oc.env:SECRET} \${seed}: "
    assert evaluated("run=run", "seed=3", "trainer.epochs=${seed}").trainer.epochs == 3


def test_a_directory_whose_name_means_something_to_hydra_is_found(run, call_bisum):
    name = "it's, [a] ${HOME} = {run}\\"
    run.rename(name)
    done = call_bisum("evaluate", name, "--cfg", "job", "--package", "model.checkpoint")
    assert done.err == ""
    assert re.fullmatch(re.escape(name) + r"/checkpoints/epoch-\d\n", done.out)


def test_all_runs_are_there_before_the_first_is_evaluated(run, call_bisum, one_line):
    assert "no directory './no'" in one_line(call_bisum("evaluate", "run", "./no"))
    assert "no directory './no'" in one_line(call_bisum("evaluate", "-m", "run=run,./no", "split=validation"))
    assert [path.name for path in Path().iterdir()] == ["run"]
    Path("empty").mkdir()
    assert "'empty' is neither a run directory nor a checkpoint" in one_line(call_bisum("evaluate", "run", "empty"))
    assert {path.name for path in Path().iterdir()} == {"run", "empty"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run=run", "run=other"], "'run=run' and 'run=other': two values for run"),
        (["run=run", "hydra.run.dir=x"], "'hydra.run.dir=x': bisum summarize makes no run directory"),
        ("run=run", "'run=run': give a list of arguments, ['run=run']"),
    ],
)
def test_words_given_in_python_that_do_not_fit_are_refused_in_one_line(arguments, said, run):
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        configure(Composer("summarize"), arguments)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("config", {}, "config.model must be an object"),
        ("config.model", None, "config.model must be an object"),
        ("config.model", "mt5", "config.model must be an object"),
        ("config.model", {"max_summary_tokens": 9}, "config.model.max_document_tokens must be a whole number"),
        ("config.model", {"max_document_tokens": 9}, "config.model.max_summary_tokens must be a whole number"),
        ("config.evaluation", None, "config.evaluation must be an object"),
        ("choices", None, "choices must be an object"),
        ("choices", ["tiny"], "choices must be an object"),
        ("test", "epoch-1", "test must be an object"),
        ("test", [], "test must be an object"),
        ("test", {"test/rougeL": 1.0}, "test.checkpoint must be text"),
        ("best", "epoch-1", "best must be an object"),
        ("best", {"step": 1}, "best.epoch must be a number"),
        ("best", {"epoch": "1"}, "best.epoch must be a number"),
        ("seconds", "none", "seconds must be an object"),
    ],
)
def test_an_entry_of_another_type_than_bisum_writes_is_named(entry, value, said, run):
    record = record_of(run)
    *parents, name = entry.split(".")
    (record[parents[0]] if parents else record)[name] = value
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    line = f"'run/run.json': {said}; restore the original value"
    assert told("run=run") == told("run=run", command="summarize") == line
    with pytest.raises(UserError, match=re.escape(line)):
        continued("run")


def test_what_is_evaluated_is_what_was_asked_for(run, call_bisum):
    done = call_bisum("evaluate", "run", "run/checkpoints/epoch-1", "split=validation", "hydra.sweep.dir=out")
    assert done.code == 0, done.err
    best = record_of(run)["test"]["checkpoint"]
    for job, checkpoint in enumerate([best, "epoch-1"]):
        record = json.loads(Path(f"out/{job}/run.json").read_text("utf-8"))
        assert record["status"] == "finished"
        assert record["config"]["model"]["checkpoint"] == f"run/checkpoints/{checkpoint}"
        assert (record["config"]["seed"], record["config"]["split"]) == (7, "validation")
        assert record["choices"]["trainer"] == "seq2seq_trainer"
    assert "is of `bisum evaluate`, which trains no model" in call_bisum("evaluate", "out/0").err


def test_summaries_need_no_run_directory_and_nothing_else_is_written(run, call_bisum):
    done = call_bisum("summarize", "run", "--", "A text.", "${seed} = -m")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 2
    assert [path.name for path in Path().iterdir()] == ["run"]


@pytest.fixture
def earlier(tmp_path) -> dict[str, Any]:
    """The configuration of an earlier run in `tmp_path`, none of whose values are the defaults."""
    arguments = ["corpus=marc", "corpus.path=reviews", "trainer.epochs=7", "generation.num_beams=4", "languages=[es]"]
    config = compose(arguments).provenance.resolved
    (tmp_path / "run.json").write_text(json.dumps({"job": "train", "config": config}), encoding="utf-8")
    return config


def test_a_resumed_run_keeps_all_that_the_command_line_does_not_name(earlier, tmp_path):
    assert continued(tmp_path).provenance.resolved == earlier
    config = continued(tmp_path, "trainer.patience=2")
    expected = json.loads(json.dumps(earlier))
    expected["trainer"]["patience"] = 2
    assert config.provenance.resolved == expected
    assert config.trainer.epochs == 7


def test_a_resumed_run_takes_a_whole_group_from_the_command_line(earlier, tmp_path):
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
    ("arguments", "said"),
    [
        (["experiment=course_trainer"], "'experiment=course_trainer' makes another experiment"),
        (["seed=1"], "'seed=1' makes another experiment"),
        (["model=mt5_small"], "'model=mt5_small' makes another experiment"),
        (["~trainer.epochs"], "'~trainer.epochs' makes another experiment"),
        (["trainer.epochz=1"], "trainer.epochz: no such key, did you mean 'epochs'?"),
        (["+anything=1"], "anything: no such key"),
        (["trainer.epochs=0"], "trainer.epochs: expected a whole number >= 1, not 0"),
        (["trainer=nope"], "trainer=nope: no such option"),
        (["corpus=marc"], "corpus.path: needs a value"),
    ],
)
def test_what_a_resumed_run_refuses(earlier, tmp_path, arguments, said):
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        continued(tmp_path, *arguments)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not a run directory: it has no run.json"),
        ("{broken", "cannot be read"),
        ("[]", "must contain an object"),
        ('{"job": "train", "config": 1}', "config must be an object"),
        ("[" * 200_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_directory_that_is_no_run_is_told(tmp_path, content, said):
    if content is not None:
        (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said) as raised:
        read_record(str(tmp_path))
    assert str(tmp_path) in str(raised.value)


def test_a_run_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="is not a run directory"):
        read_record(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"is not a run directory|cannot be read|is a file"):
        read_record(__file__)
