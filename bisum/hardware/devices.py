"""From the hardware a configuration asks for to the device that is there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from bisum.errors import UserError
from bisum.hardware.options import HardwareOptions

MIXED_PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}
"""Accelerate's name of each precision."""


@dataclass(frozen=True)
class Device:
    """One device and the number format of its forward pass."""

    torch_device: torch.device
    precision: str
    """float32, bf16 or fp16."""
    name: str
    """What a person would call it, such as 'cpu (2 cores)'."""

    @property
    def is_cpu(self) -> bool:
        """Whether this is the CPU."""
        return self.torch_device.type == "cpu"


def find_device(options: HardwareOptions) -> Device:
    """Return the device that `options` ask for.

    Raises:
        UserError: the device is not there, or cannot compute in the precision; the line names what was found.
    """
    cpu = f"cpu ({os.cpu_count()} cores)"
    if options.device == "tpu":
        return _find_tpu(options, cpu)
    if options.device == "gpu" and not torch.cuda.is_available():
        raise UserError(
            f"hardware.device: no GPU that torch {torch.__version__} can use was found (found: {cpu}); "
            "choose hardware=cpu, or install a torch built for the GPU"
        )
    if options.device in ("auto", "gpu") and torch.cuda.is_available():
        precision = options.precision
        if precision == "auto":
            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        return Device(torch.device("cuda", 0), precision, torch.cuda.get_device_name(0))
    if options.precision == "fp16":
        raise UserError("hardware.precision: fp16 needs a GPU; on a CPU choose float32 or bf16")
    return Device(torch.device("cpu"), "float32" if options.precision == "auto" else options.precision, cpu)


def _find_tpu(options: HardwareOptions, cpu: str) -> Device:
    if find_spec("torch_xla") is None:
        raise UserError(f"hardware.device: a TPU needs the package torch_xla, which is not installed (found: {cpu})")
    import torch_xla

    try:
        device = torch_xla.device()
    except RuntimeError as error:
        raise UserError(f"hardware.device: torch_xla found no TPU (found: {cpu}): {error}") from error
    if options.precision == "fp16":
        raise UserError("hardware.precision: a TPU has no fp16; choose bf16 or float32")
    return Device(device, "bf16" if options.precision == "auto" else options.precision, "tpu")
