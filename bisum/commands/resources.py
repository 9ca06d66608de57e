"""Reports of what training takes: memory and disk space, before it takes them and after."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch
from huggingface_hub import constants

from bisum.batches.shapes import Shapes
from bisum.batches.tokenization import EncodedSplit
from bisum.commands.vocabulary import trims
from bisum.config.schema import Config
from bisum.display.resources import narrate_disk, narrate_download, narrate_memory, narrate_used
from bisum.errors import either, one_line
from bisum.hardware.devices import Device
from bisum.hardware.memory import available_memory, memory_of, peak_memory, used_memory
from bisum.models.unloaded import CheckedModel
from bisum.records.run import Run
from bisum.training.disk_space import checkpoints_at_once, saves_before_rows
from bisum.training.memory import BatchShape, Memory, estimate_memory, largest_batch, largest_batch_candidates
from bisum.training.session import Session

_logger = logging.getLogger(__name__)


def report_before_download(config: Config, run: Run, device: Device, checked: CheckedModel) -> None:
    """Report what training takes if the model's weights are not downloaded yet.

    The vocabulary that trimming leaves is unknown before the rows are read, so nothing is reported about it.
    """
    model, family, settings = checked.model, checked.reader.family, config.trainer
    if checked.is_local or model is None or device.is_xla or trims(config, None):
        return
    quantized = config.adapter.quantization is not None
    try:
        fixed = estimate_memory(model, family, settings, device, None, quantized=quantized)
    except Exception as error:  # an estimate must not end a run
        _logger.debug("no estimate of memory: %s", one_line(error))
        return
    longest, summary = config.model.max_document_tokens, config.model.max_summary_tokens + family.forced_tokens
    most = None
    if settings.tokens_per_batch is None:  # otherwise, the lengths of the rows decide how many are in a batch
        training, evaluation = (
            [BatchShape(rows, longest, summary)] for rows in (settings.batch_size, config.evaluation.batch_size)
        )
        try:
            batches = (training, evaluation)
            most = estimate_memory(model, family, settings, device, batches, quantized=quantized).total
        except Exception as error:  # a model without activations on the meta device
            _logger.debug("no estimate of activations: %s", one_line(error))
    narrate_download(
        run.screen,
        str(config.model.checkpoint),
        model.num_parameters(),
        (fixed.fixed, most),
        available_memory(device.torch_device),
        f"{settings.batch_size} documents of {longest} tokens",
    )
    _report_disk(config, run, checked, fixed)


def _report_disk(config: Config, run: Run, checked: CheckedModel, fixed: Memory) -> None:
    """Warn if a disk lacks space for the download or for the checkpoints."""
    model, settings = checked.model, config.trainer
    assert model is not None
    stored = checked.reader.config.dtype
    cache = _existing(Path(constants.HF_HUB_CACHE))
    parameters = model.num_parameters() - (fixed.gradients // 4 if config.adapter.needs_checkpoint else 0)  # the base's
    download = parameters * (stored.itemsize if isinstance(stored, torch.dtype) else 4)
    narrate_disk(run.screen, "the weights to download need", download, shutil.disk_usage(cache).free, str(cache))
    if (saves := saves_before_rows(settings)) is None:
        return
    count = checkpoints_at_once(settings, saves)
    weights = fixed.gradients if config.adapter.needs_checkpoint else fixed.weights
    merged = 4 * parameters if config.adapter.merges else 0  # in float32, even if training stores 4 bits
    free = shutil.disk_usage(run.directory).free
    needed = count * (weights + fixed.optimizer) + merged
    what = "1 checkpoint needs" if count == 1 else f"{count} checkpoints need"
    narrate_disk(run.screen, what, needed, free, str(run.shown))


def _advice(config: Config, memory: Memory) -> str:
    """Return which settings lower what needs the most memory, apart from those in use."""
    settings = config.trainer
    if 2 * memory.activations < memory.total:
        ways = {
            "adapter=lora": config.model.checkpoint is not None and not config.adapter.needs_checkpoint,
            "trainer.optimizer=adafactor": settings.optimizer == "adamw",
            "model.trim_vocabulary=true": not config.model.trim_vocabulary,
        }
        always = "use a smaller model"
    else:
        by_tokens = settings.tokens_per_batch is not None
        ways = {
            "trainer.gradient_checkpointing=true": not settings.gradient_checkpointing,
            "trainer.tokens_per_batch=N": not by_tokens,
        }
        size = "trainer.tokens_per_batch" if by_tokens else "trainer.batch_size"
        always = f"lower {size}, evaluation.batch_size or model.max_document_tokens"
    unused = [way for way, is_unused in ways.items() if is_unused]
    return f"{always}, or set {either(unused)}" if unused else always


def report_before_training(
    config: Config,
    run: Run,
    session: Session,
    checked: CheckedModel,
    splits: Mapping[str, EncodedSplit],
    shapes: Shapes | None,
) -> None:
    """Report the memory that training will need, and record it."""
    device, loaded = session.device, session.loaded
    if device.torch_device.type not in ("cpu", "cuda"):
        return
    if not device.is_cpu:
        torch.cuda.reset_peak_memory_stats(device.torch_device)
    if config.trainer.tokens_per_batch is None:
        trained = [largest_batch(splits["train"], config.trainer.batch_size, shapes)]
    else:
        assert session.batches.batch_sampler is not None
        trained = largest_batch_candidates(splits["train"], session.batches.batch_sampler)
    rows = config.evaluation.batch_size
    evaluated = [largest_batch(splits[name], rows, shapes) for name in ("validation", "test")]
    used = used_memory(device.torch_device)
    if used is None:
        run.screen.log("memory: what the process uses is unknown on this system; the estimate leaves it out")
    state = (value for values in session.optimizer.state.values() for value in values.values())  # of a resumed run
    averages = [] if session.average is None else session.average.tensors
    own = chain(loaded.model.parameters(), loaded.model.buffers(), filter(torch.is_tensor, state), averages)
    model, quantized = loaded.model, loaded.base is not None and loaded.base.quantize is not None
    if quantized and checked.model is not None:  # operations on 4-bit weights do not run on the meta device
        model = checked.model
    try:
        memory = estimate_memory(
            model,
            loaded.family,
            config.trainer,
            device,
            (trained, evaluated),
            optimizer=session.optimizer,
            process=0 if used is None else max(0, used - memory_of(own)),
            quantized=quantized,
        )
    except Exception as error:  # an estimate must not end a run
        run.screen.log(f"no estimate of memory: {one_line(error)}")
        return
    run.update(estimate={"memory": memory.total, **asdict(memory)})
    available = available_memory(device.torch_device)
    narrate_memory(
        run.screen,
        asdict(memory),
        None if available is None else available + (used or 0),
        None if device.is_cpu else device.name,
        _advice(config, memory),
    )


def report_used(run: Run, device: Device) -> None:
    """Report the memory that training used beside the estimate, and record that of a GPU; not on a TPU."""
    if device.torch_device.type not in ("cpu", "cuda"):
        return
    used = peak_memory(device.torch_device)
    if device.torch_device.type == "cuda":
        run.update(peak_gpu_memory=used)
    narrate_used(run.screen, (run.record.get("estimate") or {}).get("memory"), used)


def _existing(folder: Path) -> Path:
    """Return the folder, or the one that will contain it."""
    return next(path for path in (folder, *folder.parents) if path.exists())
