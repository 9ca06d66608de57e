"""trackio, Hugging Face's tracker: a local database with a dashboard in the browser."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.interfaces.text import Name
from bisum.interfaces.tracker import RunFacts, TrackedRun, Tracker

_SERVERS = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


@dataclass(frozen=True, kw_only=True)
class TrackioTracker(Tracker):
    """Tracker that logs to trackio; online, to the Space or server set by trackio's environment variables."""

    directory: Name | None
    """Folder of trackio's files, shared by all runs to compare; null: trackio's default (TRACKIO_DIR)."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec("trackio") is None:
            raise UserError("tracker=trackio: trackio is not installed; pip install 'bisum[trackio]'")

    def start(self, run: RunFacts) -> TrackedRun:
        """Start a trackio run."""
        return TrackioRun(self, run)


class TrackioRun(TrackedRun):
    """A trackio run whose steps are the optimizer's; a resumed run replaces its earlier version."""

    def __init__(self, tracker: TrackioTracker, facts: RunFacts) -> None:
        if tracker.directory is not None:
            os.environ["TRACKIO_DIR"] = str(Path(tracker.directory).expanduser().absolute())
        warning = {}
        if tracker.mode == "offline":
            for name in _SERVERS:
                os.environ.pop(name, None)
        elif tracker.mode == "online" and not any(os.environ.get(name) for name in _SERVERS):
            warning = {"warning": f"neither {' nor '.join(_SERVERS)} is set; tracking locally"}
        import trackio

        self._trackio = trackio
        with suppress(ValueError):  # no such project yet
            for earlier in trackio.Api().runs(tracker.project) if facts.resumed else []:
                if earlier.id == facts.id:
                    earlier.delete()
        config: dict[str, Any] = {"job": facts.job, "commit": facts.commit, "tags": facts.tags, "system": facts.system}
        config |= facts.config
        self._run = trackio.init(tracker.project, name=facts.name, group=facts.group, config=config, embed=False)
        self._step = 0
        self._summary: dict[str, Any] = {}
        directory = f"TRACKIO_DIR={os.environ['TRACKIO_DIR']} " if tracker.directory else ""
        view = f"tracked with trackio.  View: {directory}trackio show --project {tracker.project}"
        self.report = {"id": self._run.id, "view": view, **warning}

    def log(
        self,
        number: int,  # noqa: ARG002 - part of the interface
        metrics: Mapping[str, float],
        tables: Mapping[str, Sequence[Mapping[str, str]]],
        histograms: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> None:
        """Log the values at their step."""
        row: dict[str, Any] = {name: value for name, value in metrics.items() if name != "step"}
        for name, rows in tables.items():
            row[name] = self._trackio.Table(columns=list(rows[0]), data=[list(cells.values()) for cells in rows])
        for name, histogram in histograms.items():
            row[name] = self._trackio.Histogram(np_histogram=(histogram["counts"], histogram["edges"]))
        self._step = int(metrics["step"])
        self._run.log(row, step=self._step)

    def image(self, name: str, path: str) -> None:
        """Log an image at the current step."""
        self._run.log({name: self._trackio.Image(path)}, step=self._step)

    def checkpoint(self, path: str, aliases: Sequence[str]) -> None:
        """Log a checkpoint as an artifact."""
        self._run.log_artifact(path, name=f"checkpoint-{self._run.id}", type="model", aliases=list(aliases))

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Store values to log at the end, because trackio has no run summary."""
        self._summary |= values

    def finish(self, status: str) -> None:  # noqa: ARG002 - part of the interface
        """Log the summary and finish the run."""
        if best := {name: value for name, value in self._summary.items() if name != "status"}:
            self._run.log(best, step=self._step)
        self._run.finish()  # type: ignore[no-untyped-call]
