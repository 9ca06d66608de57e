"""How a model was trained, as its run recorded it: data, settings, versions and cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bisum.display.terminal import clock
from bisum.hub.markdown import LONGEST_COMMAND, code, escaped, line, listed, table
from bisum.hub.origins import node
from bisum.interfaces.source import SPLITS
from bisum.models.adapter_files import AdapterFiles, read_adapter
from bisum.runs.checkpoints import is_adapter
from bisum.runs.entries import is_number

_HIDDEN = ("_target_", "best_metric", "log_every", "keep_checkpoints", "save_every", "merge", "tokenizer")
"""Keys that change no weight, or that the card names elsewhere."""
_STEPS = {"empty": "empty", "sample": "row limit"}
"""Names of the steps that drop rows, other than filters."""
_MOST_COMMANDS = 20
_HOMES = re.compile(r"(?<![\w/.-])(/home/[^/\s'\"]+|/Users/[^/\s'\"]+|/root)(?=[/\s'\"]|$)")


def rows_table(record: Mapping[str, Any]) -> Markup:
    """Return the rows read, dropped by each filter and kept, per split and language."""
    counts = {
        (split, language): count
        for split, by_language in _splits(node(record, "data", "rows"))
        for language, count in by_language.items()
    }
    drops = dict.fromkeys(step for count in counts.values() for step in node(count, "dropped"))
    steps = [step for step in drops if step not in _STEPS or any(node(c, "dropped").get(step) for c in counts.values())]
    header = ["", "", "read", *(_STEPS.get(step) or code(step) for step in steps), "kept"]
    rows = []
    for (split, language), count in counts.items():
        dropped = [_count(node(count, "dropped").get(step), "-") for step in steps]
        rows.append([split, code(language), _count(count.get("loaded")), *dropped, _bold(_count(count["kept"]))])
    return table(header, rows, numbers=len(header) - 2)


def filters(record: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield each filter with its settings."""
    for name in node(record, "config", "filter"):
        settings = node(record, "config", "filter", name)
        given = [code(f"{key}={_shown(value)}") for key, value in settings.items() if _is_set(key, value)]
        yield Markup("{}: {}").format(code(name), listed(given)) if given else code(name)


def cut_shares(record: Mapping[str, Any], text: str) -> Markup | None:
    """Return the shares of `documents` or `summaries` that were cut, by split; None if they are not recorded."""
    splits = [(split, counts) for split, counts in _splits(node(record, "cut")) if counts["rows"]]
    shares = [Markup(f"{counts[text] / counts['rows']:.1%} in {split}") for split, counts in splits]
    return listed(shares) if shares else None


def settings_table(record: Mapping[str, Any]) -> Markup:
    """Return the settings that determine the weights and the summaries."""
    chosen = node(record, "choices").get("trainer")
    banned = {"generation.no_repeat_ngram_size": record.get("no_repeat_ngram_size")}  # the checkpoint's, if null is set
    shown = {"trainer": chosen, **_settings(record, "trainer"), **banned, **_settings(record, "generation")}
    shown |= {key: value for key, value in _settings(record, "model").items() if key.startswith("model.max_")}
    shown |= _settings(record, "model", "architecture")
    corpus, seed = node(record, "config", "corpus"), node(record, "config").get("seed")
    shown |= {"corpus.language_temperature": corpus.get("language_temperature"), "seed": seed}
    rows = [[code(key), code(_shown(value))] for key, value in shown.items() if value is not None]
    return table(["setting", "value"], rows)


def _settings(record: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the values below a key that are set, by dotted keys."""
    values = node(record, "config", *keys).items()
    return {".".join([*keys, str(key)]): value for key, value in values if _is_set(key, value)}


def vocabulary(record: Mapping[str, Any]) -> Markup | None:
    """Return what trimming left of the vocabulary, as a sentence; None if the run did not trim it."""
    found = node(record, "vocabulary")
    if not found:
        return None
    return Markup(
        f"Its vocabulary was trimmed for the training rows, to {found['kept']:,} of {found['of']:,} pieces. Texts in "
        "other languages are cut into more pieces."
    )


def adapter(record: Mapping[str, Any]) -> Markup | None:
    """Return the kind of the adapter that was trained instead of all weights, as a noun phrase; None without one."""
    match node(record, "config", "adapter").get("_target_"):
        case None | "bisum.models.adapters.NoAdapter":
            return None
        case "bisum.models.adapters.Lora":
            return Markup("A LoRA adapter")
        case kind:
            return Markup("An adapter ({})").format(code(str(kind).rpartition(".")[2]))


def adapter_table(record: Mapping[str, Any], checkpoint: Path) -> Markup:
    """Return the settings of the adapter, with the names of the layers from its checkpoint if none are configured."""
    shown = _settings(record, "adapter")
    if "adapter.targets" not in shown and (files := _adapter_files(checkpoint)):
        shown["adapter.targets"] = files.settings.targets
    return table(["setting", "value"], [[code(key), code(_shown(value))] for key, value in shown.items()])


def base_hashes(record: Mapping[str, Any], checkpoint: Path) -> list[Markup]:
    """Return the names and SHA-256 of the weights that the adapter belongs to, as far as they are recorded."""
    files = _adapter_files(checkpoint)
    hashes = node(record, "source", "sha256") or (files.base.weights if files else {})
    return [Markup("{}: {}").format(code(name), code(digest)) for name, digest in hashes.items()]


def _adapter_files(checkpoint: Path) -> AdapterFiles | None:
    return read_adapter(checkpoint) if is_adapter(checkpoint) else None


def cost(record: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield facts about the machine: device, precision, time and memory."""
    if device := record.get("device"):
        yield Markup("Device: {}, precision {}").format(escaped(device), escaped(record.get("precision") or "unknown"))
    if is_number(seconds := node(record, "seconds").get("training")):
        speed = record.get("rows_per_second")
        rows = f", {speed:,.0f} rows per second between evaluations" if is_number(speed) else ""
        yield Markup(f"Training time: {clock(seconds)}, with evaluations and checkpoints{rows}")
    if memory := record.get("peak_memory"):
        yield Markup(f"Peak memory of the process: {memory / 1e9:.1f} GB")


def versions(record: Mapping[str, Any]) -> Markup:
    """Return the versions of Python, bisum and the libraries, and the commit, as in a sentence."""
    found = [Markup("{} {}").format(escaped(name), escaped(value)) for name, value in node(record, "versions").items()]
    if commit := record.get("commit"):
        found.append(Markup("commit {}").format(code(commit)))
    return listed(found) if found else Markup("")


def commands_of(record: Mapping[str, Any]) -> str:
    """Return the commands that started and resumed a run, a line each, with home directories as `~`."""
    home = str(Path.home())
    lines = [line(text, LONGEST_COMMAND) for text in record.get("commands") or [record.get("command")] if text]
    lines = [_HOMES.sub("~", text.replace(home, "~") if len(home) > 1 else text) for text in lines]
    return "\n".join(lines[:_MOST_COMMANDS])


def _splits(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the recorded splits in their order, each with its entries."""
    for split in SPLITS:
        if found := node(values, split):
            yield split, found


def _is_set(key: Any, value: Any) -> bool:
    return key not in _HIDDEN and value is not None


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _count(value: Any, sign: str = "") -> Markup:
    return Markup(f"{sign if value else ''}{value:,}" if type(value) is int else "–")


def _bold(text: Markup) -> Markup:
    return Markup(f"**{text}**")
