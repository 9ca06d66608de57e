"""Start Hydra on bisum's and the user's configuration, through its public names only."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import hydra
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bisum.config.own_files import OWN_SCHEME, OwnFiles
from bisum.config.recording import watch_environment
from bisum.config.user_files import UserFiles, guarded
from bisum.errors import UserError
from bisum.interfaces.defaults import conf_directory

_LOCK = threading.RLock()
_IS_1_3 = hydra.__version__.startswith("1.3.")


class ConfSearchPath(SearchPathPlugin):
    """Lets bisum read its own folder, and the folder of `--config-dir` before it, so its files take precedence."""

    is_bisums: ClassVar[bool] = False
    """Whether bisum starts Hydra; a program that calls bisum can start it too."""
    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Change the entry of bisum's own folder, and add the user's folder, if there is one."""
        if not self.is_bisums:
            return
        for entry in search_path.get_path():
            if entry.provider == "main":
                entry.path = f"{OWN_SCHEME}://{entry.path}"
        if self.folder is not None:
            search_path.prepend("command-line", guarded(str(self.folder)), SearchPathQuery(provider="main"))


@contextmanager
def global_hydra() -> Iterator[None]:
    """Reserve the process's single Hydra for a block and thread; restore the caller's own Hydra afterwards."""
    with _LOCK:
        instance = GlobalHydra.instance()
        callers = instance.hydra
        try:
            yield
        finally:
            instance.hydra = callers


def start_hydra(config_dir: str | None) -> None:
    """Start Hydra in this process, replacing a running one.

    Raises:
        UserError: `config_dir` is not a folder.
    """
    watch_environment()
    if config_dir is not None and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir: no such folder: '{config_dir}'")
    folder = None if config_dir is None else Path(config_dir).resolve()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra 1.4 deprecates what 1.3 needs
        OmegaConf.register_new_resolver("bisum.id", lambda: os.urandom(2).hex(), use_cache=True, replace=True)
        OmegaConf.register_new_resolver("bisum.cache", _user_cache, replace=True)
        for plugin in (UserFiles, OwnFiles, ConfSearchPath):
            Plugins.instance().register(plugin)
        GlobalHydra.instance().clear()
        UserFiles.loaded.clear()
        version = {"version_base": "1.3"} if _IS_1_3 else {}
        ConfSearchPath.is_bisums, ConfSearchPath.folder = True, folder
        try:
            hydra.initialize_config_dir(str(conf_directory()), job_name="bisum", **version)
        finally:
            ConfSearchPath.is_bisums, ConfSearchPath.folder = False, None


def _user_cache() -> str:
    """Return the user's cache folder; its specification ignores an XDG_CACHE_HOME that is not an absolute path."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return folder if Path(folder).is_absolute() else "~/.cache"


def compose_with_hydra(config_name: str, arguments: Sequence[str], mode: RunMode) -> DictConfig:
    """Return Hydra's composition of a configuration, including its own node; Hydra's errors propagate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        instance = GlobalHydra.instance().hydra
        assert instance is not None
        return instance.compose_config(config_name, list(arguments), run_mode=mode, from_shell=True)


def group_options(group: str) -> list[str]:
    """Return the options of a group in all folders; files whose names begin with _ are not options."""
    found = {
        option
        for source in GlobalHydra.instance().config_loader().get_sources()
        if source.is_group(group)
        for option in source.list(group, ObjectType.CONFIG)
    }
    return sorted(option for option in found if not option.startswith("_"))


def group_names(config_name: str | None = None, arguments: Sequence[str] = ()) -> list[str]:
    """Return the names of the groups except Hydra's own; `hydra.searchpath` in the arguments can add some."""
    loader = GlobalHydra.instance().config_loader()
    if arguments:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing folder is refused later
            return sorted({*loader.get_group_options("", ObjectType.GROUP, config_name, list(arguments))} - {"hydra"})
    return sorted({name for source in loader.get_sources() for name in source.list("", ObjectType.GROUP)} - {"hydra"})
