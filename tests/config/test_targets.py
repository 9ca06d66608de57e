"""Classes allowed in `_target_`: bisum's own, and those that the user, not a file, allows."""

import sys
from pathlib import Path

import pytest

from bisum.config.targets import ALLOW_VARIABLE

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def foreign(tmp_path: Path, write) -> Path:
    """A folder of YAML files with a class outside bisum, whose module creates a file when imported."""
    write(
        tmp_path / "foreign_code.py",
        "from pathlib import Path\nPath('imported').touch()\n"
        "class Keep:\n    def keep(self, rows, held_out):\n        return None\n",
    )
    write(tmp_path / "mine/filter/foreign.yaml", "# @package filter.foreign\n_target_: foreign_code.Keep\n")
    write(
        tmp_path / "mine/experiment/foreign.yaml",
        "# @package _global_\ndefaults:\n  - override /filter: [long_titles, foreign]\n",
    )
    sys.modules.pop("foreign_code", None)
    return tmp_path


@pytest.mark.parametrize("argument", ["filter=[foreign]", "experiment=foreign"])
def test_class_outside_bisum_needs_the_users_permission(call_bisum, foreign, argument, one_line):
    arguments = ["--config-dir", "mine", "--cfg", "job", argument]
    line = one_line(call_bisum(*arguments))
    assert "filter.foreign._target_: 'foreign_code.Keep' is not allowed (allowed: bisum)" in line
    assert "allow_targets=[foreign_code]" in line
    assert f"{ALLOW_VARIABLE}=foreign_code" in line
    assert "not allowed" in one_line(call_bisum(*arguments, "allow_targets=[foreign]"))
    assert not (foreign / "imported").exists()
    assert call_bisum(*arguments, "allow_targets=[other,foreign_code]").code == 0
    assert (foreign / "imported").exists()


def test_environment_variable_allows_classes(call_bisum, foreign, monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "other, foreign_code")
    assert call_bisum("--config-dir", "mine", "--cfg", "job", "experiment=foreign").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "allow_targets: [foreign_code]\n",
        "seed: ${oc.env:BISUM_ALLOW_TARGETS,foreign_code}\n",
    ],
)
def test_file_cannot_allow_itself(call_bisum, foreign, text, write):
    path = foreign / "mine/experiment/foreign.yaml"
    write(path, path.read_text(encoding="utf-8") + text)
    done = call_bisum("--config-dir", "mine", "experiment=foreign", "corpus.max_eval_rows=8")
    assert done.code == 2
    assert "'foreign_code.Keep' is not allowed" in done.err or "is for the command line" in done.err
    assert not (foreign / "imported").exists()


@pytest.mark.parametrize(
    ("node", "target", "message"),
    [
        ("model.architecture", "os.system", "'os.system' is not allowed"),
        ("model.architecture", "bisum_evil.Model", "'bisum_evil.Model' is not allowed"),
        ("model.architecture", "bisum.models.architectures.T5Arch", "did you mean 'T5Architecture'?"),
        ("model.architecture", "bisum.models.architecture.T5Architecture", "no module 'bisum.models.arch"),
        ("model.architecture", "bisum.models.families.T5", "does not implement Architecture: it has no build_model"),
        ("trainer", "bisum.corpus.filters.Books", "does not inherit from bisum.interfaces.trainer.Trainer"),
        ("trainer", "bisum.training.seq2seq_trainer.training_argument_names", "has no class"),
        ("filter.long_titles", "bisum.corpus.sample.Sample", "does not implement Filter: it has no keep"),
        ("corpus", "bisum.corpus.filters.Books", "does not implement Source: it has no"),
        ("corpus", "null", "corpus"),
    ],
)
def test_invalid_target_is_refused(call_bisum, node, target, message, one_line):
    line = one_line(call_bisum(f"{node}._target_={target}"))
    assert line.startswith(f"bisum: {node}")
    assert message in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("+hydra.callbacks.x._target_=os.mkdir", "+hydra.callbacks.x.path=made"),
        ("+hydra.callbacks.x={_target_:os.mkdir,path:made}",),
        ("+hydra.callbacks.x._target_=hydra.nothing.Callback",),
        ("-m", "hydra.sweeper._target_=os.mkdir", "seed=1,2"),
        ("-m", "hydra.launcher._target_=os.mkdir", "seed=1,2"),
        ("-m", "hydra.sweeper._target_=hydra.nothing.Sweeper", "seed=1,2"),
    ],
)
def test_targets_in_hydras_own_nodes_are_refused_too(call_bisum, tmp_path, arguments, one_line):
    options = [argument for argument in arguments if argument == "-m"]
    settings = [argument for argument in arguments if argument != "-m"]
    assert "hydra" in one_line(call_bisum("baseline", *options, "corpus.max_eval_rows=8", *settings))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "hydra",
    [
        "callbacks: {x: {_target_: os.mkdir, path: made}}",
        """callbacks: {x: "${oc.create:{_target_: os.mkdir, path: made}}"}""",
        """callbacks: {x: {_target_: hydra.utils.call, config: "${oc.create:{_target_: os.mkdir, path: made}}"}}""",
        """job_logging: {version: 1, handlers: {x: {"()": os.mkdir, path: made}}, root: {handlers: [x]}}""",
        """hydra_logging: {version: 1, handlers: {x: {"()": os.mkdir, path: made}}, root: {handlers: [x]}}""",
    ],
)
def test_file_cannot_make_hydra_call_a_function(run_bisum, tmp_path, hydra, one_line, write):
    write(tmp_path / "mine/experiment/evil.yaml", f"# @package _global_\nhydra:\n  {hydra}\n")
    arguments = ["baseline", "--config-dir", "mine", "experiment=evil", "corpus.max_eval_rows=8"]
    done = run_bisum(*arguments, "evaluation.bootstrap_samples=100", cwd=tmp_path)
    assert not (tmp_path / "made").exists()
    one_line(done)
