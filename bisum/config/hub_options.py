"""The schema of uploads to the Hugging Face hub, in training and by `bisum push`.

Nothing here imports huggingface_hub, which is slow to import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from bisum.errors import UserError
from bisum.interfaces.text import Name

_REPO_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_MOST_LETTERS = 96


def check_repo_id(repo_id: str | None) -> None:
    """Refuse a name that the hub does not accept for a repository.

    The rules are those of `huggingface_hub.utils.validate_repo_id`.

    Raises:
        UserError: the name is invalid.
    """
    if repo_id is None:
        return
    name = repo_id.rpartition("/")[2]
    is_valid = _REPO_ID.fullmatch(repo_id) and len(repo_id) <= _MOST_LETTERS and not re.search(r"--|\.\.", repo_id)
    if not is_valid or name.endswith((".git", "-", ".")):
        raise UserError(
            f"repo_id: '{repo_id}' is not a repository name; use letters, digits, -, _ and . as in me/mt5-reviews, "
            f"at most {_MOST_LETTERS} characters"
        )


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """Uploads to the Hugging Face hub during training; none of it changes a result."""

    push: bool
    """Upload the newest checkpoint, its card and metrics after each evaluation, and the best one at the end."""
    repo_id: Name | None
    """Repository to upload to, such as me/mt5-reviews; created if missing; required with push."""
    private: bool
    """Whether a new repository is private; true also refuses an existing public one."""
    revisions: bool
    """Upload every evaluated checkpoint and tag its commit epoch-<n>; false: only the newest waiting one."""
    license: Name | None
    """Licence of the model as the hub names it, such as apache-2.0, for the card; null: not stated."""
    timeout: Annotated[float, Gt(0), Le(1e6)]
    """Minutes after which an unfinished upload is given up; training waits only for the last one."""

    def __post_init__(self) -> None:
        check_repo_id(self.repo_id)
        if self.push and self.repo_id is None:
            raise UserError("repo_id: required with hub.push, such as hub.repo_id=me/mt5-reviews")


@dataclass(frozen=True, kw_only=True)
class PushHubOptions:
    """The destination of `bisum push`; null: as in the run's own configuration."""

    repo_id: Name | None
    """Repository to upload to, such as me/mt5-reviews; created if missing; null: the
    run's own."""
    private: bool | None
    """Whether a new repository is private; true also refuses an existing public one; null: as in
    the run, otherwise true."""
    revisions: bool | None
    """Upload all checkpoints of the run and tag their commits epoch-<n>; the best one is uploaded last;
    null: as in the run."""
    license: Name | None
    """Licence of the model as the hub names it, such as apache-2.0, for the card; null: as in the run or, without
    one, in the repository's card."""
    folder: Name | None
    """New folder to write instead, with the files that would be uploaded; nothing is uploaded; null: upload."""

    def __post_init__(self) -> None:
        check_repo_id(self.repo_id)
        for name in ("license", "folder"):
            if "${" in (getattr(self, name) or ""):
                raise UserError(f"{name}: bisum push resolves no '${{'; give the value itself")


@dataclass(frozen=True, kw_only=True)
class PushModelOptions:
    """How to read the base of an adapter."""

    base: Name | None
    """Location of an adapter's base, if it has moved; null: the recorded location."""
    pickled_weights: bool
    """Whether to allow a base whose weights are in `pytorch_model.bin`, read by torch's safe loader."""


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """The settings of `bisum push`."""

    hub: PushHubOptions
    """Destination of the model."""
    model: PushModelOptions
    """How to read the base of an adapter."""
