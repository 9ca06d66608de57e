"""Decisions that depend on a GPU, on a machine that seems to have one: torch's answers about it are replaced."""

import stat
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from bisum import compose
from bisum.batches.sampling import TrainingLoader
from bisum.config.options import GenerationOptions
from bisum.errors import UserError
from bisum.evaluation.engines import check_engine
from bisum.evaluation.metrics.encoders import torch_device
from bisum.hardware.devices import find_device
from bisum.models.quantization import check_quantization, quantized
from bisum.sweeps import machine
from bisum.sweeps.execution import release_memory
from bisum.training.profiling import _operators

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """Let torch report a GPU; `gpu(bf16=False)` one without bf16."""

    def report(*, bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)

    report()
    return report


@pytest.mark.parametrize(
    ("arguments", "bf16", "precision"),
    [
        (["hardware=auto"], True, "bf16"),
        (["hardware=auto"], False, "float32"),
        (["hardware=gpu"], True, "bf16"),
        (["hardware=gpu"], False, "float32"),
        (["hardware=gpu", "hardware.precision=float32"], True, "float32"),
        (["hardware=gpu", "hardware.precision=fp16"], False, "fp16"),
    ],
)
def test_a_gpu_is_used_in_bf16_if_it_supports_that(arguments, bf16, precision, gpu):
    gpu(bf16=bf16)
    found = find_device(compose(arguments).hardware)
    assert (found.torch_device, found.precision, found.name) == (GPU, precision, "GPU 0")
    assert not found.is_cpu
    assert found.accelerate_precision == {"float32": "no"}.get(precision, precision)


def test_the_cpu_is_used_on_request_beside_a_gpu(gpu):
    found = find_device(compose(["hardware=cpu"]).hardware)
    assert found.is_cpu
    assert found.precision == "float32"


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_fp16_is_refused_for_t5_before_the_corpus_is_read(command, gpu, call_bisum):
    done = call_bisum(command, "hardware=gpu", "hardware.precision=fp16", "hydra.run.dir=run", "tracker=none")
    assert done.code == 2
    assert done.err == (
        "bisum: hardware.precision: T5-family activations overflow fp16 and the loss becomes NaN; use bf16 or float32\n"
    )


def test_ctranslate2_is_refused_on_a_gpu():
    options = compose(["generation.engine=ctranslate2"]).generation
    assert isinstance(options, GenerationOptions)
    with pytest.raises(UserError, match=r"supported on a CPU, not on cuda; use generation\.engine="):
        check_engine(options, "cuda", "float32")


def test_4_bit_weights_are_allowed_on_an_nvidia_gpu_only(monkeypatch):
    check_quantization(GPU, trains=True)
    options = quantized(GPU, "bf16")
    assert options["device_map"] == {"": GPU}
    assert options["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16
    monkeypatch.setattr(torch.version, "hip", "6.0")  # AMD
    with pytest.raises(UserError, match="needs an NVIDIA GPU"):
        check_quantization(GPU, trains=True)


@pytest.mark.parametrize(
    ("arguments", "workers", "pinned"),
    [
        (["hardware=gpu"], 2, True),
        (["hardware=auto"], 0, True),
        (["hardware=gpu", "hardware.pin_memory=false"], 2, False),
        (["hardware=cpu"], 0, False),
        (["hardware=cpu", "hardware.pin_memory=true"], 0, False),
        (["hardware=tpu", "hardware.pin_memory=true"], 0, False),
    ],
)
def test_batches_are_pinned_for_a_gpu_only(arguments, workers, pinned, gpu):
    lengths = SimpleNamespace(lengths=torch.ones(8, dtype=torch.long).numpy())
    split = SimpleNamespace(documents=lengths, labels=lengths)
    loader = TrainingLoader(split, None, 2, 0, compose(arguments).hardware)
    assert (loader.num_workers, loader.pin_memory) == (workers, pinned)


@pytest.mark.parametrize(("name", "type_"), [("auto", "cuda"), ("gpu", "cuda"), ("cpu", "cpu")])
def test_the_encoder_of_a_metric_uses_a_gpu(name, type_, gpu):
    assert torch_device(name).type == type_


def test_a_gpu_is_freed_between_jobs(gpu, monkeypatch):
    freed = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    release_memory()
    assert freed


@pytest.mark.parametrize(
    ("visible", "found"), [(None, ["0", "1", "2"]), ("5, 7,9", ["5", "7", "9"]), ("4,5,6,7", ["4", "5", "6"])]
)
def test_gpus_of_a_sweep_are_counted_by_torch(visible, found, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 3\n", encoding="ascii")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(machine, "_DRIVERS", [str(tmp_path)])
    monkeypatch.setattr(machine.sys, "executable", str(python))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    job = SimpleNamespace(config=compose(["hardware=auto"]))
    assert machine.visible_gpus([job]) == found
    on_cpu = SimpleNamespace(config=replace(job.config, hardware=compose(["hardware=cpu"]).hardware))
    assert machine.visible_gpus([on_cpu]) == []


def test_a_profile_on_a_gpu_counts_the_time_of_kernels():
    def event(name, cpu, device, kind=torch.autograd.DeviceType.CPU):
        return SimpleNamespace(
            key=name,
            device_type=kind,
            self_cpu_time_total=cpu,
            self_device_time_total=device,
            cpu_time_total=cpu,
            count=4,
        )

    events = [event("aten::mm", 10.0, 400.0), event("aten::add", 90.0, 100.0), event("aten::view", 50.0, 0.0)]
    events.append(event("gemm", 0.0, 400.0, torch.autograd.DeviceType.CUDA))
    operators, _ = _operators(events, 2, on_gpu=True)
    assert [(one.name, one.seconds) for one in operators] == [("aten::mm", 200e-6), ("aten::add", 50e-6)]
