"""The `hydra` node is checked as strictly as bisum's own nodes, also for a single run."""

import pytest

from bisum import compose
from bisum.errors import UserError

BAD = [
    ("hydra.sweeper=x", "hydra.sweeper: expected a mapping with a _target_, not 'x'; choose one by name"),
    ("hydra.launcher=null", "hydra.launcher: expected a mapping with a _target_"),
    ("hydra.sweeper.max_batch_size=x", "hydra.sweeper.max_batch_size: Value 'x' of type 'str' could not be converted"),
    ("+hydra.sweeper.x=1", "hydra.sweeper.x: no such key (valid: max_batch_size, params)"),
    ("hydra.launcher.x=1", "hydra.launcher.x: no such key"),
    ("+hydra.foo=1", "hydra.foo: no such key (valid: "),
    ("hydra.foo=1", "hydra.foo: no such key"),
    ("+hydra.run.dirr=x", "hydra.run.dirr: no such key, did you mean 'dir'?"),
    ("hydra.run=1", "hydra.run: "),
    ("hydra.run.dir=[1]", "hydra.run.dir: "),
    ("hydra=1", "Config group override must be a string or a list"),
    ("hydra=x", "hydra: no such group"),
    ("hydra.mode=x", "hydra.mode: expected RUN, MULTIRUN or null, not 'x'"),
    ("hydra.job.chdir=x", "hydra.job.chdir: expected true, false or null, not 'x'"),
    ("hydra.verbose=[1]", "hydra.verbose[0]: expected text, not 1"),
    ("hydra.verbose={a: 1}", "hydra.verbose: expected true, false, text or a list"),
    ("hydra.callbacks=x", "hydra.callbacks: "),
    ("+hydra.callbacks.x=1", "hydra.callbacks.x: expected a mapping with a _target_, not 1"),
    ("+hydra.callbacks.x.y=1", "hydra.callbacks.x: expected a mapping with a _target_"),
    ("hydra.searchpath=[nowhere]", "hydra.searchpath: no such folder: 'nowhere'"),
    ("hydra.searchpath=['file://nowhere']", "hydra.searchpath: no such folder: 'nowhere'"),
    ("hydra.searchpath=x", "hydra.searchpath: expected a list of text such as [a,b]"),
    ("hydra.nope=1", "hydra.nope: no such key (valid: mode, searchpath, run, sweep,"),
    ("hydra.nope.x=1", "hydra.nope: no such key (valid: mode,"),
    ("hydra.run.nope=1", "hydra.run.nope: no such key (valid: dir)"),
    ("hydra.launcher=null", "hydra.launcher: expected a mapping with a _target_, not null"),
    ("hydra.callbacks=${nope}", "hydra.callbacks: Interpolation key 'nope' not found"),
    ("hydra.launcher=${nope}", "hydra.launcher: Interpolation key 'nope' not found"),
    ("hydra.mode=${nope}", "hydra.mode: Interpolation key 'nope' not found"),
    ("hydra.verbose=${nope}", "hydra.verbose: Interpolation key 'nope' not found"),
    ("hydra.job_logging=${nope}", "hydra.job_logging: bisum writes its own log"),
    ("hydra.job.env_set=${nope}", "hydra.job.env_set: not supported, because environment variables can start"),
    ("hydra.searchpath=['${nope}']", "hydra.searchpath[0]: Interpolation key 'nope' not found"),
    ("hydra.job.num=3", "hydra.job.num: set by Hydra itself; omit it"),
    ("+hydra.runtime.cwd=/", "hydra.runtime: set by Hydra itself"),
    ("hydra.overrides.task=[a]", "hydra.overrides: set by Hydra itself"),
    ("hydra.help.header=x", "hydra.help: has no effect"),
    ("+hydra.job_logging.a=1", "hydra.job_logging: bisum writes its own log"),
    ("+hydra.defaults=[a]", "hydra.defaults: has no effect"),
    ("hydra.mode=???", "hydra.mode: needs a value"),
    ("hydra.callbacks=???", "hydra.callbacks: needs a value"),
    ("hydra.job.chdir=5", "hydra.job.chdir: expected true, false or null, not 5"),
    ("hydra.sweep.dir=", "hydra.sweep.dir: expected text that is not empty, not ''"),
    ("hydra.sweep.dir=${nope}", "hydra.sweep.dir: Interpolation key 'nope' not found"),
    ("hydra.sweep.subdir=null", "hydra.sweep.subdir: expected text, not null"),
    ("hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size: expected a whole number >= 1 or null, not 0"),
    ("hydra.sweeper.params={seed: [1]}", "hydra.sweeper.params"),
    ("hydra={runtime: {cwd: /}}", "hydra.runtime: set by Hydra itself"),
    ("~hydra.verbose", "hydra.verbose: Hydra requires this key"),
    ("hydra/sweeper=nope", "hydra/sweeper=nope: no such option (valid: basic"),
    ("hydra/launcher=basik", "hydra/launcher=basik: no such option, did you mean 'basic'?"),
]


@pytest.mark.parametrize(("argument", "message"), BAD, ids=[argument for argument, _ in BAD])
def test_invalid_hydra_argument_is_refused_in_one_line_with_its_key(argument, message, refusal):
    line = refusal([argument])
    assert line.startswith(message)
    assert "search path" not in line


def test_missing_option_of_a_users_group_is_refused_without_the_search_path(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/a.yaml").write_text("x: 1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^lab=b: no such option \(valid: a\)$"):
        compose(["+lab=b"], config_dir=str(tmp_path))


@pytest.mark.parametrize(
    "argument", ["hydra.verbose=true", "hydra.verbose=[bisum]", "hydra.job.chdir=false", "hydra/env=default"]
)
def test_valid_hydra_argument_is_accepted(argument):
    assert compose([argument]).trainer.epochs


def test_experiment_that_removes_the_hydra_node_is_refused(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/e.yaml").write_text("# @package _global_\nhydra: null\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^experiment=e: "):
        compose(["experiment=e"], config_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# @package _global_\nhydra: {job: {num: 3}}\n", "hydra.job.num: set by Hydra itself"),
        ("# @package hydra\nruntime: {cwd: /}\n", "hydra.runtime: set by Hydra itself"),
        ("# @package _global_\nhydra: {job: {chdir: 5}}\n", "hydra.job.chdir: expected true, false or null, not 5"),
        ("# @package _global_\nhydra: {help: {header: x}}\n", "hydra.help: has no effect"),
    ],
)
def test_invalid_hydra_key_in_a_file_is_refused_with_the_file(tmp_path, write, text, message):
    write(tmp_path / "experiment/e.yaml", text)
    with pytest.raises(UserError) as raised:
        compose(["experiment=e"], config_dir=str(tmp_path))
    assert str(raised.value).startswith(f"{tmp_path}/experiment/e.yaml: {message}")
