"""The environment cannot change a run's results, and no launcher can start several processes."""

import os

import pytest

from bisum.config.environment import check_environment, refuse_agent_sweep, restored_environment
from bisum.errors import UserError

LAUNCHERS = [
    ("WORLD_SIZE", "2"),
    ("WORLD_SIZE", " 8 "),
    ("OMPI_COMM_WORLD_SIZE", "2"),
    ("PMI_SIZE", "4"),
    ("MV2_COMM_WORLD_SIZE", "2"),
    ("SLURM_STEP_NUM_TASKS", "2"),
]


@pytest.mark.parametrize(("name", "value"), LAUNCHERS)
def test_several_processes_are_refused_in_one_line_with_the_variable(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=rf"^{name}={value}: bisum runs in one process; start it without torchrun, .*"):
        check_environment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16", "; unset it and set hardware.precision instead"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "; unset it and set trainer.gradient_accumulation instead"),
        ("ACCELERATE_USE_FSDP", "true", "bisum does not support Accelerate's own settings; unset it"),
        ("FSDP_VERSION", "2", "bisum does not support Accelerate's own settings; unset it"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1", "would change the results of a run"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16", "would change the results of a run"),
        ("XLA_USE_BF16", "1", "; unset it and set hardware.precision instead"),
        ("USE_HUB_KERNELS", "1", "would change the results of a run"),
        ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1", "would allow files to run code"),
    ],
)
def test_variable_that_changes_results_is_refused(name, value, message, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as raised:
        check_environment()
    assert str(raised.value).startswith(f"{name}='{value}': ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_single_process_variables_are_removed_and_harmless_ones_kept(monkeypatch):
    alone = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29599"}
    harmless = {
        "ACCELERATE_LOG_LEVEL": "info",
        "TRANSFORMERS_VERBOSITY": "error",
        "TORCH_HOME": "/x",
        "SLURM_NTASKS": "4",
    }
    empty = {"ACCELERATE_MIXED_PRECISION": "", "WORLD_SIZE_": "2"}
    for name, value in {**alone, **harmless, **empty}.items():
        monkeypatch.setenv(name, value)
    check_environment()
    assert not {*alone, "ACCELERATE_MIXED_PRECISION"} & os.environ.keys()
    assert {name: os.environ[name] for name in harmless} == harmless


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_single_process_variables_do_not_change_results(
    backend, call_bisum, small, trained, read, tmp_path, monkeypatch
):
    for name in ("RANK", "LOCAL_RANK", "GROUP_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("MASTER_ADDR", "192.0.2.1")
    assert call_bisum(*small, f"trainer={backend}", f"hydra.run.dir={tmp_path / 'run'}").code == 0
    assert read.metrics(tmp_path / "run") == read.metrics(trained(f"trainer={backend}"))


def test_a_launcher_is_refused_within_seconds_on_the_command_line(run_bisum, one_line, tmp_path):
    peers = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29599"}
    for arguments in (
        [],
        ["trainer=seq2seq_trainer"],
        ["baseline"],
        ["-m", "seed=1,2"],
        ["summarize", "--", "A text."],
    ):
        assert "bisum runs in one process" in one_line(run_bisum(*arguments, cwd=tmp_path, env=peers, timeout=20))
    assert not (tmp_path / "outputs").exists()
    assert run_bisum("--cfg", "job", cwd=tmp_path, env=peers).code == 0


def test_changes_to_the_environment_are_undone(monkeypatch):
    monkeypatch.setenv("BISUM_TEST_KEPT", "before")
    with restored_environment():
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
        os.environ["BISUM_TEST_KEPT"] = "after"
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ
    assert os.environ["BISUM_TEST_KEPT"] == "before"


def test_sweep_inside_an_agents_trial_is_refused(monkeypatch, call_bisum, one_line):
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    refuse_agent_sweep()
    monkeypatch.setenv("WANDB_RUN_ID", "abc12345")
    line = one_line(call_bisum("baseline", "-m", "evaluation.lead=1,2"))
    assert line.startswith("bisum: WANDB_SWEEP_ID: a trial of a W&B agent is a single run; drop -m")
    assert call_bisum("baseline", "--cfg", "job", "evaluation.lead=1").code == 0


def test_python_m_bisum_imports_nothing_from_the_current_folder(run_bisum, tmp_path):
    for name in ("hydra", "omegaconf", "pathlib", "rich", "torch"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()", encoding="utf-8")
    done = run_bisum("baseline", "corpus.max_eval_rows=8", "evaluation.bootstrap_samples=100", cwd=tmp_path)
    assert done.code == 0, done.err
    assert not (tmp_path / "imported").exists()
