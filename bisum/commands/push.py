"""`bisum push`: upload a run's model to the Hugging Face hub with its card, or write the folder to upload."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bisum.config.checking import build
from bisum.config.composition import Composer
from bisum.config.hub_options import HubOptions, PushHubOptions, PushModelOptions, PushOptions
from bisum.config.hydra_app import global_hydra
from bisum.config.jobs import configure
from bisum.config.model_source import model_of
from bisum.config.options import ModelOptions
from bisum.config.overrides import quoted
from bisum.display.console import Console
from bisum.display.quiet import quiet_libraries
from bisum.display.terminal import Terminal, relative_path
from bisum.errors import Failed, UserError, complain, one_line
from bisum.interfaces.defaults import defaults_of
from bisum.runs.checkpoints import checkpoints_in
from bisum.runs.lock import is_locked
from bisum.runs.record import read_record
from bisum.runs.signals import Interrupted, interrupts


def run(paths: Sequence[str], options: PushOptions, command: str) -> None:  # noqa: ARG001 - part of the interface
    """Upload a run's best checkpoint, or the named one, or write the folder that would be uploaded.

    Args:
        paths: one run directory or one of its checkpoints.
        options: the settings.
        command: the command line.

    Raises:
        UserError: there is no such run or checkpoint, the folder exists, or the hub refuses the upload.
        Failed: the hub cannot be reached.
    """
    if len(paths) != 1:
        raise UserError("run: give one run directory, as in bisum push outputs/RUN hub.repo_id=me/mt5-reviews")
    with _interruptible():
        _push(paths[0], options)


def _push(path: str, options: PushOptions) -> None:
    model, directory = _model(path, options.model)
    settings = _settings(options.hub, directory)
    quiet_libraries(["transformers", "huggingface_hub"])
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns if nothing has changed
    if options.hub.folder is not None:
        _write_folder(directory, model, Path(options.hub.folder).expanduser(), settings)
    else:
        is_checkpoint = Path(path).expanduser().resolve() == Path(str(model.checkpoint)).resolve()
        _upload(directory, _versions(directory, model, settings, is_checkpoint=is_checkpoint), settings)


@contextmanager
def _interruptible() -> Iterator[None]:
    """End the block on SIGTERM and SIGHUP as on Ctrl-C, so that it deletes its temporary files."""
    try:
        with interrupts():
            yield
    except Interrupted as interrupted:
        complain(f"interrupted ({interrupted})")
        raise SystemExit(interrupted.exit_code) from None


def _model(path: str, given: PushModelOptions) -> tuple[ModelOptions, Path]:
    """Return the model of a run or checkpoint, and the run directory."""
    checkpoint, directory = model_of(path)
    if directory is None:
        raise UserError(f"run: '{path}' is neither a run of bisum nor a checkpoint of one; give outputs/RUN")
    if is_locked(directory):
        raise UserError(f"run: '{path}' is still running; wait until it ends, or train with hub.push=true")
    base = [] if given.base is None else [f"model.base={quoted(given.base)}"]
    base += ["model.pickled_weights=true"] if given.pickled_weights else []
    with global_hydra():
        return configure(Composer("summarize"), [f"run={quoted(checkpoint)}", *base]).model, directory


def _settings(given: PushHubOptions, directory: Path) -> HubOptions:
    """Return the run's own settings, replaced by the given ones."""
    record = read_record(directory)
    own, made = record["config"].get("hub"), record.get("hub") or {}
    chosen = {name: value for name, value in asdict(given).items() if value is not None and name != "folder"}
    # An expression in the record would read the environment.
    recorded = {
        name: value for name, value in (own if isinstance(own, Mapping) else {}).items() if "${" not in str(value)
    }
    if given.repo_id is not None and given.repo_id not in (recorded.get("repo_id"), made.get("repository")):
        recorded.pop("private", None)  # a record must not make another repository public
    values = {**defaults_of("train", resolve=False)["hub"], **recorded, **chosen}
    if given.repo_id is None and made.get("repository"):
        values["repo_id"] = made["repository"]  # with the name of its owner
    try:
        settings = build(HubOptions, {**values, "push": False})
    except UserError as error:
        raise UserError(f"'{directory / 'run.json'}': hub.{error}") from error
    if settings.repo_id is None and given.folder is None:
        raise UserError(
            "hub.repo_id: give the repository to upload to, such as hub.repo_id=me/mt5-reviews; hub.folder=DIR writes "
            "the folder instead"
        )
    return settings


def _versions(directory: Path, model: ModelOptions, settings: HubOptions, *, is_checkpoint: bool) -> list[ModelOptions]:
    """Return the checkpoints to upload, the last of which the repository shows: all with `revisions`, or one."""
    if not settings.revisions or is_checkpoint:
        return [model]
    others = [str(path) for path in checkpoints_in(directory / "checkpoints") if path != Path(str(model.checkpoint))]
    return [*(replace(model, checkpoint=other) for other in others), model]


def _write_folder(directory: Path, model: ModelOptions, folder: Path, settings: HubOptions) -> None:
    """Write the folder that would be uploaded; a kill leaves no folder of its name."""
    from bisum.hub.export import export

    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise UserError(f"hub.folder: '{folder}' exists; give a new or empty folder")
        if folder.resolve().is_relative_to(directory.resolve()):
            raise UserError(f"hub.folder: '{folder}' is inside the run directory; give another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
            with Terminal().progress("writing the folder"):
                export(directory, model, Path(aside, "model"), settings.repo_id, settings.license)
            Path(aside, "model").replace(folder)
    except OSError as error:
        raise UserError(f"hub.folder: '{folder}' cannot be written: {error.strerror or one_line(error)}") from error
    console = Console()
    console.print(f"written to {relative_path(folder.absolute())}", soft_wrap=True)
    console.print(f"load it with  bisum summarize {relative_path(folder.absolute())}", soft_wrap=True)


def _upload(directory: Path, versions: Sequence[ModelOptions], settings: HubOptions) -> None:
    """Upload the versions one after another, and print the page of each commit."""
    from bisum.hub.export import export
    from bisum.hub.repository import Repository, Unreachable

    try:
        repository = Repository(str(settings.repo_id), settings.private).created()
        if repository.private and not settings.private:
            complain(f"hub.private: {repository.name} exists and stays private; its page on the hub can make it public")
        license = settings.license or repository.license
        for version in versions:
            name = Path(str(version.checkpoint)).name
            with TemporaryDirectory(prefix="bisum-push-") as scratch:
                folder = Path(scratch, "model")
                with Terminal().progress(f"preparing {name}"):
                    export(directory, version, folder, repository.name, license)
                with _upload_progress(f"uploading {name} to {repository.name}"):
                    commit = repository.upload(folder, f"Upload {name}", name if settings.revisions else None)
            page = f"{repository.url}/commit/{commit}"
            Console().print(f"uploaded {name} ({repository.visibility}): {page}", soft_wrap=True)
    except Unreachable as error:
        raise Failed(str(error)) from error
    except OSError as error:  # such as a full disk
        raise Failed(f"hub: {one_line(error)}") from error


@contextmanager
def _upload_progress(title: str) -> Iterator[None]:
    """Show the progress of an upload: the hub client's bars of bytes on a terminal, a line elsewhere."""
    if sys.stderr is not None and sys.stderr.isatty():
        yield
        return
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()
    with Terminal().progress(title):
        yield
