"""The environment of the processes that bisum starts."""

from __future__ import annotations

import os
import sys


def child_environment(**more: str) -> dict[str, str]:
    """Return this process's variables, with which another Python process finds the same modules, and `more`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
