"""Make the starter's corpus: `python -m bisum.assets.starter.make_corpus DESCRIPTIONS INDICES PACKAGES OUT`.

DESCRIPTIONS is a corpus of Debian's package descriptions in MARC's layout. Few of its rows are Spanish, so training
rows are added:

- from INDICES, a folder with the files `*Translation-es*` (descriptions in Spanish), `*Components*` (descriptions of
  applications in both languages) and `*Sources*` (the source package of each package) of releases of Debian and
  Ubuntu; their names begin with the release's date, since the newest of several texts is kept;
- from PACKAGES, a folder of unpacked packages with help or manual pages in Spanish, one folder for each: the sections
  of the pages in both languages, each summarized by its title. Their category is `page`.

Text without a summary is used as well: each later paragraph of a document is a row, summarized by its first sentence if
that is short. Their category is `paragraph`.

The script writes two corpora into OUT: `all`, and `descriptions`, which lacks pages and paragraphs. Each consists of
`train.parquet`, `validation.parquet` and `test.parquet`; the last two are those of the sample corpus, a part of the
held-out rows of DESCRIPTIONS. `training_rows.npz`, copied into bisum's tests, contains the fingerprint of
`descriptions` in `experiment=starter` and hashes of the packages, source packages, documents and summaries in `all`,
and of the held-out packages and source packages.

A row, also one of DESCRIPTIONS, is left out if it could reveal a validation or test row of DESCRIPTIONS: they share the
package, a source package that builds it in any release, the document or the summary, or the row's source is unknown.
The manual page of a command is left out if a held-out row has a package or source package of the command's name. An
added translation is also left out if its English original, identified by MD5 in the indices, belongs to such a source
package.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bisum import compose
from bisum.assets.script import script
from bisum.assets.starter.indices import read_applications, read_sources, read_translations
from bisum.assets.starter.pages import read_pages
from bisum.corpus.corpus import select_rows
from bisum.corpus.fingerprints import SCHEMA
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.evaluation.sentences import split_sentences

LANGUAGE = "es"
_PAGE = "page"
"""Category of the sections of help and manual pages."""
_PARAGRAPH = "paragraph"
"""Category of paragraphs that are summarized by their first sentence."""
MIN_WORDS = 10
"""Fewest words of a document, as in DESCRIPTIONS."""
SENTENCE_WORDS = range(4, 17)
"""Words in a sentence that summarizes its paragraph; the range of lengths in `corpus=passages`."""


def main(descriptions: str, indices: Path, packages: Path, out: Path) -> None:
    """Write the three splits of both corpora into `out`."""
    languages = ["en", LANGUAGE]
    splits = Marc(path=descriptions, max_train_rows=None, max_eval_rows=None, language_temperature=1).load(languages)
    sources = read_sources(indices)
    held_out = _HeldOut(pa.concat_tables([splits["validation"], splits["test"]]), sources)
    own = splits["train"].to_pylist()
    rows = [row for row in own if not held_out.is_revealed_by(package_of(row["id"]), row)]
    print(f"{len(own) - len(rows):,} of {len(own):,} training rows left out, which could reveal the other splits")
    translated = {package_of(row["id"]) for row in rows if row["language"] == LANGUAGE}
    documents = {normalized(row["document"]) for row in rows}
    categories = {package_of(row["id"]): row["category"] for row in rows}
    translations = list(read_translations(indices, LANGUAGE))
    originals = {row["original"] for row in translations if held_out.has_source_of(row["package"])}
    detector = _Languages(rows)
    kept = len(rows)
    for row in translations:  # newest release first, so the latest of several translations is kept
        package = row["package"]
        if package in translated or row["original"] in originals or held_out.is_revealed_by(package, row):
            continue
        cleaned = _in_spanish(row, detector)
        if cleaned is None or normalized(cleaned["document"]) in documents or held_out.is_revealed_by(package, cleaned):
            continue
        translated.add(package)
        documents.add(normalized(cleaned["document"]))
        rows.append(_identified(cleaned, categories.get(package)))
    print(f"{len(rows) - kept:,} of {len(translations):,} translations added")
    readers = [("application", read_applications, indices), (_PAGE, read_pages, packages)]
    for (category, read, folder), language in product(readers, languages):
        found = list(read(folder, language))
        added = list(_added(found, category, documents, held_out, detector))
        rows += added
        print(f"{len(added):,} of {len(found):,} {language} texts of category {category} added")
    paragraphs = list(_added(_paragraphs(rows), _PARAGRAPH, documents, held_out, detector))
    rows += paragraphs
    print(f"{len(paragraphs):,} paragraphs added ({sum(row['language'] == LANGUAGE for row in paragraphs):,} Spanish)")
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    held_out_splits = sample.load(languages)
    _write(out / "all", {**held_out_splits, "train": _table(rows)})
    described = [row for row in rows if row["category"] not in {_PAGE, _PARAGRAPH}]
    made = {**held_out_splits, "train": _table(described)}
    _write(out / "descriptions", made)
    filters = compose(["experiment=starter", "corpus.repo=CORPUS"]).filter
    used = select_rows(made, sample, filters, languages, seed=0)
    texts: defaultdict[str, set[str]] = defaultdict(set, held_out=held_out.names)
    for row in rows:
        package = package_of(row["id"])
        texts["package"].add(package)
        texts["source"].update(sources[package])
        for column in ("document", "summary"):
            texts[column].add(normalized(row[column]))
    arrays: dict[str, Any] = {
        name: np.array(sorted({crc32(text.encode()) for text in found}), np.uint32) for name, found in texts.items()
    }
    np.savez_compressed(out / "training_rows.npz", fingerprint=np.array(used.fingerprint), **arrays)


def _identified(row: dict[str, Any], category: str | None) -> dict[str, Any]:
    """Return a row with its category and an id, from which `package_of` reads the package."""
    digest = hashlib.sha256(row["document"].encode()).hexdigest()[:8]
    return {**row, "id": f"{row['language']}_{row['package']}_{digest}", "category": category}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _write(folder: Path, splits: dict[str, pa.Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        pq.write_table(rows.cast(SCHEMA).combine_chunks(), folder / f"{split}.parquet", compression="zstd")
        print(f"{folder.name}/{split}.parquet: {len(rows):,} rows")


def _added(
    found: Iterable[dict[str, Any]], category: str, documents: set[str], held_out: "_HeldOut", detector: "_Languages"
) -> Iterator[dict[str, Any]]:
    """Yield the texts that are written in their stated language, are new and reveal no held-out row.

    Their documents are added to `documents`.

    Of a package's texts with the same summary, such as wordings of several releases, the first is kept.
    """
    summaries = set[tuple[str, str]]()
    for text in found:
        if text["language"] == LANGUAGE:
            row = _in_spanish(text, detector)
        else:
            row = None if detector.is_spanish(text["document"]) else text  # nor in a language close to it
        if row is None or len(row["document"].split()) < MIN_WORDS or held_out.is_revealed_by(row["package"], row):
            continue
        if (command := row.get("command")) is not None and held_out.has_source_of(command):
            continue
        document, summary = normalized(row["document"]), (row["package"], normalized(row["summary"]))
        if document not in documents and summary not in summaries:
            documents.add(document)
            summaries.add(summary)
            yield _identified(row, category)


def _paragraphs(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the second and later paragraphs of documents, each with its first sentence as its summary."""
    for row in rows:
        for paragraph in row["document"].split("\n")[1:]:
            sentence = next(iter(split_sentences(paragraph, row["language"])), "")
            if len(sentence.split()) in SENTENCE_WORDS:
                package = package_of(row["id"])
                yield {"package": package, "language": row["language"], "document": paragraph, "summary": sentence}


class _HeldOut:
    """The rows that no training row may reveal."""

    def __init__(self, rows: pa.Table, sources: dict[str, set[str]]) -> None:
        self._sources = sources
        packages = set(map(package_of, rows["id"].to_pylist()))
        self.names = packages.union(*(sources[package] for package in packages if package in sources))
        self._texts = {normalized(text) for name in ("document", "summary") for text in rows[name].to_pylist()}

    def has_source_of(self, package: str) -> bool:
        """Return whether a held-out row has a source package of `package` in any release."""
        return not self.names.isdisjoint({package, *self._sources.get(package, ())})

    def is_revealed_by(self, package: str, row: dict[str, Any]) -> bool:
        """Return whether a row of `package` shares source or text with a held-out row, or its source is unknown."""
        texts = {normalized(row["document"]), normalized(row["summary"])}
        return package not in self._sources or self.has_source_of(package) or not self._texts.isdisjoint(texts)


def _in_spanish(row: dict[str, Any], languages: "_Languages") -> dict[str, Any] | None:
    """Return a row without untranslated paragraphs; None if its summary or first paragraph is untranslated."""
    paragraphs = row["document"].split("\n")
    if not (languages.is_spanish(row["summary"]) and languages.is_spanish(paragraphs[0])):
        return None
    document = "\n".join(filter(languages.is_spanish, paragraphs))
    return {**row, "document": document} if len(document.split()) >= MIN_WORDS else None


def package_of(row_id: str) -> str:
    """Return the package in a row's id, `<language>_<package>_<hash>`; package names have no underscores."""
    return row_id.split("_")[1]


def normalized(text: str) -> str:
    """Return the words of `text` in lower case, separated by single spaces, for comparisons."""
    return " ".join(re.findall(r"\w+", text.lower()))


class _Languages:
    """A classifier of English and Spanish: naive Bayes on the words of `rows`, each counted once per row."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows: Counter[str] = Counter()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            self._rows[row["language"]] += 1
            self._counts[row["language"]].update(set(_words(row["document"] + " " + row["summary"])))

    def is_spanish(self, text: str) -> bool:
        """Return whether `text` is more likely Spanish; False if its words are undecided."""
        return sum(max(-4.0, min(4.0, self._log_odds(word))) for word in _words(text)) > 0

    def _log_odds(self, word: str) -> float:
        spanish, english = ((self._counts[name][word] + 0.5) / (self._rows[name] + 1) for name in (LANGUAGE, "en"))
        return math.log(spanish / english)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


if __name__ == "__main__":
    script(
        lambda descriptions, indices, packages, out: main(descriptions, Path(indices), Path(packages), Path(out)),
        "DESCRIPTIONS INDICES PACKAGES OUT",
    )
