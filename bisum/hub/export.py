"""The folder of a model to share: what plain transformers reads, the model card and the metrics."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from bisum.config.options import ModelOptions
from bisum.hub.card import write_card
from bisum.models.loading import load_reader
from bisum.models.merging import write_merged
from bisum.runs.checkpoints import MANIFEST, OPTIMIZER, STATE, is_adapter

_FOR_RESUMING = (OPTIMIZER, STATE, MANIFEST)


def export(run: Path, options: ModelOptions, folder: Path, repo_id: str | None, license: str | None) -> None:
    """Write a run's checkpoint into a new folder as a plain model: an adapter is merged into its base.

    Args:
        run: the run directory.
        options: the model, whose `checkpoint` is one of the run's checkpoints.
        folder: the folder to write.
        repo_id: the name of the repository on the hub, if known.
        license: the licence of the model, for its card.

    Raises:
        UserError: the checkpoint or the base of its adapter is missing or damaged.
    """
    checkpoint = Path(str(options.checkpoint))
    folder.mkdir()
    if is_adapter(checkpoint):
        write_merged(checkpoint, folder, options)
    else:
        for path in sorted(checkpoint.iterdir()):
            if path.name not in _FOR_RESUMING and path.is_file():
                shutil.copyfile(path, folder / path.name)
    with suppress(FileNotFoundError):
        shutil.copyfile(run / "metrics.jsonl", folder / "metrics.jsonl")
    write_card(run, folder, checkpoint.name, load_reader(options), repo_id, license)
