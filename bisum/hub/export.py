"""The folder of a model to share: what plain transformers reads, the model card and the metrics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bisum.config.options import ModelOptions
from bisum.errors import UserError, printable
from bisum.hub.card import write_card
from bisum.models.loading import load_reader
from bisum.models.merging import write_merged
from bisum.runs.checkpoints import MANIFEST, OPTIMIZER, STATE, damage, is_adapter

METRICS = "metrics.jsonl"


def export(run: Path, options: ModelOptions, folder: Path, repo_id: str | None, license: str | None) -> None:
    """Write a run's checkpoint into a new folder as a plain model: an adapter is merged into its base.

    Only the files that bisum lists in the checkpoint's manifest are copied, since the run can be someone else's.

    Args:
        run: the run directory.
        options: the model, whose `checkpoint` is one of the run's checkpoints.
        folder: the folder to write.
        repo_id: the name of the repository on the hub, if known.
        license: the licence of the model, for its card.

    Raises:
        UserError: the checkpoint or the base of its adapter is missing or damaged, or a file is a link.
    """
    checkpoint = Path(str(options.checkpoint))
    if problem := damage(checkpoint, unneeded=(OPTIMIZER, STATE)):
        raise UserError(f"'{checkpoint}' is damaged ({problem}); restore it from a copy, or delete it")
    folder.mkdir()
    listed = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    names = [name for name in listed if name not in (OPTIMIZER, STATE)]
    for path in (*(checkpoint / name for name in names), run / METRICS):
        _check(path, checkpoint if path.name != METRICS else run)
    if is_adapter(checkpoint):
        write_merged(checkpoint, folder, options)
    else:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkpoint / name, folder / name)
    shutil.copyfile(run / METRICS, folder / METRICS)
    write_card(run, folder, checkpoint.name, load_reader(options), repo_id, license)


def _check(path: Path, folder: Path) -> None:
    """Refuse a file that is missing, a link or outside its folder, which could publish another file."""
    if path.resolve() != folder.resolve() / path.relative_to(folder) or not path.is_file():
        raise UserError(f"'{printable(str(path))}' is not a regular file of the run; restore it from a copy")
