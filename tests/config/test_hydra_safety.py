"""No argument or YAML file makes Hydra run, import or write something unsafe."""

from pathlib import Path

import pytest

import bisum
from bisum import compose
from bisum.errors import UserError

ROOT = Path(bisum.__file__).parents[1]
REFUSED = [
    ("hydra.job.env_copy=[BISUM_NONE]", "hydra.job.env_copy: not supported, because environment variables can start"),
    ("hydra.job.env_copy=[PATH]", "hydra.job.env_copy: not supported, because environment variables can start"),
    ("+hydra.job.env_set.PATH=x", "hydra.job.env_set: not supported, because environment variables can start"),
    ("hydra.output_subdir=../../x", "hydra.output_subdir: '../../x' is not inside the run directory"),
    ("hydra.output_subdir=/tmp/x", "hydra.output_subdir: '/tmp/x' is not inside the run directory"),
    ("hydra.output_subdir=a/../../x", "hydra.output_subdir: 'a/../../x' is not inside the run directory"),
    ("hydra.searchpath=['pkg://antigravity']", "hydra.searchpath: pkg://antigravity would import that package"),
    ("+hydra.callbacks.x={_target_: hydra.conf.JobConf}", "hydra.callbacks.x._target_: must inherit from hydra.e"),
    ("+hydra.callbacks.x={_target_: hydra.utils.call}", "'hydra.utils' has no class 'call'"),
    ("+hydra.callbacks.x={_target_: os.system}", "hydra.callbacks.x._target_: 'os.system' is not allowed"),
    ("+hydra.job_logging.filters={x: {a: b}}", "hydra.job_logging: bisum writes its own log"),
    ("+hydra.job_logging.formatters={x: {a: b}}", "hydra.job_logging: bisum writes its own log"),
    ("hydra/job_logging=default", "hydra.job_logging: bisum writes its own log"),
]
REFUSED_IN_YAML = {
    "job: {env_set: {GIT_CONFIG_COUNT: 1}}": "hydra.job.env_set: not supported, because environment variables",
    "job: {env_copy: [HOME]}": "hydra.job.env_copy: not supported, because environment variables can start",
    "output_subdir: ../../x": "hydra.output_subdir: '../../x' is not inside the run directory",
    "job_logging: {filters: {x: {(): os.system, command: touch ran}}}": "hydra.job_logging: bisum writes its own log",
    "callbacks: {x: {_target_: subprocess.Popen, args: [touch, ran]}}": "hydra.callbacks.x._target_: 'subprocess",
}


@pytest.mark.parametrize(("argument", "message"), REFUSED, ids=[argument for argument, _ in REFUSED])
def test_unsafe_argument_is_refused_in_one_line_with_its_key(argument, message, refusal):
    assert refusal([argument]).startswith(message)


@pytest.mark.parametrize(("node", "message"), REFUSED_IN_YAML.items(), ids=list(REFUSED_IN_YAML))
def test_unsafe_file_is_refused(node, message, tmp_path, write, monkeypatch, refusal):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine/experiment/e.yaml", f"# @package _global_\nhydra:\n  {node}\n")
    assert message in refusal(["experiment=e"], config_dir="mine")
    assert not (tmp_path / "ran").exists()


def test_plugin_settings_that_run_code_need_permission(tmp_path, write, monkeypatch, run_bisum):
    """hydra-optuna-sweeper imports and calls `custom_search_space`; submitit runs `setup` in a shell."""
    plugin = """
from hydra.plugins.sweeper import Sweeper
class Search(Sweeper):
    def __init__(self, custom_search_space=None): ...
    def setup(self, **_): ...
    def sweep(self, arguments): return []
"""
    write(tmp_path / "hydra_plugins/search.py", plugin)
    node = "_target_: hydra_plugins.search.Search\ncustom_search_space: stranger.function\n"
    write(tmp_path / "mine/hydra/sweeper/search.yaml", node)
    arguments = ("baseline", "-m", "--config-dir", "mine", "hydra/sweeper=search")
    done = run_bisum(*arguments, cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})
    assert done.code == 2
    assert "hydra.sweeper.custom_search_space: would run code: 'hydra_plugins' is not allowed" in done.err


@pytest.mark.parametrize("key", ["run.dir", "sweep.dir", "sweep.subdir", "job.name", "output_subdir"])
def test_directory_names_contain_no_secrets(key, monkeypatch):
    """Directory names are recorded in `.hydra/`, `train.log` and a tracker's files."""
    monkeypatch.setenv("PLANTED", "s3cr3t-value")
    with pytest.raises(UserError, match=rf"^hydra\.{key}: would record the environment variable PLANTED; if "):
        compose([f"hydra.{key}='x-${{oc.env:PLANTED}}'"])
    monkeypatch.setenv("BISUM_RECORD_ENV", "OTHER PLANTED")
    compose([f"hydra.{key}='x-${{oc.env:PLANTED}}'"])
    compose(["hydra.run.dir='${oc.env:HOME}/runs'"])
