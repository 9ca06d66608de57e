"""The space of a search, in Hydra's sweep syntax, from YAML and the command line."""

import pytest

from bisum.config.composition import Composer
from bisum.config.search import Choice, Interval
from bisum.config.sweep import listed_sweep
from bisum.errors import UserError

LEARNING_RATE = "trainer.learning_rate=tag(log,interval(1e-5,1e-3))"
NONE = ["~hydra.sweeper.params.trainer.learning_rate"]


def searched(*arguments, command="train", config_dir=None):
    composer = Composer(command, config_dir)
    return listed_sweep(composer, composer.parse(["hparams_search=optuna", *arguments])).search


def test_option_defines_the_default_space():
    assert searched().space == {
        "trainer.learning_rate": Interval(1e-4, 1e-2, is_log=True, is_whole=False),
        "trainer.label_smoothing": Interval(0.0, 0.2, is_log=False, is_whole=False),
        "trainer.batch_size": Choice({8: "8", 16: "16", 32: "32"}),
    }


def test_arguments_replace_dimensions_and_a_single_value_removes_one():
    space = searched(LEARNING_RATE, "trainer.batch_size=interval(2,64)", "trainer.label_smoothing=0.1").space
    assert space == {
        "trainer.learning_rate": Interval(1e-5, 1e-3, is_log=True, is_whole=False),
        "trainer.batch_size": Interval(2, 64, is_log=False, is_whole=True),
    }


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("model=choice(tiny,starter)", {"tiny": "tiny", "starter": "starter"}),
        ("trainer.batch_size=range(4,10,2)", {4: "4", 6: "6", 8: "8"}),
        ("generation.early_stopping=true,never", {True: "true", "never": "never"}),
        ("trainer.patience=null,2", {None: "null", 2: "2"}),
        ("languages=[en],[es],[no]", {"[en]": "[en]", "[es]": "[es]", "[no]": "[no]"}),
        ("model.prefix='a, b','1_0'", {"'a, b'": "'a, b'", "'1_0'": "'1_0'"}),
        ("model.prefix=1,1.0,true", {"1": "1", "1.0": "1.0", "true": "true"}),
        ("filter=glob(long*)", {"long_titles": "long_titles"}),
    ],
)
def test_listed_values_keep_their_typed_text(argument, arguments):
    key = argument.partition("=")[0]
    search = searched(argument)
    found = search.space[key].arguments
    assert {(type(value), value): text for value, text in found.items()} == {
        (type(value), value): text for value, text in arguments.items()
    }
    for value in found:  # each is a valid command-line argument
        search.job({**search.first, key: value}, 0)


def test_a_job_has_the_values_of_its_trial():
    search = searched("seed=3")
    job = search.job({"trainer.learning_rate": 1 / 3000, "trainer.label_smoothing": 0.1, "trainer.batch_size": 32}, 7)
    assert (job.config.trainer.learning_rate, job.config.trainer.batch_size) == (1 / 3000, 32)
    assert (job.config.seed, job.folder) == (3, "7")


def test_command_of_a_trial_composes_to_the_same_values():
    search = searched("seed=3", "sweep.parallel=2", "search.trials=3", "hydra.sweep.dir=x")
    values = {"trainer.learning_rate": 1 / 3000, "trainer.label_smoothing": 0.1, "trainer.batch_size": 32}
    assert search.command_of(values) == [
        "seed=3",
        "trainer.learning_rate=0.0003333333333333333",
        "trainer.label_smoothing=0.1",
        "trainer.batch_size=32",
    ]


def test_trial_has_no_command_if_the_search_file_sets_other_keys(tmp_path):
    (tmp_path / "hparams_search").mkdir()
    (tmp_path / "hparams_search/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - _base@search\ntrainer:\n  epochs: 7\n"
        "hydra:\n  sweeper:\n    params:\n      seed: 1,2\n",
        "utf-8",
    )
    search = searched("hparams_search=mine", config_dir=str(tmp_path))
    assert search.base.config.trainer.epochs == 7
    assert list(search.space) == ["seed"]
    assert search.command_of({"seed": 2}) is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trainer.learning_rate=interval(1e-3,1e-4)"], "an interval needs two finite bounds, the lower first"),
        (["trainer.learning_rate=interval(0,.inf)"], "cannot be read"),
        (["trainer.learning_rate=tag(log,interval(0,1))"], "the lower bound of a logarithmic interval must be above 0"),
        (["trainer.learning_rate=tag(lg,interval(1,2))"], "unknown tag 'lg' (valid: log)"),
        (["trainer.batch_size=interval(2.5,8)"], "trainer.batch_size is a whole number; give whole bounds"),
        (["trainer.batch_size=interval(0,8)"], "trainer.batch_size: expected a whole number >= 1, not 0"),
        (["trainer.label_smoothing=interval(0,1)"], "trainer.label_smoothing: expected a number >= 0 and < 1, not 1.0"),
        (["model=choice(tiny,tinny)"], "model=tinny: no such option, did you mean 'tiny'?"),
        (["foo.bar=interval(1,2)"], "foo: no such key"),
        (
            ["search.sampler=grid"],
            "search.sampler: a grid needs listed values, but trainer.learning_rate is an interval",
        ),
        (
            ["search.sampler=cmaes"],
            "search.sampler: CMA-ES searches only intervals, but trainer.batch_size has listed",
        ),
        (["search.trials=1,2"], "'search.trials=1,2': applies to the whole sweep; give one value"),
        (["search.trials=0"], "search.trials: expected a whole number >= 1, not 0"),
        (["search.storage=sqlite:///x"], "search.study: required with storage"),
        (["search.storage=x.db", "search.study=a"], "search.storage: 'x.db' is not a URL"),
        (["search.objective=[eval/rougeL,eval/loss]"], "search.pruner: Optuna prunes only with one objective"),
        (["search.objective=[eval/rougeL,eval/rougeL]"], "search.objective: lists 'eval/rougeL' twice"),
        (["search.objective=eval/chrf"], "search.objective: no metric 'eval/chrf'"),
        (["trainer.best_metric=eval/loss,eval/rougeL"], "trainer.best_metric: trials with different metrics cannot be"),
        (["model.prefix='https://u:pw@h/a','b'"], "model.prefix: a listed value contains a password"),
        (
            ["hparams_search=_base"],
            "hparams_search=_base: no such option (valid: learning_rate, optuna, seeds)",
        ),
        (["search.objective=eval/gen_len"], "search.objective: neither higher nor lower is better for 'eval/gen_len'"),
        (["search.objective=test/rougeL"], "search.objective: 'test/rougeL' must be auto or begin with eval/"),
        (["sweep.zip=[seed]"], "sweep.zip: lists jobs, but a search chooses its own"),
        (["hydra.sweep.dir=a,b"], "hydra.sweep.dir"),
        (
            ["trainer.learning_rate=1e-3", "trainer.label_smoothing=0", "trainer.batch_size=8"],
            "hparams_search: the search space is empty",
        ),
    ],
)
def test_invalid_search_is_refused(arguments, line):
    with pytest.raises(UserError) as refused:
        searched(*arguments)
    assert line in str(refused.value).splitlines()[0]


def test_only_train_can_be_searched():
    with pytest.raises(UserError, match="bisum evaluate cannot be searched; only bisum train can"):
        searched(command="evaluate")


def test_listed_options_need_no_optuna():
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(["hparams_search=seeds"])).jobs
    assert [job.config.seed for job in jobs] == [1, 2, 3, 4, 5]
    jobs = listed_sweep(composer, composer.parse(["hparams_search=learning_rate", "seed=1,2"])).jobs
    assert len(jobs) == 12
