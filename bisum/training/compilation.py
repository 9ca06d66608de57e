"""Compilation of the training step with torch.compile (Ansel et al. 2024, https://doi.org/10.1145/3620665.3640366)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch.fx.experimental import _config as _shapes
from transformers import PreTrainedModel

from bisum.errors import UserError
from bisum.hardware.devices import Device

_MAX_PROGRAMS = 1024
"""Above the largest number of programs, one for each length that `hardware.length_buckets` allows. Beyond torch's own
limit, which is lower, a model would run uncompiled."""


def check_compiler(device: Device) -> None:
    """Compile and run an operation on a device.

    Raises:
        UserError: torch cannot compile for the device.
    """
    if device.is_xla:
        raise UserError("trainer.compile: XLA compiles all programs of a TPU already; set it to false")
    try:
        is_compiled = torch.compile(_is_compiled)(torch.zeros((), device=device.torch_device))
    except Exception as error:  # torch's, the compiler's and the operating system's
        raise UserError(
            f"trainer.compile: torch cannot compile for {device.name}: {_reason(error)}; it needs a C++ compiler and "
            "Python's header files: install them, or set trainer.compile=false"
        ) from error
    if not is_compiled:
        raise UserError(
            "trainer.compile: a variable of the environment disables torch.compile or hides its errors; unset "
            "TORCHDYNAMO_DISABLE, TORCH_COMPILE_DISABLE and TORCHDYNAMO_SUPPRESS_ERRORS"
        )


def _reason(error: Exception) -> str:
    """Return the compiler's first error of a message that also contains its command and its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if "error: " in line), lines[0])


def _is_compiled(zero: torch.Tensor) -> torch.Tensor:
    return zero + int(torch.compiler.is_compiling())


def describe_compilation(fixed_shapes: bool) -> str:
    """Return a line about when the model is compiled, during which nothing else is shown."""
    when = "first step of each batch length" if fixed_shapes else "first steps"
    return f"the {when} will compile the model, which takes a minute or more"


@contextmanager
def compiled(model: PreTrainedModel, fixed_shapes: bool) -> Iterator[None]:
    """Compile a model's forward and backward pass during the block, and use the compiled program in training mode.

    There is a program for each shape of a batch if shapes are fixed, otherwise one for all shapes; torch compiles
    further ones for sizes of 1 and for sums over more than 4,096 numbers. Which program a batch uses never depends on
    the batches before it, and its operations are deterministic on a CPU, so a resumed run has the same numbers there.

    Raises:
        RuntimeError: torch cannot compile the model.
    """
    forward, was_deterministic = model.forward, torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    program = torch.compile(forward, dynamic=not fixed_shapes)

    @wraps(forward)
    def choose(*args: Any, **inputs: Any) -> Any:
        return (program if model.training else forward)(*args, **inputs)

    model.forward = choose
    if model.device.type == "cpu":  # otherwise, its threads add up an embedding's gradient in any order
        torch.use_deterministic_algorithms(True)
    limits = {"recompile_limit": _MAX_PROGRAMS, "accumulated_recompile_limit": _MAX_PROGRAMS}
    try:
        # Duck shapes let a program assume that sizes are equal where they were in its first batch.
        with torch._dynamo.config.patch(limits), _shapes.patch(use_duck_shape=False):  # type: ignore[attr-defined] # torch adds it
            yield
    except torch._dynamo.exc.TorchDynamoException as error:
        raise RuntimeError(f"trainer.compile: {_reason(error)}; set trainer.compile=false") from error
    finally:
        torch.use_deterministic_algorithms(was_deterministic, warn_only=warned_only)
        del model.forward
        torch.compiler.reset()
