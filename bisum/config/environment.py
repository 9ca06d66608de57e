"""Environment variables that would change a run's results or its number of processes.

A run is a function of its configuration. bisum's libraries also read the environment, so bisum refuses variables that
would change results, and removes those that a launcher sets for a single process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bisum.errors import UserError, shown

_PROCESSES = (
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHCOMM_SIZE", "ACCELERATE_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS"),
    *("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "JSM_NAMESPACE_SIZE"),
    *("FLUX_JOB_SIZE", "HOROVOD_SIZE"),
)
"""Variables with the number of processes, set by launchers such as torchrun, accelerate, srun and mpirun."""

_SINGLE_PROCESS = (
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "TORCHCOMM_SIZE", "TORCHCOMM_RANK"),
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "FORK_LAUNCHED", "SMDATAPARALLEL_LOCAL_RANK"),
)
"""Variables that launchers set even for a single process; Accelerate and torch would look for peers."""

_LIBRARIES = ("ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
"""Prefixes of variables that configure Accelerate, set by `accelerate launch`."""
_HARMLESS = ("ACCELERATE_LOG_LEVEL", "ACCELERATE_DISABLE_RICH", "ACCELERATE_ENABLE_RICH")
_KEYS = {
    "ACCELERATE_MIXED_PRECISION": "hardware.precision",
    "ACCELERATE_DOWNCAST_BF16": "hardware.precision",
    "ACCELERATE_USE_CPU": "hardware",
    "ACCELERATE_TORCH_DEVICE": "hardware",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "trainer.gradient_accumulation",
    "ACCELERATE_GRADIENT_CLIPPING": "trainer.max_gradient_norm",
    "XLA_USE_BF16": "hardware.precision",
    "XLA_DOWNCAST_BF16": "hardware.precision",
}
"""The key to use instead of a variable."""

_ARITHMETIC = (
    *("XLA_USE_BF16", "XLA_DOWNCAST_BF16", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "MKL_DISABLE_FAST_MM", "OPENBLAS_CORETYPE"),
    *("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    *("TORCH_MKLDNN_MATMUL_MIN_DIM", "TORCH_MKLDNN_MATMUL_MIN_SIZE", "TORCH_LINEAR_FLATTEN_3D"),
    *("TORCH_BLAS_PREFER_CUBLASLT", "TORCH_BLAS_PREFER_HIPBLASLT", "TORCH_LINALG_PREFER_CUSOLVER"),
    *("TORCH_LINALG_PREFER_HIPSOLVER", "TORCH_CUDNN_V8_API_DISABLED", "TORCH_CUDNN_USE_HEURISTIC_MODE_B"),
    *("TORCH_ROCM_FA_PREFER_CK", "PYTORCH_TUNABLEOP_ENABLED", "PYTORCH_MIOPEN_SUGGEST_NHWC"),
    *("TRANSFORMERS_SDPA_FORCE_GQA", "TRANSFORMERS_DISABLE_DEEPGEMM_LINEAR", "USE_HUB_KERNELS"),
    *("TORCH_COMPILE_BACKEND", "TORCH_COMPILE_OVERRIDE_BACKENDS", "FLASH_ATTENTION_DETERMINISTIC"),
)
"""Variables that make torch, numpy or transformers use another number format or kernel."""

_UNSAFE = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TRUST_REMOTE_CODE", "HF_DATASETS_TRUST_REMOTE_CODE")
"""Variables that allow files to run code."""


def check_environment() -> None:
    """Refuse an environment that would override the configuration; call it before any work.

    The variables of a launcher that started a single process are removed.

    Raises:
        UserError: a launcher started several processes, or a variable would change results or allow files to run code.
    """
    for name in _PROCESSES:
        if _count(name) > 1:
            raise UserError(
                f"{name}={os.environ[name]}: bisum runs in one process; start it without torchrun, accelerate launch, "
                f"srun or mpirun, or unset {name}"
            )
    if sys.flags.optimize > 1:
        raise UserError("PYTHONOPTIMIZE: transformers needs docstrings; start Python without -OO")
    for name in [name for name in os.environ if name.startswith(_LIBRARIES) and name not in _HARMLESS]:
        _refuse_if_set(name, "bisum does not support Accelerate's own settings")
    for name in filter(os.environ.__contains__, _ARITHMETIC):
        _refuse_if_set(name, "would change the results of a run")
    for name in filter(os.environ.__contains__, _UNSAFE):
        _refuse_if_set(name, "would allow files to run code")
    for name in _SINGLE_PROCESS:
        os.environ.pop(name, None)


def refuse_agent_sweep() -> None:
    """Refuse a sweep inside the trial of a W&B agent: all jobs would share one W&B run.

    Raises:
        UserError: an agent started this process.
    """
    if os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"):
        raise UserError(
            "WANDB_SWEEP_ID: a trial of a W&B agent is a single run; drop -m from the agent's command, and make swept "
            "keys, such as seed, parameters of the W&B sweep"
        )


@contextmanager
def restored_environment() -> Iterator[None]:
    """Restore the environment after the block: transformers passes settings to Accelerate in variables."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _count(name: str) -> int:
    value = os.environ.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 20 else 0


def _refuse_if_set(name: str, why: str) -> None:
    """Refuse a variable with a value; remove an empty one, since some libraries fail on it."""
    value = os.environ[name]
    if not value.strip():
        del os.environ[name]
        return
    raise UserError(
        f"{name}={shown(value)}: {why}; unset it{f' and set {_KEYS[name]} instead' if name in _KEYS else ''}"
    )
