"""Models from the Hugging Face hub: read from its cache, or downloaded with a progress bar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

from bisum.errors import reason
from bisum.interfaces.progress import ShowProgress

READER_FILES = (
    *("config.json", "generation_config.json", "chat_template*"),
    *("*token*", "*.model", "vocab.*", "merges.txt"),
)
SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "base.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")


def fetch(
    name: str,
    revision: str | None,
    weights: bool,
    pickles: bool,
    progress: ShowProgress | None,
    further: Sequence[str] = (),
) -> Path:
    """Return the local folder of a model's files, optionally with weights (pickled only if no others exist).

    The files of an adapter are small, so they always include its weights.

    `further` are names or patterns of additional files.

    A cached commit needs no network if `revision` pins it. Otherwise one request, without retries, queries the
    hub for the newest commit; if the hub is unreachable, the newest commit in the cache is used.

    Raises:
        OSError: the hub lacks the model or revision, or is unreachable; the message of `huggingface_hub` states which.
    """
    patterns = [*READER_FILES, *ADAPTER, *(SAFETENSORS if weights else ()), *(PICKLES if pickles else ()), *further]
    one_of = [*(SAFETENSORS if weights else ["config.json"]), *(PICKLES if pickles else ()), ADAPTER[1]]

    def cached() -> Path | None:
        """Return the folder in the cache, unless another program downloaded only some of the files."""
        with suppress(OSError):
            folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
            if any(next(folder.glob(pattern), None) for pattern in one_of):
                return folder
        return None

    if revision is not None and re.fullmatch("[0-9a-f]{40}", revision) and (folder := cached()):
        return folder
    try:
        found = HfApi().model_info(name, revision=revision, timeout=10, files_metadata=True)
    except HfHubHTTPError:
        raise
    except Exception as error:  # network errors have many types
        if folder := cached():
            return folder
        raise LocalEntryNotFoundError(reason(error)) from error
    files = {file.rfilename: file.size or 0 for file in found.siblings or []}
    if any(fnmatch(file, pattern) for file in files for pattern in SAFETENSORS):  # an adapter beside them is unused
        patterns = [pattern for pattern in patterns if pattern not in (*PICKLES, *ADAPTER)]
    return _download(name, str(found.sha), patterns, files, progress)


def _download(
    name: str, commit: str, patterns: Sequence[str], sizes: dict[str, int], progress: ShowProgress | None
) -> Path:
    wanted = [file for file in sizes if any(fnmatch(file, pattern) for pattern in patterns)]
    if progress is None:
        return Path(snapshot_download(name, revision=commit, allow_patterns=wanted))
    with progress(f"downloading {name} (MB)", sum(sizes[file] for file in wanted) // 10**6) as bar:

        class Bytes(tqdm):
            """A hidden progress bar that reports the written bytes to ours."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                self.counts = str(options.get("desc", "")).startswith("Reconstructing")
                self.done = 0.0
                super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]

            def update(self, n: float | None = 1) -> bool | None:
                self.done += n or 0
                if self.counts:
                    bar.advance(int(self.done / 1e6))
                return None

        return Path(snapshot_download(name, revision=commit, allow_patterns=wanted, tqdm_class=Bytes))
