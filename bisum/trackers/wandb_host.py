"""The host of Weights & Biases: its settings, API key and availability."""

from __future__ import annotations

import contextlib
import os
import traceback
from urllib.parse import urlsplit

from bisum.interfaces.tracker import LOG

_MODES = {"dryrun": "offline", "run": "online"} | {mode: mode for mode in ("online", "offline", "disabled")}
"""Modes by value of WANDB_MODE."""
_ANSWER_SECONDS = 3
"""Time limit for the host to confirm the API key."""


def environment_mode() -> str:
    """Return the mode that WANDB_MODE sets; auto if it sets none."""
    return _MODES.get(os.environ.get("WANDB_MODE", ""), "auto")


def set_up() -> None:
    """Read W&B's settings from the environment and the user's own files, once per process."""
    import wandb

    with contextlib.chdir("/"):  # untrusted wandb/settings in the current folder could set another host
        wandb.setup()  # reads the environment before `offline_reason` sets a timeout


def offline_reason(mode: str, log: str | None = LOG) -> tuple[str | None, bool]:
    """Return the reason to stay offline, if any, and whether to warn of it; call `set_up` first.

    Args:
        mode: auto, online or offline.
        log: file that receives standard error and so a traceback; None: no traceback.
    """
    import wandb

    if mode == "offline":
        return "as requested", False
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(_ANSWER_SECONDS))
    try:
        has_key = wandb.login(prompt=False, verify=True)
    except Exception:
        if log is not None:
            traceback.print_exc()
        return f"{host()} did not confirm the API key{f' (see {log})' if log else ''}", True
    return (None, False) if has_key else ("no API key (wandb login)", mode == "online")


def host() -> str:
    """Return the name of the host; call `set_up` first."""
    import wandb

    return urlsplit(wandb.setup().settings.base_url).hostname or ""
