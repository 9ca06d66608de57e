"""Selection of the configured device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from bisum.config.options import PJRT_DEVICE, HardwareOptions
from bisum.errors import UserError
from bisum.hardware.detection import cpu_name

_ACCELERATE_PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class Device:
    """A device and the number format of its forward pass."""

    torch_device: torch.device
    precision: str
    """float32, bf16 or fp16."""
    name: str
    """Display name, such as 'cpu (2 cores)'."""

    @property
    def is_cpu(self) -> bool:
        """Whether this is the CPU."""
        return self.torch_device.type == "cpu"

    @property
    def is_xla(self) -> bool:
        """Whether torch_xla compiles programs for this device."""
        return self.torch_device.type == "xla"

    @property
    def accelerate_precision(self) -> str:
        """Accelerate's `mixed_precision`; `no` on XLA, where Accelerate would also convert the weights to bf16."""
        return "no" if self.is_xla else _ACCELERATE_PRECISION[self.precision]

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for a forward pass in training, in addition to `accelerate_precision`."""
        if self.is_xla and self.precision == "bf16":
            return torch.autocast("xla", torch.bfloat16)
        return nullcontext()


def find_device(options: HardwareOptions) -> Device:
    """Return the device configured by `options`.

    Raises:
        UserError: the device is unavailable, or does not support the precision; the message lists the devices found.
    """
    cpu = cpu_name()
    if options.device == "tpu":
        return _find_tpu(options, cpu)
    if _accelerate_uses_xla():
        raise UserError(
            f"hardware.device: torch_xla is installed, so accelerate would not use the {options.device}; "
            "choose hardware=tpu, or set USE_TORCH_XLA=0 in the environment"
        )
    if options.device == "gpu" and not torch.cuda.is_available():
        raise UserError(
            f"hardware.device: torch {torch.__version__} found no usable GPU (found: {cpu}); "
            "choose hardware=cpu, or install a build of torch for the GPU"
        )
    if options.device in ("auto", "gpu") and torch.cuda.is_available():
        precision = options.precision
        if precision == "auto":
            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        return Device(torch.device("cuda", 0), precision, torch.cuda.get_device_name(0))
    if options.precision == "fp16":
        raise UserError("hardware.precision: fp16 needs a GPU; on a CPU choose float32 or bf16")
    return Device(torch.device("cpu"), "float32" if options.precision == "auto" else options.precision, cpu)


def _accelerate_uses_xla() -> bool:
    from accelerate.utils import is_torch_xla_available

    return bool(is_torch_xla_available())


def _find_tpu(options: HardwareOptions, cpu: str) -> Device:
    if options.precision == "fp16":
        raise UserError("hardware.precision: TPUs do not support fp16; choose bf16 or float32")
    if find_spec("torch_xla") is None:
        raise UserError(
            f"hardware.device: a TPU needs torch_xla, which is not installed (found: {cpu}): "
            "pip install torch==2.9.0 'torch_xla[tpu]==2.9.0'"
        )
    if not _accelerate_uses_xla():
        raise UserError("hardware.device: USE_TORCH_XLA in the environment disables the TPU; unset it")
    import torch_xla

    try:
        device, kind = torch_xla.device(), str(torch_xla.runtime.device_type())
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"hardware.device: torch_xla found no TPU (found: {cpu}): {reason}") from error
    if kind != "TPU" and PJRT_DEVICE is None:
        raise UserError(
            f"hardware.device: torch_xla found no TPU (found: {cpu}); "
            "to emulate a TPU on the CPU, set PJRT_DEVICE=CPU in the environment"
        )
    precision = ("bf16" if kind == "TPU" else "float32") if options.precision == "auto" else options.precision
    return Device(device, precision, "tpu" if kind == "TPU" else f"XLA on {cpu if kind == 'CPU' else kind}")
