"""Write `keys.md`, the reference of all keys, from the schema and `conf/`: `make reference`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from bisum.cli.commands import COMMANDS
from bisum.cli.reference import LAUNCHER, LAUNCHERS, launcher_file, launcher_keys, opening
from bisum.config.annotations import MISSING, members, node_class
from bisum.config.checking import LIST_GROUPS, OPTIONAL_GROUPS
from bisum.config.composition import Composer
from bisum.config.hydra_keys import SETTABLE
from bisum.config.plain import PLAIN_SCHEMAS
from bisum.config.reference import Key, keys_of
from bisum.config.schema import SCHEMAS
from bisum.interfaces.defaults import defaults_of

FILE = Path(__file__).with_name("keys.md")

_INTRODUCTION = """\
# Keys

Every key of bisum with its default, its valid values and its effect. `bisum --help KEY` shows the same in the terminal,
with the values of your command line. `make reference` generates this page from the schema and [`conf/`](../../conf).

- Set a key with `key=value`, and choose an option of a group with `group=option`
  ([command line](command-line.md)).
- *required* marks a key without a default.
- `${...}` is an interpolation: the value comes from another key or from the environment.
- `allow_targets=[PACKAGE]`, only on the command line, lets `_target_` name classes of your packages
  ([safety](../explanation/safety.md)).
- All commands but `compare` accept the keys of [a run](#a-run) and of the groups. `resume` works with `train` alone,
  `sweep` and `search` with a sweep."""

_HYDRA_EFFECTS = {
    "hydra.mode": "MULTIRUN makes the configuration a sweep, like `-m`.",
    "hydra.searchpath": "Further folders of YAML files, laid out like bisum's own `conf/`.",
    "hydra.run.dir": "Run directory.",
    "hydra.sweep.dir": "Sweep directory.",
    "hydra.sweep.subdir": "Run directory of a job, relative to the sweep directory.",
    "hydra.output_subdir": "Folder in the run directory for Hydra's YAML files; null: none.",
    "hydra.verbose": "Python loggers that record at DEBUG level; true: all.",
    "hydra.job.name": "Name of the job, for interpolations.",
    "hydra.job.chdir": "Whether the job's current folder is its run directory.",
    "hydra.job.config.override_dirname.kv_sep": "Text between key and value in `${hydra.job.override_dirname}`.",
    "hydra.job.config.override_dirname.item_sep": "Text between arguments in `${hydra.job.override_dirname}`.",
    "hydra.job.config.override_dirname.exclude_keys": "Keys to leave out of `${hydra.job.override_dirname}`.",
}
"""The effect of each of Hydra's keys, which Hydra's schema does not describe."""

_UNTYPED_HYDRA_KEYS = (
    ("hydra.sweeper.params", "a mapping", "Swept keys and their values, such as `seed: 1,2`, in a YAML file."),
    (
        "hydra.sweeper.max_batch_size",
        "a whole number >= 1 or null",
        "Maximum number of jobs in one batch; bisum's own launchers ignore it.",
    ),
    ("hydra.callbacks", "a mapping of `_target_` nodes", "Hydra callbacks; `allow_targets` must name their packages."),
)
"""Hydra's keys without an annotation in `SETTABLE`: name, valid values and effect."""


@dataclass(frozen=True)
class Composition:
    """A composed configuration."""

    keys: dict[str, Key]
    """Keys with a value, by name; interpolations are unresolved."""
    nodes: dict[str, Key]
    """Keys with keys below them."""
    choices: dict[str, Any]
    """The option chosen for each group; a list for a group that accepts several."""
    hydra: DictConfig


class Reference:
    """The text of the page."""

    def __init__(self) -> None:
        self._composers = {command: Composer(command) for command in SCHEMAS}
        self._composer = self._composers["train"]
        self._composed: dict[tuple[str, ...], Composition] = {}
        self._defaults = self._compose([])

    def text(self) -> str:
        """Return the whole page."""
        groups = [group for group in self._composer.groups if group not in OPTIONAL_GROUPS]
        sections = [self._run(), *map(self._group, groups), *map(self._presets, OPTIONAL_GROUPS), self._launchers()]
        sections += [self._command(name) for name in COMMANDS if name != "train"]
        sections.append(self._hydra())
        headings = [line[3:] for section in sections for line in section if line.startswith("## ")]
        contents = [f"- [{heading}](#{_anchor(heading)})" for heading in headings]
        return "\n\n".join([_INTRODUCTION, "\n".join(contents), *("\n\n".join(section) for section in sections)]) + "\n"

    def _compose(self, arguments: Sequence[str], command: str = "train") -> Composition:
        """Compose a command line; the result is cached, since Hydra takes almost a second."""
        if (known := self._composed.get((command, *arguments))) is not None:
            return known
        composer = self._composers[command]
        composed = composer.compose(composer.parse(arguments))
        values = OmegaConf.to_container(composed)
        assert isinstance(values, dict)
        hydra = composed.hydra
        keys = list(keys_of(SCHEMAS[command], {str(name): value for name, value in values.items() if name != "hydra"}))
        mappings = {key.name for key in keys if key.is_node and _is_mapping(key)}
        keys = [key for key in keys if key.name.rpartition(".")[0] not in mappings]
        found = self._composed[command, *arguments] = Composition(
            keys={key.name: key for key in keys if not key.is_node or key.name in mappings},
            nodes={key.name: key for key in keys if key.is_node},
            choices={**hydra.runtime.choices, **{group: list(composed[group]) for group in LIST_GROUPS}},
            hydra=hydra,
        )
        return found

    def _run(self) -> list[str]:
        """Return the keys that belong to no group."""
        groups = self._composer.groups
        by_node: dict[str, list[Key]] = {"": []}
        searched = self._compose(["hparams_search=optuna"])
        for key in [*self._defaults.keys.values(), *searched.keys.values()]:
            node = key.name.partition(".")[0] if "." in key.name else ""
            known = by_node.setdefault(node, [])
            if node not in groups and key.name not in groups and key.name not in [other.name for other in known]:
                known.append(key)
        lines = ["## A run"]
        for node, keys in by_node.items():
            if not keys:
                continue
            if node:
                lines += [f"### {node}", _escaped((self._defaults.nodes.get(node) or searched.nodes[node]).line)]
            lines.append(_table(key for key in keys if key.name != "search"))
        return lines

    def _group(self, group: str) -> list[str]:
        """Return a group whose options describe one node: the keys that options share, then each option."""
        chosen = self._defaults.choices[group]
        options = sorted(self._composer.groups[group], key=lambda option: (option not in _listed(chosen), option))
        is_list = group in LIST_GROUPS
        found = {option: self._below(group, option) for option in options}
        owners: dict[tuple[str, str, str], list[str]] = {}
        for option in options:
            for key in found[option].values():
                owners.setdefault((key.name, key.expected, key.line), []).append(option)
        base = self._base(group)
        line = (self._defaults.nodes.get(group) or self._defaults.keys[group]).line
        default = f"[{','.join(_listed(chosen))}]" if is_list else chosen
        lines = [f"## {group}", f"{_escaped(line)} The default is `{group}={default}`."]
        shared: dict[str, dict[str, Any]] = {option: {} for option in options}
        for sharing in sorted({tuple(owner) for owner in owners.values() if len(owner) > 1}, key=len, reverse=True):
            usual: dict[str, Any] = {}
            for name in (name for (name, _, _), owner in owners.items() if tuple(owner) == sharing):
                values = [found[option][name].value for option in sharing]
                usual[name] = base[name] if name in base else max(values, key=values.count)
            for option in sharing:
                shared[option] |= usual
            others = [option for option in options if option not in sharing]
            every = f"Every {group}{' but ' + others[0] if others else ''}"
            lines.append(f"### {_joined(sharing) if len(others) > 1 else every}")
            lines.append(_table(replace(found[sharing[0]][name], value=value) for name, value in usual.items()))
        for option in options:
            lines += self._heading(group, option, f"[{option}]" if is_list else option)
            own = [key for name, key in found[option].items() if name not in shared[option]]
            changed = [key for name, key in found[option].items() if shared[option].get(name, key.value) != key.value]
            if given := {key.name: _shown(key) for key in changed if key.value != MISSING}:
                lines.append(f"It sets {_settings(given)}.")
            if required := [f"`{key.name}`" for key in changed if key.value == MISSING]:
                lines.append(f"It requires {', '.join(required)}.")
            lines += [_table(own)] if own else []
        return lines

    def _heading(self, group: str, option: str, written: str) -> list[str]:
        about, command = opening(self._composer.file(group, option))
        return [f"### {group}={written}", _escaped(about), *([f"Example: `{command}`"] if command else [])]

    def _below(self, group: str, option: str) -> dict[str, Key]:
        """Return the keys that an option brings below its group's node."""
        is_list = group in LIST_GROUPS
        chosen = f"[{','.join(self._composer.groups[group])}]" if is_list else option
        node = f"{group}.{option}." if is_list else f"{group}."
        return {name: key for name, key in self._compose([f"{group}={chosen}"]).keys.items() if name.startswith(node)}

    def _base(self, group: str) -> dict[str, Any]:
        """Return the defaults in a group's files for its options to share, by dotted key."""
        values: dict[str, Any] = {}
        for file in sorted(self._composer.file(group, self._composer.groups[group][0]).parent.glob("_*.yaml")):
            written = OmegaConf.to_container(OmegaConf.load(file))
            assert isinstance(written, dict)
            named = {str(name): value for name, value in written.items() if name != "defaults"}
            values |= {key.name: key.value for key in keys_of(None, named, f"{group}.")}
        return values

    def _presets(self, group: str) -> list[str]:
        """Return a group whose options set keys of other nodes."""
        own = [key for name, key in self._defaults.keys.items() if name.startswith(f"{group}.")]
        line = self._defaults.nodes[group].line if own else ""
        lines = [f"## {group}", f"{_escaped(line)} Its options set keys of other nodes. The default is none.".strip()]
        lines += [_table(own)] if own else []
        for option in self._composer.groups[group]:
            lines += self._heading(group, option, option)
            composed = self._compose([f"{group}={option}"])
            chosen = {
                name: f"[{','.join(_listed(value))}]" if name in LIST_GROUPS else str(value)
                for name, value in composed.choices.items()
                if name in self._composer.groups and name != group and value != self._defaults.choices[name]
            }
            before = self._compose([f"{name}={value}" for name, value in chosen.items()])
            changed = {
                name: _shown(key)
                for name, key in composed.keys.items()
                if name in before.keys and key.value != before.keys[name].value
            }
            for name in (*SETTABLE, *(name for name, _, _ in _UNTYPED_HYDRA_KEYS)):
                value = _hydra_value(composed.hydra, name)
                if value != _hydra_value(before.hydra, name):
                    if name == "hydra.sweeper.params":
                        changed |= {f"{name}.{key}": str(values) for key, values in value.items()}
                    else:
                        changed[name] = str(value)
            lines.append(f"It sets {_settings({**chosen, **changed})}.")
        return lines

    def _launchers(self) -> list[str]:
        lines = [f"## {LAUNCHER}", "Runs the jobs of a sweep. The default is `hydra/launcher=local`."]
        for option in LAUNCHERS:
            about, command = opening(launcher_file(option))
            lines += [f"### {LAUNCHER}={option}", _escaped(about), f"Example: `{command}`"]
            lines += [_table(launcher_keys())] if option == "slurm" else []
        return lines

    def _command(self, name: str) -> list[str]:
        """Return the keys of a command that `train` lacks."""
        about = COMMANDS[name].summary
        lines = [f"## bisum {name}", _escaped(f"{about[0].upper()}{about[1:]}.")]
        if name in PLAIN_SCHEMAS:
            return [*lines, _table(key for key in keys_of(PLAIN_SCHEMAS[name], defaults_of(name)) if not key.is_node)]
        common = SCHEMAS["train"].__annotations__
        keys = self._compose([], name).keys.values()
        return [*lines, _table(key for key in keys if key.name.partition(".")[0] not in common)]

    def _hydra(self) -> list[str]:
        rows = []
        for name, annotation in SETTABLE.items():
            key = Key(name, _hydra_value(self._defaults.hydra, name), annotation, _HYDRA_EFFECTS[name])
            rows.append((name, key.shown, key.expected, key.line))
        for name, expected, line in _UNTYPED_HYDRA_KEYS:
            rows.append((name, Key(name, _hydra_value(self._defaults.hydra, name), None, "").shown, expected, line))
        return [
            "## Hydra's own keys",
            "bisum checks these keys like its own and refuses Hydra's other keys.",
            markdown_table(rows),
        ]


def _hydra_value(hydra: DictConfig, name: str) -> Any:
    """Return a value of Hydra's node; interpolations are unresolved."""
    value: Any = OmegaConf.to_container(hydra)
    for part in name.split(".")[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    return getattr(value, "name", value)


def _listed(chosen: Any) -> list[str]:
    return [str(option) for option in chosen] if not isinstance(chosen, str) else [chosen]


def _is_mapping(key: Key) -> bool:
    """Return whether the value of a key is a mapping of any names, not a node."""
    mappings = (option for option in members(key.annotation) if get_origin(option) is dict)
    return any(node_class(get_args(mapping)[1]) is None for mapping in mappings)


def _shown(key: Key) -> str:
    """Return a value as a user types it."""
    if key.is_node:
        return f"{{{','.join(f'{name}: {value}' for name, value in key.value.items())}}}"
    return key.shown


def _joined(options: Sequence[str]) -> str:
    return f"{', '.join(options[:-1])} and {options[-1]}"


def _settings(values: dict[str, str]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in values.items())


def _table(keys: Iterable[Key]) -> str:
    return markdown_table((key.name, _shown(key), key.expected, key.line) for key in keys)


def markdown_table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Return a table of keys, each with its name, default, valid values and effect."""
    lines = ["| key | default | value | effect |", "| --- | --- | --- | --- |"]
    for name, default, expected, line in rows:
        shown = "*required*" if default == "(required)" else _code(default)
        lines.append(f"| `{name}` | {shown} | {_cell(expected)} | {_cell(line)} |")
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else '`""`'


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Escape what Markdown would read as markup, outside code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*~]|<(?=[a-zA-Z/!]))", r"\\\1", part) for part in parts)


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    FILE.write_text(Reference().text(), encoding="utf-8")
