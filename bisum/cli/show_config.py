"""Display of configurations instead of runs: `--cfg job`, `--package` and `--resolve`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from bisum.cli.arguments import CommandLine
from bisum.config.jobs import Job, distinguishing_arguments
from bisum.config.messages import one_line_of
from bisum.config.recording import mask_variables
from bisum.errors import UserError, complain, printable
from bisum.printing import clean

if TYPE_CHECKING:
    from bisum.config.search import Search


def show_job(job: Job, line: CommandLine) -> None:
    """Print a job's configuration, or the part selected by `--package`, as YAML."""
    print(_yaml(_select(job, line), line), end="")


def show_sweep(jobs: Sequence[Job], repeated: Sequence[str], line: CommandLine) -> None:
    """Print the jobs of a sweep as YAML documents: the first in full, the others as differences from it.

    `repeated` has a line for each listed job that repeats an earlier one.
    """
    print("".join(f"# {printable(text)}\n" for text in repeated), end="")
    first: Any = None
    for number, (job, own) in enumerate(
        zip(jobs, distinguishing_arguments([job.arguments for job in jobs]), strict=True)
    ):
        chosen = _select(job, line, optional=number > 0)
        text = _yaml(chosen, line)
        plain = yaml.safe_load(text)
        note = ", where it differs from job 0" if number else ""
        print("---\n" * (number > 0) + f"# job {number} of {len(jobs)}{note}: {printable(own)}")
        if number == 0:
            first = plain
        elif isinstance(first, dict) and isinstance(plain, dict):
            print("".join(f"# without {printable(key)}\n" for key in _missing_keys(first, plain)), end="")
            text = OmegaConf.to_yaml(OmegaConf.create(_difference(first, plain)))
        print(text, end="")


def show_search(search: Search, line: CommandLine) -> None:
    """Print the search space, and the configuration of a trial as YAML."""
    for key, found in search.space.items():
        print(f"# searched: {printable(key)}: {printable(str(found))}")
    print("# a trial:", printable(" ".join(search.arguments(search.first))))
    print(_yaml(_select(search.base, line), line), end="")


def _difference(first: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """Return the part of `other`, nested, that is missing or different in `first`."""
    found = {}
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(first.get(key), dict):
            if inner := _difference(first[key], value):
                found[key] = inner
        elif key not in first or value != first[key] or type(value) is not type(first[key]):
            found[key] = value
    return found


def _missing_keys(first: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of `first` that are missing in `other`."""
    if isinstance(first, dict) and isinstance(other, dict):
        for key, value in first.items():
            if key not in other:
                yield f"{prefix}{key}"
            else:
                yield from _missing_keys(value, other[key], f"{prefix}{key}.")


def _select(job: Job, line: CommandLine, *, optional: bool = False) -> Any:
    """Return the part of a job's configuration to show; None if `optional` and the job has no such part."""
    shown: Any = job.shown if line.cfg == "job" else job.composed
    if line.resolve and line.cfg != "job":
        _drop_unresolvable(shown)  # some values, such as the job's number, exist only in a running job
        OmegaConf.resolve(shown)
    if line.cfg == "hydra":
        shown = OmegaConf.create({"hydra": shown.hydra})
    if line.package in (None, "_global_"):
        return shown
    missing = object()
    try:
        shown = OmegaConf.select(shown, str(line.package), default=missing, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"--package {line.package}: {one_line_of(error)}") from error
    if shown is missing and optional:
        return None
    if shown is missing:
        raise UserError(f"--package: no key '{line.package}'")
    return shown


def _yaml(shown: Any, line: CommandLine) -> str:
    """Return a configuration or a single value as YAML, and report values that cannot be shown in full."""
    try:
        text = OmegaConf.to_yaml(shown, resolve=line.resolve) if OmegaConf.is_config(shown) else f"{shown}\n"
    except OmegaConfBaseException as error:
        raise UserError(f"--package {line.package}: {one_line_of(error)}") from error
    text = text if line.resolve else mask_variables(text)  # a single value is always resolved
    if clean(text) != text:
        complain("--cfg: values are shown without their control characters")
    return "null\n" if shown is None else text


def _drop_unresolvable(node: DictConfig | ListConfig) -> None:
    """Replace each interpolation that cannot be resolved yet with `???`."""
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        try:
            child = None if OmegaConf.is_missing(node, name) else node[name]
        except OmegaConfBaseException:
            with flag_override(node, ["readonly", "struct"], False):
                node[name] = MISSING
            continue
        if isinstance(child, DictConfig | ListConfig):
            _drop_unresolvable(child)
