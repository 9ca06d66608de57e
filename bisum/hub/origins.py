"""The origins of a model: its base model, its corpus and its languages, as a run recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bisum.config.hub_options import check_repo_id
from bisum.config.model_source import SCHEME
from bisum.corpus.languages import tools_for
from bisum.errors import UserError, without_secrets
from bisum.hub.markdown import code, escaped, line, listed
from bisum.interfaces.source import SPLITS

HUB = "https://huggingface.co"
_LONGEST_CODE = 40


@dataclass(frozen=True)
class Origin:
    """A base model or a corpus."""

    title: str
    """Its name as plain text."""
    description: Markup
    """A noun phrase."""
    repo: str | None = None
    """Its repository on the hub, if it has one."""
    revision: str | None = None


def node(values: Any, *keys: str) -> Mapping[str, Any]:
    """Return the object under a path of keys in a record; {} if there is none."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def base_model(record: Mapping[str, Any]) -> Origin:
    """Return the model that training started from."""
    model = node(record, "config", "model")
    name, revision = model.get("checkpoint"), _text(model.get("revision"))
    if not isinstance(name, str):
        kind = str(node(model, "architecture").get("_target_") or "unknown").rpartition(".")[2]
        return Origin("random weights", Markup("random weights ({})").format(code(kind)))
    if name == f"{SCHEME}bisum.assets.starter":
        return Origin("bisum's starter", Markup("bisum's starter model (a small T5)"))
    if name.startswith(SCHEME):
        package = name.removeprefix(SCHEME)
        return Origin(line(package), Markup("the model in the Python package {}").format(code(package)))
    source = node(record, "source")
    is_on_hub = source["place"] == "hub" and _is_repo_id(name) if "place" in source else hub_name(name) is not None
    if is_on_hub:
        revision = _text(source.get("commit")) or revision
        return Origin(name, _link(name, name, revision), name, revision)
    folder = Path(name).name
    return Origin(line(folder), Markup("the local checkpoint {}").format(code(folder)))


def corpus(record: Mapping[str, Any]) -> Origin:
    """Return the corpus that the model was trained on."""
    return _corpus(node(record, "config", "corpus"))


def corpus_licence(record: Mapping[str, Any]) -> str | None:
    """Return the licence of the data as configured; that of the inner corpus for one made from another."""
    values = node(record, "config", "corpus")
    return _text(values.get("license")) or _text(node(values, "of").get("license"))


def repository_settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a hub corpus: the corpus itself, or the one that it is made from."""
    values = node(record, "config", "corpus")
    return node(values, "of") if _kind(values) == "bisum.corpus.passages.Passages" else values


def languages_of(record: Mapping[str, Any]) -> list[str]:
    """Return the language codes of the rows that were read, or else of the configuration."""
    rows = node(record, "data", "rows")
    found = next((list(rows[split]) for split in SPLITS if rows.get(split)), None)
    configured = node(record, "config").get("languages")
    names = found or (configured if isinstance(configured, list) else [])
    return [name for name in names if isinstance(name, str)]


def iso_code(language: str) -> str | None:
    """Return the ISO 639 code of a language; None if it is unknown."""
    return tools_for(language).language if len(language) <= _LONGEST_CODE else None


def language_names(languages: list[str]) -> Markup:
    """Return the names of languages with their codes, as in a sentence."""
    return listed([*map(_language_name, languages)] or ["unknown languages"])


def hub_name(name: Any) -> str | None:
    """Return the name of a repository, `owner/name`, unless it is a local folder or no such name.

    A name without owner could be a folder's, so it does not count.
    """
    return name if isinstance(name, str) and "/" in name and _is_repo_id(name) and not Path(name).exists() else None


def _is_repo_id(name: str) -> bool:
    try:
        check_repo_id(name)
    except UserError:
        return False
    return True


def _corpus(values: Mapping[str, Any]) -> Origin:
    match _kind(values):
        case "bisum.corpus.sample.Sample":
            return Origin("bisum sample", Markup("bisum's sample corpus of package descriptions from Debian 12"))
        case "bisum.corpus.marc.Marc":
            return Origin("MARC", Markup("a local copy of the Multilingual Amazon Reviews Corpus (Keung et al. 2020)"))
        case "bisum.corpus.hub.Hub":
            return _hub_corpus(values)
        case "bisum.corpus.files.Files":
            files = listed([*map(code, dict.fromkeys(_file_names(values)))] or ["files"])
            return Origin("local files", Markup("local files: {}").format(files))
        case "bisum.corpus.passages.Passages":
            of, shortest, longest = _corpus(node(values, "of")), values.get("min_words"), values.get("max_words")
            words = Markup("{} to {}").format(escaped(shortest), escaped(longest))
            text = Markup("passages of {} words, each its own summary, from {}").format(words, of.description)
            return Origin(f"passages of {of.title}", text, of.repo, of.revision)
        case kind:
            return Origin(line(kind.rpartition(".")[2]), Markup("the corpus {}").format(code(kind)))


def _hub_corpus(values: Mapping[str, Any]) -> Origin:
    given, revision = values.get("repo"), _text(values.get("revision"))
    if (repo := hub_name(given)) is not None:
        return Origin(repo, _link(repo, f"datasets/{repo}", revision), repo, revision)
    folder = Path(str(given)).name
    return Origin(line(folder), Markup("the data set {}").format(code(folder)))


def _link(name: str, path: str, revision: str | None) -> Markup:
    """Return a link to a repository, with its revision; the name is checked."""
    link = Markup(f"[{escaped(name)}]({HUB}/{path})")
    return link if revision is None else Markup("{} (revision {})").format(link, code(revision))


def _file_names(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a corpus's files, without folders and secrets."""
    for key in ("path", *SPLITS):
        given = values.get(key)
        for name in given if isinstance(given, list) else [given]:
            if isinstance(name, str):
                yield Path(without_secrets(name)).name


def _language_name(language: str) -> Markup:
    import langcodes

    name = langcodes.Language.get(known).display_name() if (known := iso_code(language)) else None
    return Markup("{} ({})").format(escaped(name), code(language)) if name else code(language)


def _kind(values: Mapping[str, Any]) -> str:
    return str(values.get("_target_") or "unknown")


def _text(value: Any) -> str | None:
    return line(value) if isinstance(value, str) and value.strip() else None
