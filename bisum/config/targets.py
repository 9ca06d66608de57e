"""The code that a configuration may name: `bisum.*`, and whatever the user allows."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bisum.errors import UserError, nearest, reason

ALLOW_VARIABLE = "BISUM_ALLOW_TARGETS"
"""Environment variable with the packages, besides bisum, that a configuration may name."""


def allowed_targets() -> list[str]:
    """Return the packages, besides bisum, whose classes `_target_` may name."""
    return [name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(",") if name.strip()]


def allow(value: str) -> None:
    """Allow the packages in `[a,b]`, which may lie in the current folder, to this process and those it starts."""
    names = [*allowed_targets(), *(name.strip().strip("'\"") for name in value.strip("[]").split(","))]
    if names := list(filter(None, names)):
        os.environ[ALLOW_VARIABLE] = ",".join(names)
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))


def take_allow_targets(arguments: Iterable[str]) -> list[str]:
    """Allow the packages that `allow_targets=[a,b]` names among a user's own arguments, and return the others."""
    arguments = list(arguments)
    ours = [argument for argument in arguments if argument.lstrip("+").startswith("allow_targets=")]
    for argument in ours:
        allow(argument.partition("=")[2])
    return [argument for argument in arguments if argument not in ours]


def is_allowed(target: str, packages: Iterable[str]) -> bool:
    """Return whether a dotted path is one of the packages or lies inside one."""
    return any(target == package or target.startswith(f"{package}.") for package in packages)


def refusal(target: str, packages: Sequence[str]) -> str | None:
    """Return why a `_target_` may not be imported; None if it may."""
    if is_allowed(target, packages):
        return None
    package = target.partition(".")[0]
    return (
        f"'{target}' is not allowed (allowed: {', '.join(packages)}); if you trust that code, "
        f"add allow_targets=[{package}] to the command line or set {ALLOW_VARIABLE}={package}"
    )


def locate(path: str) -> type:
    """Import the class that a dotted path names.

    Raises:
        UserError: the module or class does not exist, or the module cannot be imported.
    """
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and is_allowed(module_name, [error.name]):
            raise UserError(f"'{path}': there is no module '{error.name}' on the Python path") from error
        raise UserError(f"'{path}': its module needs '{error.name}', which is not installed") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"'{path}': its module cannot be imported: {reason(error)}") from error
    cls = getattr(module, class_name, None)
    if not inspect.isclass(cls):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        own = [name for name in classes if getattr(module, name).__module__ == module_name]
        raise UserError(
            f"'{module_name}' has no class '{class_name}'{nearest(class_name, own)} (valid: {', '.join(own)})"
        )
    return cls


def refuse_foreign_script(metric: str) -> None:
    """Refuse a metric of the `evaluate` library that is not allowed: its script is code.

    A hub name must be listed itself; a script may lie anywhere below a listed path, links followed.
    """
    allowed, script = allowed_targets(), local_script(metric)
    if metric in allowed:
        return
    if script is not None:
        real = script.resolve()
        if any(Path(entry).resolve() in (real, *real.parents) for entry in allowed):
            return
    raise UserError(
        f"metric {metric!r} runs code that bisum does not know: "
        f"allow it with allow_targets=[{metric}] on the command line or {ALLOW_VARIABLE}={metric}"
    )


def local_script(metric: str) -> Path | None:
    """Return the file that `evaluate.load(metric)` would run: `metric` itself, or the script of that name inside it."""
    path = Path(metric).absolute()
    script = path if path.suffix == ".py" else path / f"{path.name}.py"
    return script if script.is_file() else None
