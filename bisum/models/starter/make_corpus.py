"""Make the corpus of the `starter` model: `python -m bisum.models.starter.make_corpus DESCRIPTIONS INDICES OUT`.

DESCRIPTIONS is a corpus of Debian's package descriptions in MARC's layout, split by source package. Few of its rows
are Spanish, so Spanish training rows are added from INDICES, a folder with the files `*Translation-es*` (descriptions
in Spanish) and `*Sources*` (which source package a package is built from) of releases of Debian and Ubuntu, as their
archives publish them. `train.parquet`, `validation.parquet` and `test.parquet` are written into OUT; the last two are
the sample corpus', whose rows are some of DESCRIPTIONS' validation and test rows.

A row is added unless it could tell of a validation or test row: its package, or any of the source packages that have
built its package in any of the releases, is one of theirs; or it is a translation of the same English text, which the
indices name by its MD5; or its document or summary is one of theirs. Training rows of DESCRIPTIONS with a document or
summary of theirs are left out as well.
"""

import bz2
import gzip
import hashlib
import lzma
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bisum.corpus.corpus import SCHEMA
from bisum.corpus.sources import Marc, Sample

LANGUAGE = "es"
MIN_WORDS = 10
"""Fewest words of a document, as in DESCRIPTIONS."""

_OPENERS: dict[str, Any] = {".xz": lzma.open, ".bz2": bz2.open, ".gz": gzip.open}


def main(descriptions: str, indices: Path, out: Path) -> None:
    """Write the three splits into `out`."""
    languages = ["en", LANGUAGE]
    splits = Marc(path=descriptions, max_train_rows=None, max_eval_rows=None, language_temperature=1).load(languages)
    held_out = pa.concat_tables([splits["validation"], splits["test"]])
    sources = _sources(indices)
    packages = set(map(package_of, held_out["id"].to_pylist()))
    reserved = packages | {source for package in packages for source in sources[package]}
    documents, summaries = (
        {normalized(text) for text in held_out[name].to_pylist()} for name in ("document", "summary")
    )
    translations = list(_translations(indices))
    # An English text is the same in every release that has it, and under whatever package name.
    originals = {row["original"] for row in translations if reserved & {row["package"], *sources[row["package"]]}}

    def told(row: dict[str, Any]) -> bool:
        return normalized(row["document"]) in documents or normalized(row["summary"]) in summaries

    rows = [row for row in splits["train"].to_pylist() if not told(row)]
    print(f"{len(splits['train']) - len(rows):,} training rows left out for a document or summary of the other splits")
    seen_packages = {package_of(row["id"]) for row in rows if row["language"] == LANGUAGE}
    seen_documents = {normalized(row["document"]) for row in rows}
    categories = {package_of(row["id"]): row["category"] for row in rows}
    added = 0
    for row in _in_spanish(translations, _Languages(rows)):  # of several translations the newest release's is kept
        package, text = row["package"], normalized(row["document"])
        if reserved & {package, *sources[package]} or row["original"] in originals or told(row):
            continue
        if package in seen_packages or text in seen_documents:
            continue
        seen_packages.add(package)
        seen_documents.add(text)
        digest = hashlib.sha256(row["document"].encode()).hexdigest()[:8]
        rows.append({**row, "id": f"{LANGUAGE}_{package}_{digest}", "category": categories.get(package)})
        added += 1
    print(f"{added:,} of {len(translations):,} translations added")
    out.mkdir(parents=True, exist_ok=True)
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(languages)
    for split, table in {**sample, "train": pa.Table.from_pylist(rows, schema=SCHEMA)}.items():
        pq.write_table(table.cast(SCHEMA).combine_chunks(), out / f"{split}.parquet", compression="zstd")
        print(f"{split}.parquet: {len(table):,} rows")


def _in_spanish(rows: Iterable[dict[str, Any]], languages: "_Languages") -> Iterator[dict[str, Any]]:
    """Yield the rows whose summary and first paragraph are translated, without paragraphs that are not."""
    for row in rows:
        paragraphs = row["document"].split("\n")
        if languages.is_spanish(row["summary"]) and languages.is_spanish(paragraphs[0]):
            document = "\n".join(filter(languages.is_spanish, paragraphs))
            if len(document.split()) >= MIN_WORDS:
                yield {**row, "document": document}


def package_of(row_id: str) -> str:
    """Return the package of a row: ids are `<language>_<package>_<hash>`, and no package's name has an underscore."""
    return row_id.split("_")[1]


def normalized(text: str) -> str:
    """Return the words of `text` in lower case with one space between them, by which texts are compared."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _sources(indices: Path) -> dict[str, set[str]]:
    """Return the source packages that have built each package, in any release."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted(indices.glob("*Sources*")):
        for fields in _paragraphs(path, {"Package", "Binary"}):
            for binary in fields.get("Binary", "").split(","):
                found[binary.strip()].add(fields["Package"])
    return found


def _translations(indices: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of all translations, of the releases whose names sort last first."""
    for path in sorted(indices.glob(f"*Translation-{LANGUAGE}*"), reverse=True):
        for fields in _paragraphs(path, {"Package", "Description-md5", f"Description-{LANGUAGE}"}):
            summary, _, rest = fields[f"Description-{LANGUAGE}"].partition("\n")
            paragraphs = [" ".join(part.split()) for part in re.split(r"(?m)^ \.\s*$", rest)]
            document = "\n".join(filter(None, paragraphs))
            if document and summary.strip():
                row = {"document": document, "summary": summary.strip(), "language": LANGUAGE}
                yield {**row, "package": fields["Package"], "original": fields["Description-md5"]}


def _paragraphs(path: Path, wanted: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the wanted fields of each paragraph of an index; continuation lines stay separate lines."""
    fields: dict[str, str] = {}
    name = ""
    with _OPENERS[path.suffix if path.suffix in _OPENERS else ""](
        path, "rt", encoding="utf-8", errors="replace"
    ) as file:
        for line in file:
            if line[0] in " \t":
                if name in wanted:
                    fields[name] += "\n" + line.rstrip("\n")
            elif not line.strip():
                if fields:
                    yield fields
                fields = {}
            else:
                name, _, value = line.partition(":")
                if name in wanted:
                    fields[name] = value.strip()
    if fields:
        yield fields


class _Languages:
    """Tells English from Spanish by its words: naive Bayes on the words of `rows`, each counted once a row."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows: Counter[str] = Counter()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            self._rows[row["language"]] += 1
            self._counts[row["language"]].update(set(_words(row["document"] + " " + row["summary"])))

    def is_spanish(self, text: str) -> bool:
        """Return whether `text` is more likely in Spanish; where no word tells, it is not."""
        return sum(max(-4.0, min(4.0, self._log_odds(word))) for word in _words(text)) > 0

    def _log_odds(self, word: str) -> float:
        spanish, english = ((self._counts[name][word] + 0.5) / (self._rows[name] + 1) for name in (LANGUAGE, "en"))
        return math.log(spanish / english)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m bisum.models.starter.make_corpus DESCRIPTIONS INDICES OUT")
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
