"""The memory of a device: what a process uses of it, and what it can still get."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def used_memory(device: torch.device) -> int | None:
    """Return the bytes of a device that this process uses; None if they are unknown."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated(device))
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / "self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def available_memory(device: torch.device) -> int | None:
    """Return the bytes of a device that this process can use beside those that it uses; None if they are unknown.

    On a CPU, it is the kernel's `MemAvailable`, or less if a control group, such as a container's, limits the process.
    """
    if device.type == "cuda":
        import torch

        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + int(unused)
    return min([*_of_machine(), *_of_control_groups()], default=None) if device.type == "cpu" else None


def peak_memory(device: torch.device | None = None) -> int:
    """Return the most bytes that this process has used: of a GPU, if given, otherwise of the machine's memory."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        lines = (_PROC / "meminfo").read_text("ascii").splitlines()
        yield int({line.partition(":")[0]: line.split()[1] for line in lines}["MemAvailable"]) * 1024


def _of_control_groups() -> Iterator[int]:
    """Yield what each control group of the process, and each that contains it, leaves; file caches can be dropped."""
    with suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text("utf-8").splitlines():
            number, controllers, place = line.split(":", 2)
            if number == "0" and not controllers:
                root, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                root = _CGROUPS / "memory"
            else:
                continue
            folder = root / place.strip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(root):
                    yield from _left(group, *names)


def _left(group: Path, limit: str, used: str, dropped: str) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # no limit, which is written as `max`, or files of another kind
        total, current = (int((group / name).read_text("ascii")) for name in (limit, used))
        lines = (group / "memory.stat").read_text("ascii").splitlines()
        caches = int(dict(line.split() for line in lines)[dropped])
        yield max(0, total - current + caches)
