"""What is known of the device of a run before torch is imported, which takes seconds."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from bisum.config.options import HardwareOptions

_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of NVIDIA's and AMD's GPUs, and of any GPU in Windows' Linux."""


def is_float32_cpu(options: HardwareOptions) -> bool:
    """Return whether `find_device` certainly finds the CPU and float32."""
    if options.device not in ("auto", "cpu") or options.precision not in ("auto", "float32"):
        return False
    if find_spec("torch_xla") is not None:
        return False
    return options.device == "cpu" or not _can_have_gpu()


def cpu_name() -> str:
    """Return the display name of the CPU."""
    return f"cpu ({os.cpu_count()} cores)"


def thread_count() -> int:
    """Return the number of threads to compute with: `OMP_NUM_THREADS`, or one for each available core."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if re.fullmatch("[1-9][0-9]{0,3}", stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _can_have_gpu() -> bool:
    """Return whether torch may find a GPU: it is built for one, and the machine may have one."""
    spec = find_spec("torch")
    try:
        version = Path(str(spec and spec.origin)).with_name("version.py").read_text("utf-8")
    except OSError:
        return True
    if re.search(r"^cuda\b.*= None$", version, re.MULTILINE) and re.search(r"^hip\b.*= None$", version, re.MULTILINE):
        return False
    return not Path("/dev").is_dir() or any(Path(name).exists() for name in _GPU_FILES)
