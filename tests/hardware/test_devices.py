"""Unavailable devices and unsupported number formats are refused in one line."""

import importlib.util
import os

import pytest
import torch

from bisum import compose
from bisum.errors import UserError
from bisum.hardware.devices import find_device

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is available")
no_xla = pytest.mark.skipif(importlib.util.find_spec("torch_xla") is not None, reason="torch_xla is installed")


def device(*arguments):
    return find_device(compose(arguments).hardware)


@pytest.mark.parametrize(
    ("arguments", "precision"),
    [
        (["hardware=cpu"], "float32"),
        (["hardware=cpu", "hardware.precision=bf16"], "bf16"),
        pytest.param(["hardware=auto"], "float32", marks=no_gpu),
    ],
)
def test_cpu_is_found(arguments, precision):
    found = device(*arguments)
    assert found.torch_device == torch.device("cpu")
    assert found.is_cpu
    assert found.precision == precision
    assert f"{os.cpu_count()} cores" in found.name


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        pytest.param(["hardware=gpu"], ["hardware", "no usable GPU", "found: cpu"], marks=no_gpu),
        pytest.param(["hardware=tpu"], ["hardware", "torch_xla", "found: cpu"], marks=no_xla),
        (["hardware=cpu", "hardware.precision=fp16"], ["hardware.precision", "fp16", "GPU", "bf16"]),
        pytest.param(["hardware=auto", "hardware.precision=fp16"], ["hardware.precision", "fp16"], marks=no_gpu),
    ],
)
def test_unavailable_device_or_precision_is_refused(arguments, needles):
    with pytest.raises(UserError) as raised:
        device(*arguments)
    assert "\n" not in str(raised.value)
    assert all(needle in str(raised.value) for needle in needles)


@no_gpu
def test_unavailable_device_ends_with_exit_code_2(tmp_path, call_bisum):
    done = call_bisum("hardware=gpu", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "found: cpu" in done.err
