"""The host of Weights & Biases: whether there is an API key for it, and whether it answers."""

from __future__ import annotations

import contextlib
import os
import traceback
from urllib.parse import urlsplit

from bisum.interfaces.tracker import LOG

_MODES = {"dryrun": "offline", "run": "online"} | {mode: mode for mode in ("online", "offline", "disabled")}
"""Modes, by the value of WANDB_MODE."""
_ANSWER_SECONDS = 3
"""Time limit for the host to confirm the API key."""


def environment_mode() -> str:
    """Return the mode that WANDB_MODE asks for; auto if it asks for none."""
    return _MODES.get(os.environ.get("WANDB_MODE", ""), "auto")


def set_up() -> None:
    """Read W&B's settings from the environment and the user's own files, once in a process."""
    import wandb

    with contextlib.chdir("/"):  # wandb/settings in the current folder may be a stranger's, and name another host
        wandb.setup()  # reads the environment before the timeout of the login


def offline_reason(mode: str, log: str | None = LOG) -> tuple[str | None, bool]:
    """Return the reason to stay offline, if any, and whether it deserves a warning; `set_up` comes first.

    Args:
        mode: auto, online or offline.
        log: file to which standard error goes, which gets a traceback; None: no traceback.
    """
    import wandb

    if mode == "offline":
        return "as asked", False
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(_ANSWER_SECONDS))
    try:
        has_key = wandb.login(prompt=False, verify=True)
    except Exception:
        if log is not None:
            traceback.print_exc()
        return f"{host()} does not confirm the API key{f' (see {log})' if log else ''}", True
    return (None, False) if has_key else ("no API key (wandb login)", mode == "online")


def host() -> str:
    """Return the name of the host; `set_up` comes first."""
    import wandb

    return urlsplit(wandb.setup().settings.base_url).hostname or ""
