"""A corpus from the Hugging Face hub, or from a local folder with the layout of a hub repository."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bisum.corpus.columns import Pick
from bisum.corpus.hub_card import refuse_files_elsewhere
from bisum.corpus.tables import Part, Tables
from bisum.corpus.versions import versions_of
from bisum.errors import UserError, one_line, printable, without_secrets
from bisum.hub_client import answers_within, hub_problem
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.language import Language
from bisum.interfaces.source import SPLITS
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True, kw_only=True)
class Hub(Tables):
    """Rows of a hub data set, in any format that the `datasets` library reads; scripts are never run.

    Loaded data is kept in the hub's cache (under `HF_HOME`); with `HF_HUB_OFFLINE=1` only the cache is used.
    """

    repo: Name
    """The repository's name (`esdurmus/wiki_lingua`), or a local folder: a copy of one, or from `save_to_disk`."""

    revision: Name | None = from_conf("corpus/hub", "revision")
    """Commit, branch or tag (null: the current main branch)."""

    configurations: dict[Language, Name] | Name | None = from_conf("corpus/hub", "configurations")
    """Configuration or folder, for each language (`{en: english}`) or for all (null: the default configuration)."""

    train: Name = from_conf("corpus/hub", "train")
    """Name of the split to train on."""

    validation: Name | None = from_conf("corpus/hub", "validation")
    """Name of the split for validation (null: a share of train)."""

    test: Name | None = from_conf("corpus/hub", "test")
    """Name of the split for test (null: a share of train)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if "://" in self.repo:
            raise UserError(
                f"repo: '{without_secrets(self.repo)}' is a URL; give the repository's name, such as "
                "esdurmus/wiki_lingua, or a local folder"
            )

    def identity(self, languages: Sequence[str]) -> Any:  # noqa: ARG002
        """See `RowSettings.identity`; None for a repository without a commit, or a folder that links to others."""
        folder = Path(self.repo).expanduser()
        if folder.is_dir():
            paths = sorted(folder.rglob("*"))  # does not enter linked folders
            has_links = any(path.is_symlink() and path.is_dir() for path in paths)
            return None if has_links else versions_of(path for path in paths if path.is_file())
        return self.revision if re.fullmatch("[0-9a-f]{40}", self.revision or "") else None

    @property
    def per_language(self) -> bool:
        """See `Tables.per_language`."""
        return isinstance(self.configurations, dict) or "{language}" in (self.configurations or "")

    def parts(self, language: str | None) -> Mapping[str, Sequence[Part]]:
        """See `Tables.parts`."""
        configuration = self.configurations
        if isinstance(configuration, dict):
            if language not in configuration:
                known = ", ".join(configuration) or "none"
                raise UserError(f"corpus.configurations: missing language '{language}' (languages: {known})")
            configuration = configuration[language]
        elif configuration is not None and language is not None:
            configuration = configuration.replace("{language}", language)
        splits = self._load(configuration)
        names = {split: getattr(self, split) for split in SPLITS if getattr(self, split) is not None}
        for split, name in names.items():
            if name not in splits:
                raise UserError(
                    f"corpus.{split}: {self.repo} has no split '{name}' (splits: {', '.join(splits)}; "
                    "null takes a share of train)"
                )
        place = f"{self.repo}/{configuration}" if configuration else self.repo
        return {split: [(f"{place}/{name}", partial(_read, splits[name]))] for split, name in names.items()}

    def _load(self, configuration: str | None) -> DatasetDict | dict[str, Dataset]:
        """Load a configuration, or the folder of that name, since the hub's own Parquet branch has only folders."""
        from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset

        folder = self._folder()
        saved = Path(folder, configuration or "") if folder else None
        if folder:
            _refuse_pipes(folder)
        if saved and is_saved(saved):
            return self._load_saved(saved)
        if saved and saved.is_dir() and (inside := sorted(path.name for path in saved.iterdir() if is_saved(path))):
            named = ", ".join(f"{name[:2]}: {name}" for name in inside[:3])
            raise UserError(
                f"corpus.configurations: {self.repo} has several folders written by save_to_disk; name one, or one for "
                f"each language, such as {{{named}}}"
            )
        with TemporaryDirectory() as scratch, _quiet(), answers_within(self.timeout):
            # Otherwise the library reads a local folder from its cache even after its files change.
            options = {"revision": self.revision, "cache_dir": scratch if folder else None}
            repo = folder or self.repo
            try:
                known = get_dataset_config_names(repo, revision=self.revision)
                if configuration is None:
                    if get_dataset_default_config_name(repo, revision=self.revision) is not None:
                        return load_dataset(repo, **options)
                elif configuration in known:
                    return load_dataset(repo, configuration, **options)
                else:
                    with suppress(FileNotFoundError):
                        return load_dataset(repo, data_dir=configuration, **options)
            except Exception as error:  # the libraries involved can raise anything
                is_script = "Dataset scripts" in str(error)
                hint = "; corpus.revision=refs/convert/parquet is the hub's copy without a script" if is_script else ""
                raise UserError(f"corpus.repo: {self.repo}: {_reason(error)}{hint}") from error
        problem = "several; name one" if configuration is None else f"no configuration '{configuration}'"
        raise UserError(f"corpus.configurations: {self.repo} has {problem} (configurations: {', '.join(known)})")

    def _load_saved(self, folder: Path) -> DatasetDict | dict[str, Dataset]:
        """Load a folder written by `save_to_disk`; a single Dataset becomes train, whatever its split."""
        from datasets import Dataset, load_from_disk

        try:
            with _quiet():
                saved = load_from_disk(str(folder))
        except Exception as error:  # the type depends on the damage
            raise UserError(f"corpus.repo: {folder}: {_reason(error)}") from error
        return {"train": saved} if isinstance(saved, Dataset) else saved

    def _folder(self) -> str | None:
        """Return the local folder to read (the cached one if offline); None to read from the hub."""
        from huggingface_hub import constants, snapshot_download

        folder = Path(self.repo).expanduser()
        if folder.is_file():
            raise UserError(f"corpus.repo: {self.repo} is a file; read it with corpus=files corpus.path={self.repo}")
        if folder.is_dir():
            refuse_files_elsewhere(folder)
            return str(folder)
        if not constants.HF_HUB_OFFLINE:
            self._check_hub()
            return None
        try:
            return snapshot_download(self.repo, repo_type="dataset", revision=self.revision, local_files_only=True)
        except (OSError, ValueError) as error:
            raise self._problem(error) from error

    def _check_hub(self) -> None:
        """Query the hub for the repository once, since the libraries retry, and log it, for half a minute."""
        from huggingface_hub import HfApi

        try:
            with answers_within(self.timeout):
                hub = HfApi()
                if hub.dataset_info(self.repo, revision=self.revision).gated:
                    hub.auth_check(self.repo, repo_type="dataset")
        except Exception as error:  # the type depends on the hub client's HTTP library
            raise self._problem(error) from error

    def _problem(self, error: BaseException) -> UserError:
        instead = "set HF_HUB_OFFLINE=1 to use the cache, or name a local folder"
        revision = self.revision
        return UserError(
            hub_problem(error, self.repo, "data set", "corpus.repo", local="folder", revision=revision, instead=instead)
        )


def is_saved(folder: Path) -> bool:
    """Return whether a folder was written by `save_to_disk` of `datasets`."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("dataset_info.json", "state.json")
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and logs during the block; an error reports any failure."""
    import datasets
    from huggingface_hub import utils

    levels = {logger: logger.level for logger in map(logging.getLogger, ("datasets", "huggingface_hub"))}
    shown = [library for library in (datasets, utils) if not library.are_progress_bars_disabled()]
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    for library in shown:
        library.disable_progress_bars()
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        for library in shown:
            library.enable_progress_bars()


def _refuse_pipes(folder: str) -> None:
    """Refuse a folder that contains a pipe, a socket or a device, since the library would wait for it."""
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            if path.exists() and not path.is_file():
                raise UserError(f"corpus.repo: {printable(str(path))} is not a regular file; move it out of the folder")


def _read(dataset: Dataset, pick: Pick) -> Iterator[pa.Table]:
    from bisum.corpus.columns import nested_paths, pick_columns
    from bisum.corpus.disk import READ_ROWS

    paths = pick({".".join(path): path for path in nested_paths(dataset.features.arrow_schema)})
    for table in dataset.with_format("arrow").iter(READ_ROWS):
        yield pick_columns(table, paths)


def _reason(error: BaseException) -> str:
    """Return the message of an error, or of the error that it wraps, on one line."""
    cause = error.__cause__ if type(error).__name__.startswith("DatasetGeneration") else None
    return one_line(cause or error)
