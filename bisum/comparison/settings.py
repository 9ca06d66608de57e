"""The settings of runs and the keys that distinguish systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bisum.comparison.finding import FoundRun
from bisum.config.checking import LIST_GROUPS
from bisum.config.identity import identity

Settings = Mapping[str, Any]
"""Values by dotted key; a config group is also a key, with the chosen option as its value."""
_LONGEST_NUMBER = 8
"""Maximum length of a number that a table shows in full."""

_IGNORED = {
    "seed",  # runs that differ only in the seed are one system
    "metric",
    "split",
    "run",
    "explore",
    "evaluation.lead",
    "evaluation.bootstrap_samples",
    "evaluation.shown_summaries",
    "trainer.log_every",
    "trainer.keep_checkpoints",
    "trainer.save_every",
}
"""Keys, and nodes with all keys below them, that do not change the summaries or are handled separately."""


def settings_of(run: FoundRun) -> dict[str, Any]:
    """Return the settings that determine a run's summaries, except the seed."""
    kept = _flat(identity(run.config))
    kept = {key: value for key, value in kept.items() if not _is_below(key, _IGNORED)}
    named, checkpoint = run.config.get("run"), _text(run.config.get("model", {}).get("checkpoint"))
    if run.job == "evaluate":
        in_run = checkpoint is not None and Path(checkpoint).parent.name == "checkpoints"
        if named is not None:
            kept.pop("model.checkpoint", None)
            if not in_run:
                kept["run"] = named
            elif Path(str(named)).name == Path(str(checkpoint)).name:
                kept["checkpoint"] = Path(str(named)).name  # this one instead of the best, for each seed
        if not in_run:  # its training is unknown
            kept = {key: value for key, value in kept.items() if not _is_below(key, {"trainer"})}
    options: dict[str, Any] = {}
    for group, option in (run.record.get("choices") or {}).items():
        if isinstance(run.config.get(group), Mapping) and any(_is_below(key, {group}) for key in kept):
            options[group] = option
    for group in LIST_GROUPS:
        if group not in _IGNORED and isinstance(chosen := run.config.get(group), Mapping):
            options[group] = "+".join(chosen) or "none"
    return {"job": run.job, **options, **{key: value for key, value in kept.items() if key not in options}}


def from_environment(run: FoundRun, settings: Settings) -> list[str]:
    """Return the settings taken from the environment; the record has their expressions but not their values."""
    keys = {str(key) for key in run.record.get("from_environment") or ()}
    return [key for key in settings if _is_below(key, keys)]


def distinguishing_keys(systems: Sequence[Settings]) -> list[str]:
    """Return the keys whose values differ, except those determined by their group's option.

    A key below a group is omitted if all systems with the same option share one value.
    """
    keys = list(dict.fromkeys(key for settings in systems for key in settings))
    differing = [key for key in keys if len({comparable(settings.get(key, ...)) for settings in systems}) > 1]
    groups = [key for key in differing if any(other.startswith(f"{key}.") for other in keys)]
    return [key for key in differing if not _is_determined(key, groups, systems)]


def _is_determined(key: str, groups: Sequence[str], systems: Sequence[Settings]) -> bool:
    """Return whether a key has a single value per option of its group."""
    for group in groups:
        if key.startswith(f"{group}."):
            pairs = {(comparable(settings.get(group, ...)), comparable(settings.get(key, ...))) for settings in systems}
            return len({option for option, _ in pairs}) == len(pairs)
    return False


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return a name per key: its last part, or the full key where last parts collide."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}


def settings_label(settings: Settings, keys: Sequence[str]) -> str:
    """Return the settings that distinguish a system, such as `learning_rate=0.001 trainer=accelerate`."""
    names = short_names(keys)
    return " ".join(f"{names[key]}={brief(settings[key])}" for key in keys if key in settings)


def with_short_paths(systems: Sequence[Settings]) -> list[dict[str, Any]]:
    """Return settings with paths cut to the fewest trailing components that keep different paths distinct."""
    short = [dict(settings) for settings in systems]
    for key in dict.fromkeys(key for settings in systems for key in settings):
        paths = {value for settings in systems if isinstance(value := settings.get(key), str) and "/" in value}
        for count in range(2, 1 + max((path.count("/") + 1 for path in paths), default=0)):
            cut = {path: "/".join(path.split("/")[-count:]) for path in paths if "://" not in path}
            if len(set(cut.values())) == len(cut):
                for settings in short:
                    if isinstance(value := settings.get(key), str):
                        settings[key] = cut.get(value, value)
                break
    return short


def shown(value: Any) -> str:
    """Format a setting's value as on the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    return str(value)


def brief(value: Any) -> str:
    """Format a setting's value for a table; long numbers, such as random draws, get four digits."""
    is_long = isinstance(value, float) and len(repr(value)) > _LONGEST_NUMBER
    return f"{value:.4g}" if is_long else shown(value)


def hashable(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return settings as a dictionary key."""
    return tuple(sorted((key, comparable(value)) for key, value in settings.items()))


def comparable(value: Any) -> str:
    """Return equal texts for equal values; `...` for a missing one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value)) if abs(value) < 2**53 else repr(value)
    return "..." if value is ... else repr(value)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested mappings into one, by dotted key."""
    flat: dict[str, Any] = {}
    pending: list[tuple[str, Any]] = list(config.items())[::-1]
    while pending:
        key, value = pending.pop()
        if isinstance(value, Mapping) and value:
            pending += [(f"{key}.{name}", inner) for name, inner in value.items()][::-1]
        else:
            flat[key] = value
    return flat


def _is_below(key: str, nodes: set[str]) -> bool:
    return key in nodes or any(key.startswith(f"{node}.") for node in nodes)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
