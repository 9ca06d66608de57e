"""Weights & Biases, online or as a transaction log in the run directory."""

from __future__ import annotations

import os
import shlex
import shutil
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.interfaces.text import Name
from bisum.interfaces.tracker import LOG, RunFacts, TrackedRun, Tracker
from bisum.trackers.curation import HIDDEN_PREFIXES, is_shown
from bisum.trackers.curves import Curves
from bisum.trackers.wandb_host import environment_mode, host, offline_reason, set_up

if TYPE_CHECKING:
    import wandb


_INIT_SECONDS = 20.0
"""Time limit for the host to create the run."""
_SCORED = ("eval", "test", "baseline", "difference", "histograms", "predictions")
_AXES = {"train": "step", **dict.fromkeys(_SCORED, "epoch")}
"""X-axes of metrics by prefix."""


@dataclass(frozen=True, kw_only=True)
class WandbTracker(Tracker):
    """Tracker that logs to W&B; WANDB_BASE_URL and WANDB_API_KEY select the server and the account.

    WANDB_MODE, WANDB_NAME and WANDB_RUN_GROUP apply where the configuration sets nothing.
    """

    entity: Name | None
    """User or team that owns the project; null: the API key's default."""

    @property
    def requested_mode(self) -> str:
        """The mode set by the configuration, otherwise by the environment."""
        return self.mode if self.mode != "auto" else environment_mode()

    @property
    def wanted(self) -> bool:
        """See `Tracker.wanted`."""
        return self.requested_mode != "disabled"

    def start(self, run: RunFacts) -> TrackedRun:
        """Start a W&B run; its files, including those waiting for upload, are in `wandb/` in the run directory."""
        return WandbRun(self, run)


class WandbRun(TrackedRun):
    """A W&B run whose steps count the lines of `metrics.jsonl`.

    W&B cannot continue a transaction log. A resumed run therefore writes a new, complete log with the same id, which
    replaces earlier logs that were not uploaded. Online, the lines that a resumed run keeps are not sent again. Lines
    that it logs again are sent, and W&B keeps both versions.
    """

    def __init__(self, tracker: WandbTracker, facts: RunFacts) -> None:
        self._folder = Path(facts.directory) / "wandb"
        self._folder.mkdir(exist_ok=True)
        self._kept = facts.kept
        os.environ["WANDB_DATA_DIR"] = str(self._folder)  # tables and checkpoints waiting for upload
        mode = tracker.requested_mode
        os.environ.pop("WANDB_MODE", None)  # tracker.requested_mode has read it
        import wandb

        self._wandb = wandb
        set_up()
        offline, warn = offline_reason(mode)
        if offline is None:
            try:
                self._run = self._init(tracker, facts, "online")
            except Exception:
                traceback.print_exc()
                offline, warn = f"{host()} rejected the run (see {LOG})", True
        if offline is not None:
            self._run = self._init(tracker, facts, "offline")
        self._profile = facts.profile
        self._curves = None
        if facts.job == "train":
            lead = facts.config["evaluation"]["lead"]
            self._curves = Curves(self._run.name or facts.name, f"lead-{lead}", facts.profile)
        self._seen: set[str] = set()
        for prefix in _AXES:
            self._define(f"{prefix}/*", hidden=prefix in HIDDEN_PREFIXES)
        self._remove_superseded()
        self.report = {"id": self._run.id} | self._views(offline, warn)

    def log(
        self,
        number: int,
        metrics: Mapping[str, float],
        tables: Mapping[str, Sequence[Mapping[str, str]]],
        histograms: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> None:
        """Log one row of the history, and redraw the charts if the row is an evaluation."""
        is_evaluation = self._curves is not None and self._curves.add(metrics)
        media = self._charts() if is_evaluation else {}
        self._hide([*metrics, *tables, *histograms, *(f"{name}_table" for name in media)])
        if number < min(self._run.starting_step, self._kept):
            return
        for name, rows in tables.items():
            media[name] = self._wandb.Table(columns=list(rows[0]), data=[list(cells.values()) for cells in rows])
        for name, histogram in histograms.items():
            bins = (histogram["counts"], histogram["edges"])
            media[name] = self._wandb.Histogram(np_histogram=bins)  # type: ignore[arg-type]
        step = number + max(0, self._run.starting_step - self._kept)
        self._run.log(dict(metrics), step=step, commit=not media)
        if media:  # after the metrics, which are logged even if the host rejects a table
            self._run.log(media, step=step, commit=True)

    def image(self, name: str, path: str) -> None:
        """Log an image with the next row."""
        self._run.log({name: self._wandb.Image(path)}, commit=False)

    def checkpoint(self, path: str, aliases: Sequence[str]) -> None:
        """Log a checkpoint as an artifact; its files are uploaded in place, without a copy."""
        artifact = self._wandb.Artifact(f"checkpoint-{self._run.id}", "model")
        artifact.add_dir(path, policy="immutable")
        self._run.log_artifact(artifact, aliases=list(aliases))

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Set values of the run summary."""
        self._run.summary.update(dict(values))

    def finish(self, status: str) -> None:
        """End the run; W&B shows it as failed unless it finished or a search pruned it."""
        self._run.finish(exit_code=0 if status in ("finished", "pruned") else 1)

    def _hide(self, names: Iterable[str]) -> None:
        """Hide new names that the default workspace omits, one by one, since patterns match only prefixes."""
        for name in names:
            if name not in self._seen:
                self._seen.add(name)
                if not is_shown(name, profile=self._profile, has_charts=self._curves is not None):
                    self._define(name, hidden=True)

    def _define(self, name: str, *, hidden: bool) -> None:
        self._run.define_metric(name, step_metric=_AXES.get(name.partition("/")[0]), hidden=hidden)

    def _charts(self) -> dict[str, Any]:
        """Return a chart per ROUGE type, with the lines of the run and its baseline."""
        assert self._curves is not None
        return {
            f"charts/{score}": self._wandb.plot.line_series(
                xs=[list(line) for line in lines.values()],
                ys=[list(line.values()) for line in lines.values()],
                keys=list(lines),
                title=f"{score} on validation",
                xname="epoch",
            )
            for score, lines in self._curves.charts.items()
        }

    def _init(self, tracker: WandbTracker, facts: RunFacts, mode: Any) -> wandb.Run:
        in_wandb_sweep = None if facts.resumed else os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID")
        settings = self._wandb.Settings(
            console="off",
            save_code=False,
            disable_git=True,
            git_commit=facts.commit,
            program="bisum",
            x_stats_pid=facts.process,
            init_timeout=_INIT_SECONDS,
        )
        return self._wandb.init(
            entity=tracker.entity,
            project=tracker.project,
            dir=facts.directory,
            id=in_wandb_sweep or facts.id,
            name=tracker.name or os.environ.get("WANDB_NAME") or facts.name,
            group=tracker.group or os.environ.get("WANDB_RUN_GROUP") or facts.group,
            tags=facts.tags or None,
            job_type=facts.job,
            config={**facts.config, "system": facts.system},
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=settings,
        )

    def _remove_superseded(self) -> None:
        """Remove earlier transaction logs of this run that were not uploaded; the new log contains their lines."""
        own = Path(self._run.dir).parent
        for old in self._folder.glob(f"offline-run-*-{self._run.id}"):
            if old != own and not list(old.glob("*.synced")):
                shutil.rmtree(old, ignore_errors=True)

    def _views(self, offline: str | None, warn: bool) -> dict[str, str]:
        """Return how to view the run, the folder to upload if it is offline, and the warning, if any."""
        from bisum.display.terminal import relative_path

        shown = shlex.quote(str(relative_path(self._folder)))
        if offline is None:
            url = self._run.url or ""
            return {"url": url, "view": f"tracked at {url}  If data is missing: wandb sync {shown}"}
        view = f"tracked offline: {offline}.  View: wandb leet {shown}  Upload: wandb sync {shown}"
        return {"view": view, "upload": str(self._folder)} | (
            {"warning": f"{offline}; tracking offline"} if warn else {}
        )
