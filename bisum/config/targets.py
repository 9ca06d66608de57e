"""The code that a configuration can refer to: `bisum.*` and the packages that the user allows."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bisum.errors import UserError, nearest, reason

ALLOW_VARIABLE = "BISUM_ALLOW_TARGETS"
"""Environment variable that lists the packages allowed in a configuration, in addition to bisum."""


def allowed_targets() -> list[str]:
    """Return the packages allowed in `_target_`, in addition to bisum."""
    return [name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(",") if name.strip()]


def allow(value: str) -> None:
    """Allow the packages in `[a,b]`, also from the current folder, in this process and its child processes."""
    names = [*allowed_targets(), *(name.strip().strip("'\"") for name in value.strip("[]").split(","))]
    if names := list(filter(None, names)):
        os.environ[ALLOW_VARIABLE] = ",".join(names)
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))


def take_allow_targets(arguments: Iterable[str]) -> list[str]:
    """Allow the packages in a user's own argument `allow_targets=[a,b]`, and return the other arguments."""
    arguments = list(arguments)
    ours = [argument for argument in arguments if argument.lstrip("+").startswith("allow_targets=")]
    for argument in ours:
        allow(argument.partition("=")[2])
    return [argument for argument in arguments if argument not in ours]


def is_allowed(target: str, packages: Iterable[str]) -> bool:
    """Return whether a dotted path is one of the packages or inside one."""
    return any(target == package or target.startswith(f"{package}.") for package in packages)


def refusal(target: str, packages: Sequence[str]) -> str | None:
    """Return why a `_target_` cannot be imported; None if it is allowed."""
    if is_allowed(target, packages):
        return None
    package = target.partition(".")[0]
    return (
        f"'{target}' is not allowed (allowed: {', '.join(packages)}); if you trust this code, "
        f"add allow_targets=[{package}] to the command line or set {ALLOW_VARIABLE}={package}"
    )


def locate(path: str) -> type:
    """Import a class by its dotted path.

    Raises:
        UserError: the module or class does not exist, or the module cannot be imported.
    """
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and is_allowed(module_name, [error.name]):
            raise UserError(f"'{path}': no module '{error.name}' on the Python path") from error
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


def refuse_script(metric: str) -> None:
    """Refuse a metric of the `evaluate` library that is not allowed, since its script is code.

    A hub name must be allowed itself; a script can be anywhere below an allowed path, after resolving links.
    """
    allowed, script = allowed_targets(), local_script(metric)
    if metric in allowed:
        return
    if script is not None:
        real = script.resolve()
        if any(Path(entry).resolve() in (real, *real.parents) for entry in allowed):
            return
    raise UserError(
        f"metric {metric!r} runs third-party code; if you trust it, add allow_targets=[{metric}] to the command line "
        f"or set {ALLOW_VARIABLE}={metric}"
    )


def local_script(metric: str) -> Path | None:
    """Return the file that `evaluate.load(metric)` would run: `metric` itself, or the script of that name in it."""
    path = Path(metric).absolute()
    script = path if path.suffix == ".py" else path / f"{path.name}.py"
    return script if script.is_file() else None
