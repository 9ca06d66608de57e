"""Profiling of training steps with torch's profiler."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from bisum.display.profile_table import Operator, narrate_profile_table
from bisum.display.quiet import captured_stderr
from bisum.records.run import Run
from bisum.runs.profile import TRACE
from bisum.training.watcher import Watcher

if TYPE_CHECKING:
    from torch.autograd.profiler_util import FunctionEventAvg

WARMUP = 3
"""Steps before the recorded ones: the first steps allocate memory and choose kernels."""
_STEP = "ProfilerStep"


class Profile(Watcher):
    """Records a few steps, writes their trace and shows the most expensive operators.

    A recorded step ends with the optimizer's update; evaluations and checkpoints are not recorded.
    """

    def __init__(self, run: Run, steps: int, device: torch.device) -> None:
        """Record up to `steps` steps of a run on `device`, after `WARMUP` steps."""
        self._run = run
        self._steps = steps
        self._device = device
        self._profiler: profile | None = None
        self._begun = 0

    def begin(self, step: int, total_steps: int) -> None:
        """Choose the steps to record: at least one, after at least one warmup step if possible."""
        left = total_steps - step
        if left <= 0:
            return
        self._warmup = min(WARMUP, left - 1)
        recorded = min(self._steps, left - self._warmup)
        if (self._warmup, recorded) != (WARMUP, self._steps):
            self._run.screen.note(
                f"profile: {_count(left)} left, too few for {WARMUP} warmup and {self._steps} recorded steps "
                f"(debug.profile_steps); using {self._warmup} for warmup and {recorded} for recording"
            )
        self._last = self._warmup + recorded
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._device.type == "cuda" else [])]
        stages = schedule(wait=max(self._warmup - 1, 0), warmup=min(self._warmup, 1), active=recorded, repeat=1)
        self._profiler = profile(activities=activities, schedule=stages)

    def begin_step(self) -> None:
        """See `Watcher.begin_step`."""
        if self._profiler is not None:
            with captured_stderr(self._run.screen.log):  # kineto writes to stderr when recording begins
                self._profiler.step() if self._begun else self._profiler.start()
            self._begun += 1

    def end_step(self, step: int, loss: torch.Tensor) -> str | None:  # noqa: ARG002 - only the number of steps counts
        """See `Watcher.end_step`."""
        if self._profiler is not None and self._begun == self._last:
            self._finish()
        return None

    def pause(self) -> None:
        """See `Watcher.pause`."""
        if self._profiler is not None and self._begun > self._warmup:
            self._finish()

    def close(self) -> None:
        """See `Watcher.close`."""
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        if self._begun:
            with captured_stderr(self._run.screen.log):
                profiler.stop()
        self._run.screen.warn("profile: training ended before a step was recorded")

    def _finish(self) -> None:
        """Stop recording, write the trace and show the table."""
        profiler, self._profiler = self._profiler, None
        assert profiler is not None
        with captured_stderr(self._run.screen.log):
            profiler.stop()
            _write(profiler, self._run.directory / TRACE)
        steps = self._begun - self._warmup
        on_gpu = self._device.type == "cuda"
        operators, seconds = _operators(profiler.key_averages(), steps, on_gpu=on_gpu)
        device, trace = "GPU" if on_gpu else "CPU", self._run.shown / TRACE
        narrate_profile_table(self._run.screen, operators, steps, seconds, device, trace)
        if self._device.type == "xla":
            self._run.screen.note("profile: only the CPU is recorded, not the XLA device")


def _write(profiler: profile, path: Path) -> None:
    """Write the trace atomically."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    profiler.export_chrome_trace(str(partial))
    partial.replace(path)


def _operators(events: Iterable[FunctionEventAvg], steps: int, *, on_gpu: bool) -> tuple[list[Operator], float]:
    """Return all operators, the most expensive first, and the seconds of a step; all numbers are per step.

    On a GPU, an operator's self time is that of the kernels it launches. Elsewhere, the time between operators counts
    as an operator named Python.
    """
    seconds = 0.0
    operators = []
    for event in events:
        if event.device_type != DeviceType.CPU:
            continue  # a kernel, whose time counts for its operator
        name = str(event.key)
        time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if name.startswith(_STEP):
            name, seconds = "Python, between operators", event.cpu_time_total / 1e6 / steps
            time = 0 if on_gpu else time
        if time > 0:
            operators.append(Operator(name, time / 1e6 / steps, event.count / steps))
    return sorted(operators, key=lambda operator: -operator.seconds), seconds


def _count(steps: int) -> str:
    return "1 step is" if steps == 1 else f"{steps} steps are"
