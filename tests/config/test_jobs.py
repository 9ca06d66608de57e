"""A command line is parsed, composed and checked once."""

import time
from concurrent.futures import ThreadPoolExecutor

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from bisum import compose
from bisum.config import composition, schema
from bisum.config.composition import Composer
from bisum.config.jobs import single_job
from bisum.config.sweep import listed_sweep
from bisum.errors import UserError


@pytest.fixture
def counts(monkeypatch):
    """Counts of parsed arguments, compositions and checks."""
    counted = {"parse": [], "compose": 0, "check": 0}
    parse, compose, build = OverridesParser.parse_overrides, composition.compose_with_hydra, schema.build

    def counted_parse(self, overrides):
        counted["parse"].append(tuple(overrides))
        return parse(self, overrides)

    def counted_compose(*arguments):
        counted["compose"] += 1
        return compose(*arguments)

    def counted_build(*arguments, **given):
        counted["check"] += 1
        return build(*arguments, **given)

    monkeypatch.setattr(OverridesParser, "parse_overrides", counted_parse)
    monkeypatch.setattr(composition, "compose_with_hydra", counted_compose)
    monkeypatch.setattr(schema, "build", counted_build)
    return counted


def test_run_is_parsed_composed_and_checked_once(counts):
    composer = Composer("baseline")
    arguments = ["split=test", "model=tiny", "trainer.epochs=3", "seed=7"]
    job = single_job(composer, composer.parse(arguments))
    assert (job.config.seed, job.config.trainer.epochs) == (7, 3)
    # Hydra parses the choice of an option again.
    assert counts == {"parse": [tuple(arguments), ("model=tiny",)], "compose": 1, "check": 1}


def test_sweep_composes_once_per_choice_of_options(counts):
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(["seed=1,2,3", "trainer.learning_rate=1e-3,1e-4", "model=tiny"])).jobs
    assert len(jobs) == 6
    assert [(job.config.seed, job.config.trainer.learning_rate) for job in jobs][:3] == [
        (1, 1e-3),
        (1, 1e-4),
        (2, 1e-3),
    ]
    assert (counts["compose"], counts["check"]) == (1, 6)
    assert counts["parse"][0] == ("seed=1,2,3", "trainer.learning_rate=1e-3,1e-4", "model=tiny")
    assert {argument for parsed in counts["parse"][1:] for argument in parsed} == {"model=tiny"}


def test_sweep_over_options_composes_once_more_for_itself(counts):
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(["model=tiny,starter", "seed=1,2,3"])).jobs
    assert [job.config.provenance.choices["model"] for job in jobs] == ["tiny"] * 3 + ["starter"] * 3
    assert (counts["compose"], counts["check"]) == (3, 6)


def test_jobs_of_a_sweep_share_only_their_directory():
    composer = Composer("train")
    first, second = listed_sweep(composer, composer.parse(["corpus.max_train_rows=1,2"])).jobs
    assert (first.config.corpus.max_train_rows, second.config.corpus.max_train_rows) == (1, 2)
    assert first.composed.hydra.sweep.dir == second.composed.hydra.sweep.dir
    assert [job.composed.hydra.job.num for job in (first, second)] == [0, 1]
    assert first.config.provenance.sweep == second.config.provenance.sweep != None  # noqa: E711
    assert first.config.provenance.overrides == ["corpus.max_train_rows=1"]


def test_a_job_of_a_large_sweep_takes_at_most_a_tenth_of_a_second():
    composer = Composer("train")
    overrides = composer.parse(["seed=range(0,40)"])
    start = time.process_time()
    assert len(listed_sweep(composer, overrides).jobs) == 40
    assert (time.process_time() - start) / 40 < 0.1


@pytest.mark.parametrize("arguments", [["seed=1,2"], ["seed=choice(1,2)"], ["model=tiny,starter"], ["languages=en,es"]])
def test_several_values_outside_a_sweep_are_refused(arguments):
    composer = Composer("train")
    with pytest.raises(UserError) as raised:
        single_job(composer, composer.parse(arguments))
    key = arguments[0].partition("=")[0]
    advice = f"write {key}=[a,b] for a list, or " if key == "languages" else ""
    assert str(raised.value) == f"{key}: several values; {advice}add -m for one job per value"


def test_compose_is_thread_safe_and_restores_the_callers_hydra(tmp_path):
    for name, seed in (("a", 11), ("b", 22)):
        (tmp_path / name / "experiment").mkdir(parents=True)
        text = f"# @package _global_\nseed: {seed}\n"
        (tmp_path / name / "experiment/e.yaml").write_text(text, encoding="utf-8")
    own = tmp_path / "own"
    (own / "experiment").mkdir(parents=True)
    (own / "main.yaml").write_text("defaults: [experiment: e]\n", encoding="utf-8")
    (own / "experiment/e.yaml").write_text("mine: 1\n", encoding="utf-8")
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(own), version_base="1.3"):
        with ThreadPoolExecutor(2) as pool:
            folders = [str(tmp_path / name) for name in "abababab"]
            configs = pool.map(lambda folder: compose(["experiment=e", "model=tiny"], config_dir=folder), folders)
            assert [config.seed for config in configs] == [11, 22] * 4
        assert hydra.compose("main") == {"experiment": {"mine": 1}}
    with hydra.initialize_config_dir(str(own), version_base="1.3"):  # bisum's plugins are registered by now
        sources = GlobalHydra.instance().config_loader().get_sources()
        assert [source.scheme() for source in sources] == ["pkg", "file", "structured"]


def test_sweep_records_its_arguments_and_run_its_mode():
    composer = Composer("train")
    sweep = listed_sweep(composer, composer.parse(["seed=1,2", "trainer.epochs=3", "hydra.sweep.dir=s"]))
    assert sweep.composed.hydra.overrides.task == ["seed=1,2", "trainer.epochs=3"]
    assert sweep.composed.hydra.mode.name == "MULTIRUN"
    assert (sweep.composed.seed, sweep.composed.trainer.epochs, sweep.directory) == (42, 3, "s")
    assert OmegaConf.is_missing(sweep.composed.hydra.job, "num")
    assert single_job(composer, composer.parse(["seed=1"])).composed.hydra.mode.name == "RUN"


def test_mapping_is_merged_into_the_option_before_it():
    composer = Composer("train")
    arguments = ["model=tiny", "model={max_document_tokens: 9}", "seed=1,2"]
    jobs = listed_sweep(composer, composer.parse(arguments)).jobs
    assert [job.config.provenance.choices["model"] for job in jobs] == ["tiny", "tiny"]
    assert [(job.config.model.max_document_tokens, job.config.seed) for job in jobs] == [(9, 1), (9, 2)]


@pytest.mark.parametrize("arguments", [["experiment=a"], ["experiment=a", "seed=1,2"]])
def test_yaml_cannot_resume(tmp_path, arguments):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/a.yaml").write_text("# @package _global_\nresume: x\n", encoding="utf-8")
    composer = Composer("train", str(tmp_path))
    with pytest.raises(UserError, match=r"^resume: give it on the command line of a single `bisum train`, not in YAML"):
        (single_job if len(arguments) == 1 else listed_sweep)(composer, composer.parse(arguments))
