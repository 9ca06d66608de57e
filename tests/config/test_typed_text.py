"""Numbers, true and false stay as typed for keys that require text."""

import json
from dataclasses import dataclass

import pytest

from bisum import compose
from bisum.config.composition import Composer
from bisum.config.jobs import single_job
from bisum.config.sweep import listed_sweep
from bisum.config.typed_text import argument_for_hydra
from bisum.errors import UserError

NUMBER_LIKE = ["1_004", "1e05233", "2024_11", "010", "0x1F", "1e3", ".5", "-0", "+7", "nan", "inf", "true", "False"]


def value_at(config, key):
    for name in key.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize("word", NUMBER_LIKE)
def test_text_stays_as_typed(word):
    config = compose(
        [
            f"model.revision={word}",
            "model.checkpoint=a/b",
            f"tracker.tags=[ {word} ,'{word}',x]",
            f"model.prefix= {word}",
        ]
    )
    assert config.model.revision == word
    assert config.model.prefix == word
    assert config.tracker.tags == [word, word, "x"]
    assert config.provenance.resolved["model"]["revision"] == word
    assert f"model.revision={word}" in config.provenance.overrides


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        (["corpus.path=1_0", "corpus.columns.document=0"], "corpus.columns.document", "0"),
        (["corpus.path=1_0", "corpus.columns.document=[0,1]"], "corpus.columns.document", ["0", "1"]),
        (["corpus.path=x", "corpus.columns={id: 1_0, group: null}"], "corpus.columns.id", "1_0"),
        (["corpus.path=[1_0,2]"], "corpus.path", ["1_0", "2"]),
        (["corpus=hub", "corpus.repo=1_0", "corpus.configurations=3.0"], "corpus.configurations", "3.0"),
        (
            ["corpus=hub", "corpus.repo=x", "corpus.configurations={en: 1_0, no: on, nan: 3, 1_0: x, true: 0x1F}"],
            "corpus.configurations",
            {"en": "1_0", "no": "on", "nan": "3", "1_0": "x", "true": "0x1F"},
        ),
        (["corpus=sample", "languages=[nan,no,on]"], "languages", ["nan", "no", "on"]),
        (["corpus.path=x", "trainer=seq2seq_trainer", "trainer.best_metric=eval/loss"], "trainer.best_metric", None),
    ],
)
def test_text_stays_as_typed_in_lists_mappings_and_their_keys(arguments, key, expected):
    config = compose(["corpus=files", *arguments])
    assert value_at(config, key) == (expected or "eval/loss")


def test_numbers_and_booleans_are_parsed_where_the_schema_allows_them():
    config = compose(
        [
            "seed=1_000",
            "trainer.learning_rate=5e-4",
            "generation.early_stopping=TRUE",
            "evaluation={lead: 2}",
            "trainer=seq2seq_trainer",
            "trainer.arguments={torch_empty_cache_steps: 1_0}",
        ]
    )
    assert (config.seed, config.trainer.learning_rate, config.generation.early_stopping) == (1000, 5e-4, True)
    assert config.trainer.arguments == {"torch_empty_cache_steps": 10}  # any value is valid


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("model.prefix=null", None),
        ("model.prefix='1_0'", "1_0"),
        ("model.prefix=str(1_0)", "10"),
        ("model.prefix=${log}", "info"),
        ("model.prefix=1\\ 0", "1 0"),
        ("model.prefix=1:30", "1:30"),
    ],
)
def test_quotes_null_casts_to_text_and_interpolations_keep_hydras_meaning(argument, expected):
    assert compose([argument]).model.prefix == expected


@pytest.mark.parametrize("argument", ["tracker.name=int(1_0)", "tracker.name=${seed}", "tracker.name=float(1)"])
def test_a_number_without_a_typed_text_is_refused(argument):
    with pytest.raises(UserError, match=r"^tracker\.name: expected text or null, not [\d.]+; quote it"):
        compose([argument])


@pytest.mark.parametrize("argument", ["tracker.name=sort(1_0,2)", "tracker.name=range(1,3)", "tracker.name=int(1_0),2"])
def test_a_sweep_over_computed_numbers_is_refused_for_text(argument):
    composer = Composer("train")
    with pytest.raises(UserError, match=r"^tracker\.name: expected text or null, not \d+; quote it"):
        listed_sweep(composer, composer.parse([argument]))


@pytest.mark.parametrize(
    "values", ["1e05233,1_0", "choice(1e05233,1_0)", "'1e05233','1_0'", "tag(a,choice(1e05233,1_0))"]
)
def test_swept_values_stay_as_typed(values):
    composer = Composer("train")
    arguments = [f"model.revision={values}", "model.checkpoint=x", "seed=1_0,2", "trainer.learning_rate=1e-3"]
    jobs = listed_sweep(composer, composer.parse(arguments)).jobs
    assert [(job.config.model.revision, job.config.seed) for job in jobs] == [
        ("1e05233", 10),
        ("1e05233", 2),
        ("1_0", 10),
        ("1_0", 2),
    ]
    if "'" not in values:
        first = ["model.revision=1e05233", "model.checkpoint=x", "seed=10", "trainer.learning_rate=0.001"]
        assert jobs[0].arguments == jobs[0].config.provenance.overrides == first


def test_lists_of_text_can_be_swept():
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(["languages=[1_0],[2,x]"]))
    assert [job.config.languages for job in jobs.jobs] == [["1_0"], ["2", "x"]]


@pytest.mark.parametrize("values", ["1_0,2", "choice(1_0,2)", "shuffle(choice(1_0))"])
def test_hydra_plugin_receives_quoted_text(values):
    composer = Composer("train")
    sweep = composer.parse([f"tracker.name={values}", "seed=1_0"])
    arguments = [argument_for_hydra(override) for override in composer.settled(sweep, composer.compose_sweep(sweep))]
    both = "'1_0'" if "shuffle" in values else "'1_0','2'"
    assert arguments == [f"tracker.name=choice({both})", "seed=1_0"]


def test_shown_configuration_keeps_the_text(call_bisum):
    shown = call_bisum("tracker.name=2024_11", "languages=[no,on]", "--cfg", "job").out
    assert "name: '2024_11'" in shown
    assert "- 'no'\n- 'on'\n" in shown


def test_hydras_own_text_keys_stay_as_typed():
    composer = Composer("train")
    arguments = [
        "hydra.run.dir=2024_11",
        "hydra.job.name=1_0",
        "hydra.sweep={dir: 1e5}",
        "hydra.sweep.subdir=1_1",
        "hydra={output_subdir: 1_2}",
    ]
    hydra = single_job(composer, composer.parse(arguments)).composed.hydra
    assert (hydra.run.dir, hydra.job.name, hydra.sweep.dir, hydra.sweep.subdir) == ("2024_11", "1_0", "1e5", "1_1")
    assert hydra.output_subdir == "1_2"


def test_option_name_can_look_like_a_number(tmp_path, write):
    for name in ("1_0", "no", "true"):
        write(tmp_path / f"model/{name}.yaml", f"defaults: [tiny]\nprefix: option {name}\n")
    write(tmp_path / "filter/2024_11.yaml", "# @package filter.own\n_target_: bisum.corpus.filters.Deduplicate\n")
    for name in ("1_0", "no", "true"):
        config = compose([f"model={name}", "filter=[2024_11]"], config_dir=str(tmp_path))
        assert (config.model.prefix, list(config.filter)) == (f"option {name}", ["own"])
        assert config.provenance.choices["model"] == name
    composer = Composer("train", str(tmp_path))
    jobs = listed_sweep(composer, composer.parse(["model=1_0,true"])).jobs
    assert [job.config.model.prefix for job in jobs] == ["option 1_0", "option true"]


@dataclass
class Own:
    """A user's own filter with parameters of several types."""

    word: str
    most: int
    either: str | int
    flag: bool
    share: float
    names: dict[str, list[str]]

    def keep(self, rows, held_out):
        return None


def test_annotations_of_a_users_class_apply(monkeypatch):
    monkeypatch.setenv("BISUM_ALLOW_TARGETS", __name__)
    node = "word: 1_0, most: 1_0, either: 1_0, flag: true, share: 1e-3, names: {1_1: [1_0, [x]]}"
    with pytest.raises(UserError, match=r"^filter\.own\.names\.1_1\[1\]: expected text, not \['x'\]$"):
        compose([f"+filter.own={{_target_: {__name__}.Own, {node}}}"])
    own = compose([f"+filter.own={{_target_: {__name__}.Own, {node.replace(', [x]', '')}}}"]).filter["own"]
    assert own == Own("1_0", 10, "1_0", True, 1e-3, {"1_1": ["1_0"]})


def test_arguments_of_a_resumed_run_stay_as_typed_for_text(tmp_path):
    config = compose(["corpus=files", "corpus.path=x", "model=starter"])
    record = {"job": "train", "config": config.provenance.resolved, "status": "interrupted", "choices": {}}
    checkpoint = tmp_path / "2024_11/checkpoints/epoch-1"
    checkpoint.mkdir(parents=True)
    (tmp_path / "2024_11/run.json").write_text(json.dumps(record), "utf-8")
    arguments = [f"resume={tmp_path}/2024_11", "corpus.columns.document=1_0"]
    composer = Composer("train")
    resumed = single_job(composer, composer.parse([*arguments, "tracker.tags=[1e5]"])).config
    assert (resumed.corpus.columns.document, resumed.tracker.tags) == ("1_0", ["1e5"])


@pytest.mark.parametrize(
    ("text", "arguments", "key", "expected"),
    [
        ("languages: [en, no]", [], "languages", ["en", "no"]),
        ("corpus: {language: no}", ["corpus=files", "corpus.path=x"], "corpus.language", "no"),
        (
            "corpus: {configurations: {no: x, en: 'y'}}",
            ["corpus=hub", "corpus.repo=x"],
            "corpus.configurations",
            {"no": "x", "en": "y"},
        ),
        ("tracker: {name: 2024-01-02}", [], "tracker.name", "2024-01-02"),
        ("tracker: {name: ~}", [], "tracker.name", None),
    ],
)
def test_no_is_a_language_code_in_yaml(tmp_path, write, text, arguments, key, expected):
    write(tmp_path / "experiment/e.yaml", f"# @package _global_\n{text}\n")
    config = compose([*arguments, "experiment=e"], config_dir=str(tmp_path))
    assert value_at(config, key) == expected
    assert False not in config.provenance.resolved["languages"]


@pytest.mark.parametrize(
    "text", ["010", "1:30", "1_004", "0x1F", ".5", "1e3", "1e05233", ".nan", "yes", "no", "on", "off", "true"]
)
def test_number_in_yaml_for_text_is_refused_with_advice_to_quote_it(tmp_path, write, text):
    write(tmp_path / "experiment/e.yaml", f"# @package _global_\ntracker: {{name: {text}}}\n")
    with pytest.raises(UserError, match=r'^tracker\.name: expected text or null, not .*; quote it in the YAML file: "'):
        compose(["experiment=e"], config_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "corpus: {configurations: {true: x, en: y}}",
            "corpus.configurations: expected text as a key, not true; quote",
        ),
        ("corpus: {configurations: {1_0: x, en: y}}", "corpus.configurations: expected text as a key, not 10; quote"),
        ("languages: [en, true]", "languages[1]: expected text, not true; quote it in the YAML file"),
        ("languages: [en, false]", "languages[1]: expected text, not false; quote it in the YAML file"),
    ],
)
def test_no_key_or_code_in_yaml_changes_silently(tmp_path, write, text, message):
    write(tmp_path / "experiment/e.yaml", f"# @package _global_\n{text}\n")
    with pytest.raises(UserError) as raised:
        compose(["corpus=hub", "corpus.repo=x", "experiment=e"], config_dir=str(tmp_path))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("word", ["no", "No", "on", "yes", "off"])
def test_every_yaml_boolean_word_is_a_language_code(tmp_path, write, word):
    write(tmp_path / "experiment/e.yaml", f"# @package _global_\nlanguages: [en, {word}]\n")
    write(tmp_path / "corpus/mine.yaml", f"defaults: [hub]\nrepo: x\nconfigurations: {{en: a, {word}: b}}\n")
    config = compose(["corpus=mine", "experiment=e"], config_dir=str(tmp_path))
    assert config.languages == ["en", word.lower()]
    assert config.corpus.configurations == {"en": "a", word.lower(): "b"}


def test_codes_on_the_command_line_replace_those_in_a_file(tmp_path, write):
    write(tmp_path / "experiment/e.yaml", "# @package _global_\nlanguages: [yes, de, no]\n")
    config = compose(["experiment=e", "languages=[on,no]"], config_dir=str(tmp_path))
    assert config.languages == ["on", "no"]
    assert compose(["experiment=e"], config_dir=str(tmp_path)).languages == ["yes", "de", "no"]
