"""The environment of a run: package versions and the commit of the code."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from bisum.version import __version__

_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "hydra-core",
    "rouge-score-rs",
)


def versions() -> dict[str, str | None]:
    """Return the versions of Python, bisum and the packages that affect results; None if not installed."""
    return {"python": sys.version.split()[0], "bisum": __version__, **{name: _version(name) for name in _PACKAGES}}


def commit() -> str | None:
    """Return the commit of the working directory's repository, with "+" if tracked files are modified."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        status = ["git", "status", "--porcelain", "--untracked-files=no"]
        dirty = subprocess.run(status, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
