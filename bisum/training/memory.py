"""The memory that training will need, estimated before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel
from transformers.optimization import Adafactor

from bisum.batches.shapes import Shapes
from bisum.batches.tokenization import EncodedSplit
from bisum.hardware.devices import Device
from bisum.interfaces.family import Family
from bisum.interfaces.trainer import Trainer
from bisum.models.activations import step_memory
from bisum.models.loss import token_loss
from bisum.training.optimization import build_optimizer, state_shapes, updated_weights

_BYTES_4BIT = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a weight in NF4 with double quantization, its constants included (Dettmers et al. 2023, section 3)."""


@dataclass(frozen=True)
class BatchShape:
    """The number of rows of a batch, and the lengths to which they are padded."""

    rows: int
    document: int
    """Tokens of its longest document."""
    summary: int
    """Labels of its longest summary."""


@dataclass(frozen=True)
class Memory:
    """The memory at the peak of training, in bytes, by what it is for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """What the operations on a batch need beside the others."""
    process: int
    """What the process uses beside the model: libraries and rows on a CPU."""

    @property
    def fixed(self) -> int:
        """The bytes that do not depend on the batches."""
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> int:
        """The bytes of all parts."""
        return self.fixed + self.activations + self.process


def estimate_memory(
    model: PreTrainedModel,
    family: Family,
    settings: Trainer,
    device: Device,
    batches: tuple[Sequence[BatchShape], Sequence[BatchShape]] | None,
    *,
    optimizer: Optimizer | None = None,
    process: int = 0,
    quantized: bool = False,
) -> Memory:
    """Return the memory that training a model needs.

    Args:
        model: the model, which can be on the meta device, with the weights to train marked by `requires_grad`.
        family: makes the model's arguments.
        settings: the optimizer, the loss and the handling of gradients.
        device: the device of the run.
        batches: the batches of training and of evaluation that could need most memory; None: count no activations.
        optimizer: the optimizer of the model; None: it is not built yet.
        process: bytes that the process uses beside the model.
        quantized: whether the frozen linear layers of a model on the meta device will be stored in 4 bits.

    Raises:
        Exception: the model does not run on the meta device.
    """
    optimizer = optimizer or build_optimizer(model, settings)
    trained = updated_weights(optimizer)
    gradients = sum(map(_bytes, trained))
    peak = gradients + _step_bytes(optimizer, device, trained)
    if batches is not None:
        peak = max(peak, _activation_bytes(model, family, settings, device, *batches))
    return Memory(
        weights=_weight_bytes(model, quantized=quantized),
        gradients=gradients,
        optimizer=optimizer_bytes(optimizer, settings),
        activations=peak - gradients,
        process=process,
    )


def _activation_bytes(
    model: PreTrainedModel,
    family: Family,
    settings: Trainer,
    device: Device,
    training: Sequence[BatchShape],
    evaluation: Sequence[BatchShape],
) -> int:
    """Return the bytes at the peak of a pass over a batch, its gradients included."""
    count = partial(step_memory, model, device=device.torch_device.type, precision=device.precision)
    loss = partial(token_loss, tokens=1, label_smoothing=settings.label_smoothing)
    steps = [
        count(
            _batch(model, family, lengths),
            loss,
            checkpointing=settings.gradient_checkpointing,
            accumulates=settings.gradient_accumulation > 1,
        )
        for lengths in training
    ]
    loss = partial(token_loss, tokens=1)
    passes = [count(_batch(model, family, lengths), loss, trains=False) for lengths in evaluation]
    return max(*steps, *passes)


def optimizer_bytes(optimizer: Optimizer, settings: Trainer) -> int:
    """Return the bytes of the state that an optimizer keeps after its first step, and of the average of the weights."""
    weights = updated_weights(optimizer)
    average = 0 if settings.average is None else sum(map(_bytes, weights))
    return average + sum(
        weight.element_size() * sum(shape.numel() for shape in state_shapes(optimizer, weight).values())
        for weight in weights
    )


def _step_bytes(optimizer: Optimizer, device: Device, trained: list[torch.Tensor]) -> int:
    """Return the bytes of intermediate results in an optimizer step."""
    if isinstance(optimizer, Adafactor):  # the squared gradient and the update, one weight at a time
        return 2 * max(map(_bytes, trained))
    return 0 if device.is_cpu else sum(map(_bytes, trained))  # AdamW is fused on a CPU, and goes by lists elsewhere


def _weight_bytes(model: PreTrainedModel, *, quantized: bool) -> int:
    """Return the bytes of a model's weights and buffers; those of frozen linear layers can be 4-bit."""
    head = model.get_output_embeddings()
    linear = (layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not head)
    small = {id(layer.weight): layer.weight for layer in linear if quantized and not layer.weight.requires_grad}
    tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return sum(int(tensor.numel() * _BYTES_4BIT) if at in small else _bytes(tensor) for at, tensor in tensors.items())


def _batch(model: PreTrainedModel, family: Family, lengths: BatchShape) -> Mapping[str, torch.Tensor]:
    """Return a batch of a shape, of arbitrary tokens."""
    documents = torch.ones((lengths.rows, lengths.document), dtype=torch.int64)
    labels = torch.ones((lengths.rows, lengths.summary), dtype=torch.int64)
    return {"labels": labels, **family.model_inputs(model.config, documents, torch.ones_like(documents), labels, 0)}


def largest_batch(split: EncodedSplit, rows: int, shapes: Shapes | None) -> BatchShape:
    """Return the shape of the largest possible batch of a split with at most `rows` rows."""
    document, summary = int(split.documents.lengths.max()), int(split.labels.lengths.max())
    if shapes is not None:
        return BatchShape(rows, shapes.document_length(document), shapes.summary_length)
    return BatchShape(min(rows, len(split)), document, summary)


def largest_batch_candidates(split: EncodedSplit, batches: Iterable[Sequence[int]]) -> list[BatchShape]:
    """Return the batches of an epoch that need most memory, for attention and for the softmax, if their rows vary."""
    documents, summaries = split.documents.lengths, split.labels.lengths
    found = [BatchShape(len(rows), int(documents[rows].max()), int(summaries[rows].max())) for rows in batches]
    attention = max(found, key=lambda batch: batch.rows * batch.document**2)
    softmax = max(found, key=lambda batch: batch.rows * batch.summary)
    return [attention] if attention == softmax else [attention, softmax]


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
