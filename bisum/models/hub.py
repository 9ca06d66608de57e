"""Models from the Hugging Face hub: read from its cache, or downloaded with a progress bar."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

from bisum.errors import UserError
from bisum.hub_client import answers_within, hub_problem, hub_reason, is_temporary
from bisum.interfaces.progress import ShowProgress

logger = logging.getLogger(__name__)

TOKENIZER_FILES = (
    *("*token*", "*.model", "*.spm", "*vocab*", "merges.txt"),
    *("dict.txt", "bpe.codes", "byte_maps.json"),  # of BARTpho, PhoBERT and MyT5
)
READER_FILES = ("config.json", "generation_config.json", "chat_template*", *TOKENIZER_FILES)
SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "base.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")


class NotOnHub(UserError):
    """The hub cannot provide a model: it has none of that name, refuses access or is unreachable."""


def fetch(
    name: str,
    revision: str | None,
    key: str,
    *,
    weights: bool,
    pickles: bool,
    progress: ShowProgress | None,
    further: Sequence[str] = (),
) -> Path:
    """Return the local folder of a model's files, optionally with weights (pickled only if no others exist).

    The files of an adapter are small, so they always include its weights.

    `key` is the configuration key that names the model; `further` are names or patterns of additional files.

    A cached commit needs no network if `revision` pins it. Otherwise one request, without retries, queries the
    hub for the newest commit; if the hub cannot answer, the newest commit in the cache is used.

    Raises:
        NotOnHub: the hub lacks the model or revision, refuses access or cannot be reached.
    """
    choices = ((SAFETENSORS, PICKLES)[: 1 + pickles] if weights else (("config.json",),)) + (ADAPTER,)

    def cached() -> Path | None:
        """Return the folder in the cache, unless some of the files are missing."""
        for files in choices:
            with suppress(OSError, ValueError, LookupError, AttributeError):  # missing files, or a damaged index
                wanted = [*READER_FILES, *files]
                folder = snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=wanted)
                if _is_complete(Path(folder), files):
                    return Path(folder)
        return None

    try:
        if revision is not None and re.fullmatch("[0-9a-f]{40}", revision) and (folder := cached()):
            return folder
        with answers_within(constants.HF_HUB_DOWNLOAD_TIMEOUT):
            try:
                found = HfApi().model_info(name, revision=revision, files_metadata=True)
            except Exception as error:  # network errors have many types
                is_offline = constants.is_offline_mode()
                if not (is_offline or is_temporary(error)) or not (folder := cached()):
                    raise
                if not is_offline:
                    what = f"{key}: a request for '{name}' to the hub failed ({hub_reason(error)})"
                    logger.warning("%s; its newest files in the cache are used", what)
                return folder
            files = found.siblings or []
            choice = next((choice for choice in choices if any(_matches(file, choice) for file in files)), ())
            # An adapter beside a whole model is unused.
            adapter = () if any(_matches(file, SAFETENSORS) for file in files) else ADAPTER
            wanted = [file for file in files if _matches(file, [*READER_FILES, *choice, *adapter, *further])]
            return _download(name, revision, wanted, progress)
    except Exception as error:  # the client and its HTTP library have many types
        instead = "check the network, or give a downloaded model's directory"
        problem = hub_problem(error, name, "model", key, local="directory", revision=revision, instead=instead)
        raise NotOnHub(problem) from error


def commit_of(folder: Path) -> str | None:
    """Return the commit of a folder that `fetch` returned; None for other folders."""
    return folder.name if folder.parent.name == "snapshots" else None


def _is_complete(folder: Path, patterns: Sequence[str]) -> bool:
    """Return whether a folder has files of some patterns, and all those that their indexes name."""
    found = {path.name for pattern in patterns for path in folder.glob(pattern)}
    named: set[str] = set()
    for name in found:
        if name.endswith(".index.json"):
            named.update(json.loads((folder / name).read_text("utf-8"))["weight_map"].values())
    return bool(found) and named <= found


def _matches(file: RepoSibling, patterns: Sequence[str]) -> bool:
    return any(fnmatch(file.rfilename, pattern) for pattern in patterns)


def _download(name: str, revision: str | None, files: Sequence[RepoSibling], progress: ShowProgress | None) -> Path:
    """Download files; the client notes the commit of `revision` in the cache, where it is found without the hub."""
    wanted = [file.rfilename for file in files]
    if progress is None:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    blobs = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type="model"), "blobs")
    sizes = {file.lfs.sha256 if file.lfs else str(file.blob_id): file.size or 0 for file in files}
    total = sum(sizes.values())
    in_cache = sum(size for blob, size in sizes.items() if (blobs / blob).exists())
    with progress(f"downloading {name} (MB)", total // 10**6, in_cache // 10**6) as bar:

        class Bytes(tqdm):
            """A hidden progress bar that reports the written bytes to ours."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                self.counts = str(options.get("desc", "")).startswith("Reconstructing")
                self.done = float(in_cache)
                super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]

            def update(self, n: float | None = 1) -> bool | None:
                self.done += n or 0
                if self.counts:
                    bar.advance(int(self.done / 1e6))
                return None

        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, tqdm_class=Bytes))
