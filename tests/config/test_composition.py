"""Every YAML file of conf/, and composition from Python."""

import ast
import dataclasses
import inspect
import re
import shlex
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

import bisum
from bisum import compose
from bisum.cli.arguments import parse
from bisum.config.checking import LIST_GROUPS, OPTIONAL_GROUPS
from bisum.config.composition import Composer
from bisum.config.jobs import Job, configure, single_job
from bisum.config.plain import PLAIN_SCHEMAS, plain_options
from bisum.config.provenance import Provenance
from bisum.config.schema import SCHEMAS, Config
from bisum.config.sweep import listed_sweep
from bisum.config.targets import locate
from bisum.corpus.filters import Books, LongTitles
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.interfaces.defaults import ConfDefault, conf_directory
from bisum.models.architectures import T5Architecture
from bisum.training.accelerate_loop import AccelerateTrainer
from bisum.training.seq2seq_trainer import TransformersTrainer

CONF = conf_directory()
FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))
PRIMARY = {f"{name}.yaml" for name in (*SCHEMAS, *PLAIN_SCHEMAS)}
PARTS = {file for file in FILES if Path(file).name.startswith("_")}
OPTIONS = sorted(set(FILES) - PRIMARY - PARTS)
NEEDED = {
    "corpus/marc.yaml": ["corpus.path=PATH"],
    "corpus/files.yaml": ["corpus.path=PATH"],
    "corpus/hub.yaml": ["corpus.repo=REPOSITORY"],
    "metric/evaluate.yaml": ["metric.evaluate.name=SCRIPT", "allow_targets=[SCRIPT]"],
    "experiment/course_trainer.yaml": ["corpus.path=PATH"],
    "experiment/course_accelerate.yaml": ["corpus.path=PATH"],
    "experiment/starter.yaml": ["corpus.repo=REPOSITORY"],
    "experiment/mbart_against_mt5.yaml": ["hydra.mode=RUN"],
    "experiment/families.yaml": ["hydra.mode=RUN"],
}
"""Arguments that an option needs, because of a required key or to avoid a sweep."""


def composed_command(line: str) -> list[Config]:
    """Return the configuration of a `bisum ...` line; for a sweep, its first and last jobs."""
    program, *arguments = shlex.split(line)
    assert program == "bisum"
    command_line = parse(arguments)
    if command_line.command in PLAIN_SCHEMAS:
        return [plain_options(command_line.command, command_line.arguments)]
    composer = Composer(command_line.command)
    overrides = composer.parse(command_line.arguments)
    jobs = listed_sweep(composer, overrides).jobs if command_line.multirun else [single_job(composer, overrides)]
    return [job.config for job in (jobs[0], jobs[-1])]


def test_files_are_primary_configurations_or_options_of_groups():
    assert set(FILES) >= PRIMARY
    own = [file for file in OPTIONS if not file.startswith("hydra/")]
    assert {len(Path(file).parts) for file in own} == {2}
    found = {f"{group}/{option}.yaml" for group, options in Composer("train").groups.items() for option in options}
    assert found == set(own)


@pytest.mark.parametrize("file", [file for file in OPTIONS if not file.startswith("hydra/")])
def test_every_option_composes_and_its_values_take_effect(file):
    group, option = Path(file).with_suffix("").parts
    argument = f"{group}=[{option}]" if group in LIST_GROUPS else f"{group}={option}"
    needed = NEEDED.get(file, [])
    config = compose([argument, *needed])
    given = {key.partition("=")[0].removeprefix(f"{group}.") for key in needed}
    written = yaml.safe_load((CONF / file).read_text(encoding="utf-8"))
    for key in ("defaults", "hydra"):
        written.pop(key, None)
    node = config.provenance.resolved
    if group not in OPTIONAL_GROUPS:
        node = node[group][option] if group in LIST_GROUPS else node[group]
    for key, value in leaves(written):
        if value != "???" and "${" not in str(value) and key not in given:
            assert at(node, key) == yaml_number(value), key


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_primary_configuration_composes(name):
    config = configure(Composer(name), [])
    assert type(config) is SCHEMAS[name]
    assert (config.model.checkpoint, config.provenance.choices["model"]) == ("pkg://bisum.assets.starter", "starter")


def begins_with(file: str) -> list[str]:
    """Return the first file in a file's defaults, the first file in its defaults, and so on."""
    first, *_ = yaml.safe_load((CONF / file).read_text(encoding="utf-8")).get("defaults", [""])
    below = f"{Path(file).parent}/{str(first).partition('@')[0]}.yaml"
    return [below, *begins_with(below)] if below in FILES else []


@pytest.mark.parametrize("file", sorted(part for part in PARTS if not begins_with(part)))
def test_every_base_file_comes_first_in_all_options_of_its_group(file):
    siblings = [option for option in OPTIONS if Path(option).parent == Path(file).parent]
    if Path(file).parent.name == "hparams_search":  # its other options are lists, not searches
        siblings = [option for option in siblings if begins_with(option)]
    assert siblings
    for option in siblings:
        assert file in begins_with(option)


@pytest.mark.parametrize("file", FILES)
def test_every_file_opens_with_a_description_and_a_valid_command(file):
    comments = []
    for line in (CONF / file).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    comments = [comment for comment in comments if not comment.startswith("@package")]
    assert len(comments) >= 2
    assert comments[0].endswith((".", "]"))
    command = comments[-1]
    assert composed_command(command)
    group, *_ = Path(file).with_suffix("").parts
    assert Path(file).stem in command or f"{group}." in command or f"{group}=" in command or file in PRIMARY


def test_command_lines_of_the_readme_compose(tmp_path, monkeypatch):
    readme = Path(bisum.__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("no README.md beside the installed package")
    lines = re.findall(r"^\$ (bisum\b.*)$", readme.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(lines) >= 5
    monkeypatch.chdir(tmp_path)
    for line in lines:
        for file in re.findall(r"(?<=summarize )\w+\.[\w.]+", line):
            Path(file).touch()
        if "epocs" in line:
            with pytest.raises(UserError, match=r"trainer\.epocs: no such key, did you mean 'epochs'"):
                composed_command(line)
        elif not {"--config-dir", "--help"} & set(line.split()) and not re.search(r"\boutputs/|\bRUN\b", line):
            assert composed_command(line), line


def leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in values.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def at(values: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def yaml_number(value: Any) -> Any:
    """Return 2e-5 as a number, like OmegaConf; PyYAML reads it as text, since it has no dot."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[\d.]+e-?\d+", value) else value


def configurable_classes() -> list[type]:
    """Return the schema, the classes in `_target_` nodes of conf/, and the classes of their fields."""
    targets = set()
    for file in FILES:
        targets |= set(re.findall(r"^\s*_target_: (\S+)$", (CONF / file).read_text(encoding="utf-8"), re.MULTILINE))
    assert len(targets) >= 9
    found: list[type] = []
    waiting = [*SCHEMAS.values(), *map(locate, sorted(targets))]
    while waiting:
        annotation = waiting.pop(0)
        if annotation is Provenance:  # internal, not a key
            continue
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) and annotation not in found:
            found.append(annotation)
            waiting += get_type_hints(annotation, include_extras=True).values()
        waiting += get_args(annotation)
    return found


@pytest.mark.parametrize("cls", configurable_classes(), ids=lambda cls: cls.__name__)
def test_defaults_are_only_in_yaml_and_every_field_has_a_docstring(cls):
    for field in dataclasses.fields(cls):
        assert field.default is dataclasses.MISSING, f"{cls.__name__}.{field.name} has a default outside conf/"
        default = field.default_factory
        if default is not dataclasses.MISSING:  # for callers from Python, read from conf/
            assert isinstance(default, ConfDefault), f"{cls.__name__}.{field.name} has a default outside conf/"
            assert default.key == field.name
            default()
        assert field.kw_only
    (tree,) = ast.parse(inspect.getsource(cls)).body
    for item, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign):
            is_described = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert is_described, f"{cls.__name__}.{ast.unparse(item.target)} has no docstring"


def test_compose_returns_typed_objects():
    arguments = ["model=tiny", "trainer.learning_rate=1", "languages=[es]", "model.prefix='a: '", "+trainer.epochs=2"]
    config = compose(arguments)
    assert isinstance(config, Config)
    assert isinstance(config.trainer, AccelerateTrainer)
    assert config.trainer.learning_rate == 1.0
    assert isinstance(config.trainer.learning_rate, float)
    assert config.trainer.epochs == 2
    assert config.languages == ["es"]
    assert config.model.prefix == "a: "
    assert isinstance(config.corpus, Sample)
    assert isinstance(config.model.architecture, T5Architecture)
    assert config.filter == {"long_titles": LongTitles(min_words=3)}
    assert compose().seed == 42


def test_course_experiments_have_the_values_of_the_course():
    trainer = compose(["experiment=course_trainer", "corpus.path=PATH"])
    assert isinstance(trainer.trainer, TransformersTrainer)
    assert trainer.model.checkpoint == "google/mt5-small"
    assert trainer.model.max_document_tokens == 512
    assert trainer.model.max_summary_tokens == 30
    assert isinstance(trainer.corpus, Marc)
    assert trainer.filter == {
        "books": Books(categories=["book", "digital_ebook_purchase"]),
        "long_titles": LongTitles(min_words=3),
    }
    settings = trainer.trainer
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (8, 8, 5.6e-5)
    assert (settings.weight_decay, settings.keep_checkpoints, settings.warmup) == (0.01, 3, 0.0)
    loop = compose(["experiment=course_accelerate", "corpus.path=PATH"]).trainer
    assert isinstance(loop, AccelerateTrainer)
    assert (loop.epochs, loop.batch_size, loop.learning_rate, loop.weight_decay) == (10, 8, 2e-5, 0.01)
    assert loop.decay_all_parameters
    assert loop.max_gradient_norm is None


def test_another_checkpoint_does_not_keep_the_options_revision():
    assert compose(["model=gpt2"]).model.revision is not None
    model = compose(["model=mt5_small", "model.checkpoint=distilbert/distilgpt2"]).model
    assert (model.checkpoint, model.revision, model.pickled_weights) == ("distilbert/distilgpt2", None, True)
    assert compose(["model.revision=abc", "model=gpt2", "model.checkpoint=a/b"]).model.revision == "abc"


def test_compose_accepts_allow_targets(monkeypatch, tmp_path):
    (tmp_path / "filter").mkdir()
    (tmp_path / "filter/own.yaml").write_text("# @package filter.own\n_target_: own_filters.Own\n", encoding="utf-8")
    (tmp_path / "own_filters.py").write_text("class Own:\n    def keep(self, table): ...\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ["filter=[own]", "allow_targets=[own_filters]"]
    assert type(compose(arguments, config_dir=".").filter["own"]).__name__ == "Own"
    with pytest.raises(UserError, match=re.escape("'seed=1': expected a list of arguments, ['seed=1']")):
        compose("seed=1")


def test_argument_takes_precedence_over_an_experiment():
    assert compose(["trainer.epochs=1", "experiment=course_trainer", "corpus.path=PATH"]).trainer.epochs == 1


def test_last_value_of_a_key_applies():
    assert compose(["seed=1", "seed=2"]).seed == 2
    assert compose(["seed=1", "seed=2", "seed=1"]).seed == 1


@pytest.mark.parametrize(
    "arguments", [["trainer.epochz=1"], ["trainer.epochs=x"], ["trainr=accelerate"], ["seed"], ["a b"]]
)
def test_invalid_argument_raises_a_one_line_user_error(arguments):
    with pytest.raises(UserError) as raised:
        compose(arguments)
    assert len(str(raised.value).splitlines()) == 1


def test_users_folder_adds_options(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/quick.yaml").write_text(
        "# @package _global_\ntrainer:\n  epochs: 1\n  learning_rate: 1e-3\nlanguages: [es]\n", encoding="utf-8"
    )
    config = compose(["experiment=quick"], config_dir=str(tmp_path))
    assert (config.trainer.epochs, config.trainer.learning_rate, config.languages) == (1, 1e-3, ["es"])
    with pytest.raises(UserError, match="no such folder: 'nowhere'"):
        compose([], config_dir="nowhere")


def swept(*arguments: str) -> list[Job]:
    """Return the jobs of a sweep."""
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(arguments)).jobs
    assert jobs is not None
    return jobs


def test_sweeps_have_a_job_for_each_combination():
    assert [job.arguments for job in swept("seed=1,2", "trainer.epochs=3")] == [
        ["seed=1", "trainer.epochs=3"],
        ["seed=2", "trainer.epochs=3"],
    ]
    assert [job.arguments for job in swept("trainer.epochs=range(1,4)")] == [[f"trainer.epochs={n}"] for n in (1, 2, 3)]
    languages = [job.config.languages for job in swept("languages=[en],[es],[en,es]")]
    assert languages == [["en"], ["es"], ["en", "es"]]
    filters = [sorted(job.config.filter) for job in swept("filter=[books],[books,long_titles]")]
    assert filters == [["books"], ["books", "long_titles"]]
    models = [job.config.model.checkpoint for job in swept("model=glob(t5_*)")]
    assert models == ["google-t5/t5-base", "google-t5/t5-small"]


def test_glob_sweep_covers_the_options_that_help_lists():
    assert [job.arguments for job in swept("model=glob(*)")] == [
        [f"model={o}"] for o in Composer("train").groups["model"]
    ]


def test_experiment_null_is_the_default():
    assert compose(["experiment=null"]).provenance.resolved == compose().provenance.resolved
