"""The keys of a command line and the opening comments of YAML files, for help and completion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from bisum.config.composition import Composer
from bisum.config.options import SlurmOptions
from bisum.config.reference import Key, keys_of
from bisum.config.schema import SCHEMAS
from bisum.interfaces.defaults import conf_directory

LAUNCHER = "hydra/launcher"
"""The group of launchers, which run the jobs of a sweep."""
LAUNCHERS = ("local", "slurm")
"""Its options that bisum defines."""


def composed_keys(composer: Composer, overrides: Sequence[str]) -> list[Key]:
    """Return every key of the configuration composed from `overrides`; raises `UserError` if it cannot be composed."""
    return list(keys_of(SCHEMAS[composer.command], composer.values(overrides)))


def launcher_keys() -> list[Key]:
    """Return the settings of `hydra/launcher=slurm`, the only launcher with settings."""
    values = OmegaConf.to_container(OmegaConf.load(launcher_file("slurm")))
    assert isinstance(values, dict)
    settings = {str(name): value for name, value in values.items() if name != "_target_"}
    return list(keys_of(SlurmOptions, settings, f"{LAUNCHER.replace('/', '.')}."))


def launcher_file(option: str) -> Path:
    """Return the YAML file of one of `LAUNCHERS`."""
    return conf_directory() / LAUNCHER / f"{option}.yaml"


def opening(file: Path) -> tuple[str, str]:
    """Return the description and the example command in the opening comments of a YAML file."""
    comments = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").strip())
    comments = [comment for comment in comments if not comment.startswith("@package")]
    commands = [comment for comment in comments if comment.startswith("bisum ")]
    about = [comment for comment in comments if comment not in commands]
    return (about[0] if about else "", commands[0] if commands else "")
