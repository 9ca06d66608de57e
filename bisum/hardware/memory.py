"""The memory of a device: what a process uses of it, and what it can still get."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def used_memory(device: torch.device) -> int | None:
    """Return the bytes of a device that this process uses; None if they are unknown.

    On a CPU, pages of mapped files are not counted, since the system can drop them.
    """
    if device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated(device))
    with suppress(OSError, ValueError, KeyError):
        status = _status()
        return status["RssAnon"] + status["RssShmem"]
    return None


def memory_of(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of some tensors that `used_memory` counts."""
    files = list(_mapped_files())
    sizes: dict[int, int] = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        start = storage.data_ptr()
        if tensor.device.type != "cpu" or not any(first <= start < end for first, end in files):
            sizes[start] = storage.nbytes()
    return sum(sizes.values())


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
    """Return the most bytes that this process has used: of a GPU, if given, otherwise of the machine's memory.

    The kernel's peak includes pages of mapped files, of which those in memory at present are subtracted.
    """
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError, ValueError, KeyError):
        status = _status()
        return status["VmHWM"] - status["RssFile"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory() -> None:
    """Let the peak of the machine's memory begin with what the process uses at present, where the system can."""
    with suppress(OSError):
        (_PROC / "self/clear_refs").write_text("5", "ascii")  # proc(5)


def _status() -> dict[str, int]:
    """Return the sizes in the kernel's description of the process, in bytes."""
    lines = [line.split() for line in (_PROC / "self/status").read_text("utf-8").splitlines()]
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[-1:] == ["kB"]}


def _mapped_files() -> Iterator[tuple[int, int]]:
    """Yield the first address of each file that is mapped into memory, and the address after its last."""
    with suppress(OSError):
        for line in (_PROC / "self/maps").read_text("utf-8", "replace").splitlines():
            addresses, _, _, _, inode, *_ = line.split()
            if inode != "0":
                first, _, end = addresses.partition("-")
                yield int(first, 16), int(end, 16)


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
                root, names, prefix = _CGROUPS, ("memory.max", "memory.current"), ""
            elif "memory" in controllers.split(","):
                names, prefix = ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_"
                root = _CGROUPS / "memory"
            else:
                continue
            folder = root / place.strip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(root):
                    yield from _left(group, *names, prefix)


def _left(group: Path, limit: str, used: str, prefix: str) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # no limit, which is written as `max`, or files of another kind
        total, current = (int((group / name).read_text("ascii")) for name in (limit, used))
        lines = (group / "memory.stat").read_text("ascii").splitlines()
        sizes = dict(line.split() for line in lines)
        caches = int(sizes[f"{prefix}inactive_file"]) + int(sizes[f"{prefix}active_file"])
        yield max(0, total - current + caches)
