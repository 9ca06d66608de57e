"""`resume=RUN`: an earlier run's own configuration, with what the command line names replaced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bisum.composition import Composer, checked
from bisum.config import Config
from bisum.errors import UserError


def resumed_run(composer: Composer, overrides: Sequence[str]) -> str | None:
    """Return the run directory that `resume=` names, if it is given."""
    given = [override for override in composer.parse(overrides) if override.key_or_group == "resume"]
    if not given or given[-1].is_delete() or given[-1].value() is None:
        return None
    if given[-1].is_sweep_override() or not isinstance(given[-1].value(), str):
        raise UserError(f"'{given[-1].input_line}': resume takes one run directory")
    return str(given[-1].value())


def continue_run(composer: Composer, run: str, overrides: Sequence[str]) -> Config:
    """Return the checked configuration with which the training in a run directory goes on."""
    record = read_record(run)
    if record.get("job") != "train":
        raise UserError(f"resume: '{run}' holds no training but a {record.get('job')} run")
    config = continue_from(composer, record["config"], overrides)
    config.resolved["resume"] = None
    return config


def continue_from(composer: Composer, base: dict[str, Any], overrides: Sequence[str]) -> Config:
    """Return the checked configuration of an earlier run, with what the command line names replaced.

    `base` is that run's resolved configuration; `group=option` replaces the whole node, `key=value` one value.
    """
    parsed = composer.parse(overrides)
    for override in parsed:
        changes_experiment = override.key_or_group.partition(".")[0] in ("experiment", "model", "seed")
        if override.is_delete() or (changes_experiment and not override.is_hydra_override()):
            raise UserError(f"'{override.input_line}' makes another experiment: start it without resume")
    composed = composer.compose(overrides)
    values = OmegaConf.create(base)
    for override in parsed:
        key, value = override.key_or_group, override.value()
        if not override.is_hydra_override():
            new = composed[key] if key in composer.groups else list(value) if isinstance(value, tuple) else value
            OmegaConf.update(values, key, new, merge=False, force_add=True)
    config = checked(values, composer.config_name)
    options = composed.hydra.runtime.choices
    config.choices = {key: str(options[key]) for override in parsed if (key := override.key_or_group) in options}
    return config


def read_record(run: str) -> dict[str, Any]:
    """Return the `run.json` of a run directory.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(run) / "run.json"
    if Path(run).is_file():
        raise UserError(f"'{run}' is a file; give the run directory")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"'{run}' is not a run directory: it has no run.json") from error
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise UserError(f"'{path}' holds no configuration")
    return record
