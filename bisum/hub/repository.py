"""A model repository on the Hugging Face hub: its creation, and uploads that are repeated after an outage."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import RevisionNotFoundError

from bisum.errors import UserError
from bisum.hub_client import answers_within, hub_problem, is_temporary
from bisum.models.hub import READER_FILES

T = TypeVar("T")

_SILENCE = 30.0
"""Seconds without any answer after which a request fails."""
_WAITS = (1.0, 4.0)
"""Seconds before each repetition of an upload, in addition to the client's own repetitions of single requests."""
_OTHER_MODELS = (*READER_FILES, "model*.safetensors*", "pytorch_model*", "adapter_*", "base.json", "*.h5", "*.msgpack")
"""Files of an earlier model, which would be loaded with this model's files or instead of them."""


class Unreachable(Exception):
    """The hub cannot be reached or is too busy, so that the same request can succeed later."""


@dataclass(frozen=True)
class Repository:
    """A model repository on the hub; the token is huggingface_hub's own, from the environment or its login."""

    name: str
    """Its name; without an owner, the user's own."""
    private: bool
    """Whether to create it private, and to refuse an existing public one."""
    license: str | None = None
    """The licence in its card, once it is created."""

    @property
    def visibility(self) -> str:
        """Whether others can see it."""
        return "private" if self.private else "public"

    @property
    def url(self) -> str:
        """Its page."""
        return f"{constants.ENDPOINT}/{self.name}"

    def created(self) -> Repository:
        """Create the repository unless it exists, and return it with its owner's name, its visibility and its licence.

        Raises:
            UserError: there is no login, or it does not permit this; or the repository is public and must be private.
            Unreachable: the hub does not answer.
        """
        check_login()
        hub = HfApi()
        url = self._request(partial(hub.create_repo, self.name, private=self.private, exist_ok=True))
        found = replace(self, name=url.repo_id)
        info = found._request(partial(hub.model_info, found.name))
        if self.private and not info.private:
            raise UserError(
                f"hub.private: '{found.name}' exists and is public; choose another hub.repo_id, or upload to it with "
                "hub.private=false"
            )
        license = getattr(info.card_data, "license", None)
        return replace(found, private=bool(info.private), license=license if isinstance(license, str) else None)

    def upload(self, folder: Path, message: str, tag: str | None = None) -> str:
        """Upload a folder as one commit, and return the commit; files of the repository with other names remain.

        Args:
            folder: the folder to upload.
            message: the commit message.
            tag: a tag for the commit; an existing tag of this name moves to it.

        Raises:
            UserError: the hub refuses the upload.
            Unreachable: the hub does not answer, also after repetitions.
        """
        hub = HfApi()
        commit = partial(
            hub.upload_folder,
            repo_id=self.name,
            folder_path=folder,
            commit_message=message,
            delete_patterns=list(_OTHER_MODELS),
        )
        for wait in _WAITS:
            with suppress(Unreachable):
                done = self._request(commit)
                break
            time.sleep(wait)
        else:
            done = self._request(commit)
        if tag is not None:
            self._request(partial(_move_tag, hub, self.name, tag, str(done.oid)))
        return str(done.oid)

    def _request(self, request: Callable[[], T]) -> T:
        """Return the result of a request to the hub.

        Raises:
            UserError, Unreachable: see `upload`.
        """
        try:
            with answers_within(_SILENCE):
                return request()
        except Exception as error:  # the type depends on the client's HTTP library
            problem = hub_problem(error, self.name, "model", "hub.repo_id")
            raise (Unreachable if is_temporary(error) else UserError)(problem) from error


def _move_tag(hub: HfApi, name: str, tag: str, commit: str) -> None:
    with suppress(RevisionNotFoundError):
        hub.delete_tag(name, tag=tag)
    hub.create_tag(name, tag=tag, revision=commit)


def check_login() -> None:
    """Refuse an upload without a login, or while huggingface_hub is offline.

    Raises:
        UserError: one of the two.
    """
    if constants.HF_HUB_OFFLINE:
        raise UserError("hub: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it")
    if get_token() is None:
        raise UserError("hub: an upload needs a login; run 'hf auth login', or set HF_TOKEN to a token that can write")
