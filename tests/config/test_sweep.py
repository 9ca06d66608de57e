"""The jobs of a sweep: combined, zipped or listed, without duplicates."""

import json

import pytest

from bisum.config.composition import Composer
from bisum.config.identity import changes_number, signature
from bisum.config.sweep import listed_sweep
from bisum.errors import UserError


def listed(*arguments):
    composer = Composer("train")
    return listed_sweep(composer, composer.parse(arguments))


def values(sweep):
    return [(job.config.seed, job.config.trainer.learning_rate, job.config.trainer.epochs) for job in sweep.jobs]


def test_zipped_keys_advance_together_and_others_are_combined():
    arguments = ["seed=1,2", "trainer.learning_rate=1e-3,1e-4", "trainer.epochs=3,4"]
    sweep = listed(*arguments, "sweep.zip=[trainer.learning_rate,trainer.epochs]")
    assert values(sweep) == [(1, 1e-3, 3), (1, 1e-4, 4), (2, 1e-3, 3), (2, 1e-4, 4)]
    sweep = listed(*arguments, "sweep.zip=[trainer.epochs,seed]")
    assert values(sweep) == [(1, 1e-3, 3), (1, 1e-4, 3), (2, 1e-3, 4), (2, 1e-4, 4)]
    assert len(listed(*arguments).jobs) == 8


def test_options_are_zipped_with_keys():
    jobs = listed(
        "model=tiny,starter", "trainer.learning_rate=1e-3,1e-4", "sweep.zip=[model,trainer.learning_rate]"
    ).jobs
    assert [(job.config.provenance.choices["model"], job.config.trainer.learning_rate) for job in jobs] == [
        ("tiny", 1e-3),
        ("starter", 1e-4),
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=1,2", "sweep.zip=[sead]"], "sweep.zip: 'sead' is not swept; give it several values, as in sead=1,2"),
        (["seed=1,2", "sweep.zip=[seed,seed]"], "sweep.zip: lists seed twice"),
        (
            ["seed=1,2", "trainer.epochs=1,2,3", "sweep.zip=[seed,trainer.epochs]"],
            "sweep.zip: seed has 2 values but trainer.epochs has 3; zipped keys need the same number of values",
        ),
        (
            ["seed=1,2", "sweep.zip=seed"],
            "sweep.zip: expected a list of text, not 'seed'; write a list, such as "
            "sweep.zip=[model,trainer.learning_rate]",
        ),
        (["seed=1,2", "sweep.parallel=0"], "sweep.parallel: expected auto or a whole number >= 1, not 0"),
        (["seed=1,2", "sweep.parallel=1,2"], "'sweep.parallel=1,2': applies to the whole sweep; give one value"),
        (
            ['sweep.jobs=[["hydra.run.dir=x"]]'],
            "sweep.jobs[0]: 'hydra.run.dir=x': applies to the whole sweep; move it out of sweep.jobs",
        ),
        (
            ['sweep.jobs=[["seed=1"],[]]'],
            "sweep.jobs[1]: expected a list of text such as [a,b] (at least 1 item), not []",
        ),
    ],
)
def test_invalid_jobs_are_refused(arguments, line):
    with pytest.raises(UserError) as raised:
        listed(*arguments)
    assert str(raised.value) == line


def test_listed_jobs_are_combined_with_swept_values():
    sweep = listed('sweep.jobs=[["trainer.learning_rate=1e-3","trainer.epochs=3"],["trainer.epochs=4"]]', "seed=1,2")
    rate = listed("seed=1").jobs[0].config.trainer.learning_rate
    assert values(sweep) == [(1, 1e-3, 3), (2, 1e-3, 3), (1, rate, 4), (2, rate, 4)]
    assert [job.folder for job in sweep.jobs] == ["0", "1", "2", "3"]


def test_argument_takes_precedence_over_listed_jobs():
    assert values(listed('sweep.jobs=[["seed=5","trainer.epochs=3"]]', "seed=1"))[0][::2] == (1, 3)


def test_jobs_can_be_listed_in_yaml(tmp_path, write):
    write(
        tmp_path / "experiment/mine.yaml",
        "# @package _global_\nsweep:\n  jobs:\n    - [model=tiny, trainer.learning_rate=1e-3]\n    - [model=starter]\n",
    )
    composer = Composer("train", str(tmp_path))
    jobs = listed_sweep(composer, composer.parse(["experiment=mine"])).jobs
    assert [job.config.provenance.choices["model"] for job in jobs] == ["tiny", "starter"]
    assert jobs[0].config.trainer.learning_rate == 1e-3


def test_equivalent_jobs_run_once():
    sweep = listed("seed=1,2,1", "tracker=none,wandb", "log=info")
    assert [job.config.seed for job in sweep.jobs] == [1, 2]
    assert sweep.repeated == [
        "'seed=1 tracker=wandb' is equivalent to job 0 and does not run again",
        "'seed=2 tracker=wandb' is equivalent to job 1 and does not run again",
        "'seed=1 tracker=none' is equivalent to job 0 and does not run again",
        "'seed=1 tracker=wandb' is equivalent to job 0 and does not run again",
    ]


def test_signature_depends_only_on_keys_that_affect_results():
    first, *others = (
        listed(argument, "seed=1").jobs[0].config.provenance
        for argument in (
            "log=info",
            "log=quiet",
            "tracker=none",
            "cache_dir=x",
            "sweep.parallel=2",
            "hardware.pin_memory=true",
            "corpus.license=CC0",
        )
    )
    own = signature("train", first.recorded.config)
    assert {signature("train", other.recorded.config) for other in others} == {own}
    assert len(own) == 16
    for argument in ("seed=2", "trainer.learning_rate=1e-5", "corpus.max_train_rows=9", "hardware.precision=bf16"):
        assert signature("train", listed(argument).jobs[0].config.provenance.recorded.config) != own
    assert signature("baseline", first.recorded.config) != own
    assert signature("train", json.loads(json.dumps(first.recorded.config))) == own


@pytest.mark.parametrize(
    "key",
    [
        "model.architecture.base", "model.family.base", "adapter.own.merge", "corpus.mine.license",
        "corpus.of.mine.timeout", "trainer.arguments.timeout", "base",
    ],
)  # fmt: skip
def test_only_whole_names_of_keys_leave_the_signature(key):
    def of(value):
        for part in reversed(key.split(".")):
            value = {part: value}
        return signature("train", value)

    assert of(512) != of(768)
    assert changes_number(key)


def test_licence_of_a_corpus_inside_another_is_not_part_of_the_signature():
    arguments = (["corpus.of.license=CC0"], ["corpus.of.license=null"], ["corpus.min_words=5"])
    assert not any(map(changes_number, ("corpus.of.license", "corpus.of.timeout", "hub.push", "model.base")))
    signatures = [
        signature("train", listed("corpus=passages", *argument).jobs[0].config.provenance.recorded.config)
        for argument in arguments
    ]
    assert signatures[0] == signatures[1] != signatures[2]
