"""The memory that a process can use is the least that the machine, its control groups or its GPU leave."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bisum.hardware import memory
from bisum.hardware.memory import available_memory, memory_of, peak_memory, reset_peak_memory, used_memory

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def machine(tmp_path, monkeypatch, write):
    """A machine with 8 GiB available: `machine(cgroup, files)` sets the process's control groups and their files."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroups")
    write(tmp_path / "proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n")

    def put(cgroup, files):
        write(tmp_path / "proc/self/cgroup", cgroup)
        for name, text in files.items():
            write(tmp_path / "cgroups" / name, text)

    return put


def test_memory_without_a_limit_is_what_the_kernel_reports(machine):
    stat = "inactive_file 0\nactive_file 0\n"
    machine("0::/\n", {"memory.max": "max\n", "memory.current": "1\n", "memory.stat": stat})
    assert available_memory(CPU) == 8 * 2**30


def test_a_container_limits_memory(machine):
    used = {"memory.current": str(3 * 2**30), "memory.stat": f"anon 5\ninactive_file {2**29}\nactive_file {2**29}\n"}
    machine("0::/\n", {"memory.max": str(4 * 2**30), **used})
    assert available_memory(CPU) == 2 * 2**30


def test_an_outer_group_limits_memory(machine):
    stat = "inactive_file 0\nactive_file 0\n"
    inner = {"slice/job/memory.max": "max", "slice/job/memory.current": "0", "slice/job/memory.stat": stat}
    outer = {"slice/memory.max": "1000", "slice/memory.current": "400", "slice/memory.stat": stat}
    machine("0::/slice/job\n", inner | outer)
    assert available_memory(CPU) == 600


def test_the_first_version_of_control_groups_limits_memory(machine):
    folder = "memory/job/memory"
    files = {f"{folder}.limit_in_bytes": "1000", f"{folder}.usage_in_bytes": "900"}
    stat = "cache 9\ntotal_inactive_file 60\ntotal_active_file 40\n"
    machine("4:cpu:/\n3:memory:/job\n0::/\n", {**files, f"{folder}.stat": stat})
    assert available_memory(CPU) == 200


def test_unknown_memory_is_not_guessed(machine, tmp_path):
    (tmp_path / "proc/meminfo").unlink()
    assert available_memory(CPU) is None
    assert used_memory(CPU) is None
    assert available_memory(torch.device("meta")) is None


def test_used_memory_grows_with_a_tensor():
    before = used_memory(CPU)
    tensor = torch.ones(50_000_000)
    assert used_memory(CPU) - before == pytest.approx(tensor.nbytes, rel=0.1)
    assert peak_memory() >= used_memory(CPU) * 0.99


def test_pages_of_a_mapped_file_are_not_counted(tmp_path):
    np.ones(25_000_000, np.int64).tofile(tmp_path / "tokens")
    reset_peak_memory()
    used, peak = used_memory(CPU), peak_memory()
    tokens = np.memmap(tmp_path / "tokens", np.int64, "r")
    assert tokens.sum() == len(tokens)  # 200 MB are in memory
    assert used_memory(CPU) - used < 0.1 * tokens.nbytes
    assert peak_memory() - peak < 0.1 * tokens.nbytes


def test_weights_count_once_they_are_not_in_a_mapped_file(tmp_path):
    save_file({"one": torch.ones(1000), "other": torch.ones(1000)}, tmp_path / "model.safetensors")
    weights = load_file(tmp_path / "model.safetensors")
    assert memory_of(weights.values()) == 0
    copies = [weight.clone() for weight in weights.values()]
    assert memory_of([*copies, copies[0][:10]]) == 8000


def test_the_peak_of_a_run_begins_with_the_run():
    tensor = torch.ones(50_000_000)
    size = tensor.nbytes
    assert peak_memory() >= size
    del tensor
    reset_peak_memory()
    assert peak_memory() == pytest.approx(used_memory(CPU), abs=0.1 * size)
    other = torch.ones(25_000_000)
    assert peak_memory() == pytest.approx(used_memory(CPU), abs=0.1 * size)
    assert peak_memory() > other.nbytes


def test_the_peak_of_a_process_excludes_that_of_its_parent():
    tensor = torch.ones(50_000_000)
    code = "from bisum.hardware.memory import peak_memory; print(peak_memory())"
    peak = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert peak < tensor.nbytes / 2


def test_the_peak_of_a_system_without_proc_is_what_it_reports(machine):
    assert peak_memory() > 2**26


def test_memory_of_a_gpu_includes_what_its_allocator_keeps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1000)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 2000)
    assert available_memory(GPU) == 7000
    assert used_memory(GPU) == 1000
    assert peak_memory(GPU) == 2000
