"""The memory of a forward and a backward pass, counted on torch's meta device, where tensors have no values."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LOW: set[Any] = {
    functional.linear,
    torch.matmul,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.bmm,
    torch.baddbmm,
}
_HIGH: set[Any] = {functional.softmax, functional.layer_norm, functional.cross_entropy, torch.pow, torch.Tensor.pow}
"""Functions that autocast computes in half precision, and in float32; the others keep the type of their inputs."""
_QUESTIONS: set[Any] = {torch.Tensor.__bool__, torch.Tensor.item, torch.Tensor.__int__, torch.Tensor.__float__}


def step_memory(
    model: PreTrainedModel,
    batch: Mapping[str, torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    device: str,
    precision: str,
    trains: bool = True,
    checkpointing: bool = False,
    accumulates: bool = False,
) -> int:
    """Return the bytes that a model needs at the peak of a pass over a batch, beside its weights.

    Every operation runs on the meta device, and the memory of the tensors that exist at once is added up. If `trains`,
    the pass computes the gradients, which are part of the result.

    Args:
        model: the model; it and its weights stay as they are, and can be on the meta device.
        batch: the model's arguments and `labels`; only their shapes and types matter.
        loss: returns the loss for logits and labels.
        device: type of the device to count for, `cpu` or `cuda`, whose attention needs different memory.
        precision: number format of the forward pass: float32, bf16 or fp16.
        trains: whether to count a training step; false: a forward pass without gradients.
        checkpointing: whether the training step recomputes activations.
        accumulates: whether the gradients of an earlier pass exist.

    Raises:
        Exception: the model does not run on the meta device, such as one with 4-bit weights.
    """
    modes, step = {module: module.training for module in model.modules()}, _Step(model, loss)
    tensors: dict[str, torch.Tensor] = {
        **{f"model.{name}": _meta(tensor) for name, tensor in model.named_buffers()},
        **{f"model.{name}": _meta(tensor) for name, tensor in model.named_parameters()},
    }
    inputs = {name: _meta(tensor) for name, tensor in batch.items()}
    tracker = _Tracker([*tensors.values(), *inputs.values()])
    model.train(trains)
    without_values = partial(_WithoutValues, device, _HALF.get(precision))
    try:
        if checkpointing and trains:  # the engine of autograd disables `_WithoutValues`
            settings = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), without_values())}
            model.gradient_checkpointing_enable(settings)
        with torch.set_grad_enabled(trains), without_values(), tracker:
            if accumulates:
                for tensor in tensors.values():
                    tensor.grad = torch.empty_like(tensor) if tensor.requires_grad else None
            torch.func.functional_call(step, tensors, (inputs, trains))
    finally:
        if checkpointing and trains:
            model.gradient_checkpointing_disable()
        for module, mode in modes.items():
            module.training = mode
    return tracker.peak


class _Step(nn.Module):
    """A pass over a batch; one call, so that recomputed activations use the same weights."""

    def __init__(self, model: PreTrainedModel, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, inputs: dict[str, torch.Tensor], trains: bool) -> None:
        labels = inputs.pop("labels")
        logits = self.model(**inputs).logits
        loss = self.loss(logits, labels)
        if trains:
            torch.autograd.backward(loss)


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The bytes of all tensors that operations have created and that still exist."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._bytes = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._storages: dict[int, weakref.ref[Any]] = {}
        self._layouts: dict[Any, tuple[Any, ...]] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self._run(operation, args, kwargs or {})
        for tensor in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _run(self, operation: Any, args: Any, kwargs: Any) -> Any:
        """Return an operation's result; layers repeat, and many operations of the meta device are slow."""
        returns = operation._schema.returns
        if len(returns) != 1 or returns[0].alias_info is not None:
            return operation(*args, **kwargs)
        key = (operation, _described(args), _described(tuple(kwargs.items())))
        if (layout := self._layouts.get(key)) is not None:
            return torch.empty_strided(*layout[:2], dtype=layout[2], device="meta")
        result = operation(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.is_meta:
            self._layouts[key] = (result.shape, result.stride(), result.dtype)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in self._storages:
            return

        def freed(_: Any) -> None:
            del self._storages[key]
            self._bytes -= size

        self._storages[key] = weakref.ref(storage, freed)
        self._bytes += size
        self.peak = max(self.peak, self._bytes)


def _described(value: Any) -> Any:
    """Return what the layout of an operation's result depends on, for one of its arguments; it can be hashed."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.device.type
    return tuple(map(_described, value)) if isinstance(value, list | tuple) else (type(value), value)


class _WithoutValues(TorchFunctionMode):
    """What the meta device lacks: answers to questions about values, autocast and the device's own attention."""

    def __init__(self, device: str, half: torch.dtype | None) -> None:
        super().__init__()
        self._device, self._half = device, half
        self._weights: dict[int, torch.Tensor] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in _QUESTIONS and args[0].is_meta:  # as for a mask: not all documents are of one length
            return False if function is torch.Tensor.__bool__ else 0
        if self._half is not None and function in _LOW | {functional.scaled_dot_product_attention}:
            args, kwargs = ([self._lower(value) for value in args], {k: self._lower(v) for k, v in kwargs.items()})
        elif self._half is not None and function in _HIGH:
            args = [_as(value, torch.float32) for value in args]
        if function is functional.scaled_dot_product_attention and self._is_fused(*args, **kwargs):
            return _fused(*args, **kwargs)
        return function(*args, **kwargs)

    def _lower(self, value: Any) -> Any:
        """Return a float32 tensor in half precision; weights are converted once."""
        if not isinstance(value, nn.Parameter):
            return _as(value, self._half)
        if id(value) not in self._weights:
            self._weights[id(value)] = _as(value, self._half)
        return self._weights[id(value)]

    def _is_fused(
        self,
        query: Any,  # noqa: ARG002
        key: Any,  # noqa: ARG002
        value: Any,  # noqa: ARG002
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        **_: Any,
    ) -> bool:
        """Return whether the device's attention keeps no matrix of weights; a CPU's needs one for dropout."""
        return self._device != "cpu" or (dropout_p == 0 and not getattr(attn_mask, "requires_grad", False))


def _fused(query: Any, key: Any, value: Any, attn_mask: Any = None, *_: Any, **__: Any) -> Any:
    if attn_mask is not None:  # the kernel's gradient has its full shape
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    return _Fused.apply(query, key, value, attn_mask)  # type: ignore[no-untyped-call]


class _Fused(torch.autograd.Function):
    """Attention that keeps its inputs, its output and a number per row, as FlashAttention does (Dao et al. 2022)."""

    @staticmethod
    def forward(
        context: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        output = query.new_empty((*query.shape[:-1], value.shape[-1]))
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        context.save_for_backward(query, key, value, mask, output, sums)
        return output

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ARG004
        *inputs, mask = context.saved_tensors[:4]
        bias = mask.new_empty(mask.shape) if context.needs_input_grad[3] else None
        return (*(torch.empty_like(tensor) for tensor in inputs), bias)


def _as(value: Any, dtype: torch.dtype | None) -> Any:
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same shape and type without values."""
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
