"""The local folder of a model that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bisum.config.model_source import is_hub_name, located, missing_directory
from bisum.errors import UserError, printable
from bisum.interfaces.progress import ShowProgress


def folder_of(
    key: str,
    given: str,
    revision: str | None,
    weights: bool,
    pickles: bool,
    progress: ShowProgress | None,
    further: Sequence[str] = (),
) -> Path:
    """Return the local folder of a directory, `pkg://PACKAGE` or hub model.

    Args:
        key: the configuration key that names the model.
        given: its value.
        revision: the revision of a hub model.
        weights: whether to download the weights of a hub model, too.
        pickles: whether to download pickled weights if there are no others.
        progress: shows the progress of a download.
        further: names or patterns of additional files of a hub model.

    Raises:
        UserError: there is no such folder; `NotOnHub` if the hub cannot provide the model.
    """
    place = located(given, key)
    path = Path(place)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # the name is too long, or has a null character
        is_folder = is_file = False
    if is_folder:
        return path
    if is_file:
        raise UserError(f"{key}: '{printable(given)}' is a file; give the directory of a model")
    if not is_hub_name(given):
        raise missing_directory(key, given)
    from bisum.models.hub import fetch  # the hub's client is slow to import

    return fetch(given, revision, key, weights=weights, pickles=pickles, progress=progress, further=further)
