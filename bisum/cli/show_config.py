"""Show configurations instead of running them: `--cfg job`, `--package` and `--resolve`."""

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
    """Print a job's configuration, or the part under `--package`, as YAML."""
    print(_yaml(_chosen(job, line), line), end="")


def show_sweep(jobs: Sequence[Job], repeated: Sequence[str], line: CommandLine) -> None:
    """Print the jobs of a sweep as YAML documents: the first whole, and of each other one what differs from it.

    `repeated` says which listed jobs are none of their own.
    """
    print("".join(f"# {printable(text)}\n" for text in repeated), end="")
    first: Any = None
    for number, (job, own) in enumerate(
        zip(jobs, distinguishing_arguments([job.arguments for job in jobs]), strict=True)
    ):
        chosen = _chosen(job, line, or_none=number > 0)
        text = _yaml(chosen, line)
        plain = yaml.safe_load(text)
        differs = ", where it differs from job 0" if number else ""
        print("---\n" * (number > 0) + f"# job {number} of {len(jobs)}{differs}: {printable(own)}")
        if number == 0:
            first = plain
        elif isinstance(first, dict) and isinstance(plain, dict):
            print("".join(f"# without {printable(key)}\n" for key in _lacking(first, plain)), end="")
            text = OmegaConf.to_yaml(OmegaConf.create(_differing(first, plain)))
        print(text, end="")


def show_search(search: Search, line: CommandLine) -> None:
    """Print what is searched, and the configuration of a trial as YAML."""
    for key, found in search.space.items():
        print(f"# searched: {printable(key)}: {printable(str(found))}")
    print("# a trial:", printable(" ".join(search.arguments(search.first))))
    print(_yaml(_chosen(search.base, line), line), end="")


def _differing(first: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """Return the part of a mapping that another one lacks or has otherwise, nested."""
    found = {}
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(first.get(key), dict):
            if inner := _differing(first[key], value):
                found[key] = inner
        elif key not in first or value != first[key] or type(value) is not type(first[key]):
            found[key] = value
    return found


def _lacking(first: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of mappings that another one lacks."""
    if isinstance(first, dict) and isinstance(other, dict):
        for key, value in first.items():
            if key not in other:
                yield f"{prefix}{key}"
            else:
                yield from _lacking(value, other[key], f"{prefix}{key}.")


def _chosen(job: Job, line: CommandLine, *, or_none: bool = False) -> Any:
    """Return the part of a job's configuration that the command line asks for, or None where it has none."""
    shown: Any = job.shown if line.cfg == "job" else job.composed
    if line.resolve and line.cfg != "job":
        _drop_unresolvable(shown)  # some values, such as the job's number, exist only in a running job
        OmegaConf.resolve(shown)
    if line.cfg == "hydra":
        shown = OmegaConf.create({"hydra": shown.hydra})
    if line.package in (None, "_global_"):
        return shown
    nothing = object()
    try:
        shown = OmegaConf.select(shown, str(line.package), default=nothing, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"--package {line.package}: {one_line_of(error)}") from error
    if shown is nothing and or_none:
        return None
    if shown is nothing:
        raise UserError(f"--package: no key '{line.package}'")
    return shown


def _yaml(shown: Any, line: CommandLine) -> str:
    """Return a configuration or a single value as YAML, and report what cannot be shown of it."""
    try:
        text = OmegaConf.to_yaml(shown, resolve=line.resolve) if OmegaConf.is_config(shown) else f"{shown}\n"
    except OmegaConfBaseException as error:
        raise UserError(f"--package {line.package}: {one_line_of(error)}") from error
    text = text if line.resolve else mask_variables(text)  # a single value is resolved in any case
    if clean(text) != text:
        complain("--cfg: values are shown without their control characters")
    return "null\n" if shown is None else text


def _drop_unresolvable(node: DictConfig | ListConfig) -> None:
    """Replace each interpolation that cannot be resolved yet by `???`."""
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        try:
            child = None if OmegaConf.is_missing(node, name) else node[name]
        except OmegaConfBaseException:
            with flag_override(node, ["readonly", "struct"], False):
                node[name] = MISSING
            continue
        if isinstance(child, DictConfig | ListConfig):
            _drop_unresolvable(child)
