"""The rows that an experiment uses: loaded from a source, filtered, sampled, shuffled and counted."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.blank import is_blank
from bisum.corpus.disk import filtered, large_tables_in, take
from bisum.corpus.fingerprints import SCHEMA, as_rows, fingerprint
from bisum.corpus.languages import describe_codes
from bisum.corpus.leaks import leaks_into
from bisum.corpus.row_cache import Contents, RowCache
from bisum.corpus.strings import by_id, hashes, repeated
from bisum.errors import UserError, reason
from bisum.interfaces.filter import Filter
from bisum.interfaces.source import COLUMNS, SPLITS, Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RowCounts:
    """Counts of the rows of one language in one split, after each step."""

    loaded: int
    """Rows that the source returned."""

    dropped: dict[str, int]
    """Rows that each step dropped, in order: `empty`, each filter by its name, `sample`."""

    kept: int
    """Rows in the corpus: `loaded` minus all of `dropped`."""


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """Row counts of a corpus; `dataclasses.asdict` makes it JSON."""

    splits: dict[str, dict[str, RowCounts]]
    """Counts by split, then by language."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The rows of an experiment."""

    splits: dict[str, pa.Table]
    """A table for each of `SPLITS` that exists, with the string columns `COLUMNS`.

    Training rows are in the order of their ids, and others in that of a hash of their ids, which mixes the languages.
    """

    fingerprint: str
    """`bisum.corpus.fingerprints.fingerprint(splits)`: equal for runs that used the same rows, whatever their seeds."""

    report: CorpusReport
    """How many rows each step dropped."""

    leaks: tuple[str, ...] = ()
    """A line for each split that shares documents with train; see `leaks_into`."""


def load_corpus(
    source: Source,
    filters: Mapping[str, Filter],
    languages: Sequence[str],
    seed: int,
    needed: Sequence[str] = SPLITS,
    cache: Path | None = None,
) -> Corpus:
    """Load `languages` from `source`, drop blank rows, apply `filters` in order, and sample to the limits.

    The result depends only on the source's rows and on `seed` (at least 0), on any platform. Validation and test, their
    samples included, do not depend on `seed`. The order of rows in the source matters only to filters that use it. Rows
    whose document or summary is missing or blank are dropped first. A sample keeps the languages' shares by largest
    remainder. The folder `cache` keeps large tables, and the selected rows for later calls.

    Raises `UserError` if a split in `needed` is missing, a language is missing or named twice, two rows of a split
    share an id, or a step leaves a split without rows, or train without rows in one of the languages.
    """

    def select(loaded: Mapping[str, pa.Table]) -> Contents:
        corpus = select_rows(loaded, source, filters, languages, seed)
        known = {"fingerprint": corpus.fingerprint, "report": asdict(corpus.report)["splits"], "leaks": corpus.leaks}
        return corpus.splits, known

    read = partial(read_splits, source, languages, needed)
    if cache is None:
        splits, known = select(read())
    else:
        rows = RowCache(cache, source, filters, languages, seed)
        found = rows.read()
        if found and set(needed) <= found[0].keys():
            splits, known = found
            logger.info("the rows come from cache_dir, where an earlier command stored them")
        else:
            with large_tables_in(cache):
                splits, known = rows.write(read, select)
    report = {
        split: {language: RowCounts(**counts) for language, counts in by_language.items()}
        for split, by_language in known["report"].items()
    }
    return Corpus(
        splits=splits,
        fingerprint=known["fingerprint"],
        report=CorpusReport(splits=report),
        leaks=tuple(known["leaks"]),
    )


def read_splits(source: Source, languages: Sequence[str], needed: Sequence[str] = SPLITS) -> dict[str, pa.Table]:
    """Return all rows of every split that the source has, after checking them; raises like `load_corpus`."""
    if len(set(languages)) < len(languages) or not languages:
        raise UserError(f"languages={list(languages)}: name at least one language, and each only once")
    for line in describe_codes(languages):
        logger.info(line)
    tables = _load(source, languages, needed)
    return {split: _checked(split, tables[split], languages) for split in SPLITS if split in tables}


def _refuse(message: str) -> None:
    raise UserError(message)


def select_rows(
    loaded: Mapping[str, pa.Table],
    limits: Source,
    filters: Mapping[str, Filter],
    languages: Sequence[str],
    seed: int,
    complain: Callable[[str], None] = _refuse,
) -> Corpus:
    """Select the rows of the corpus, as `load_corpus` does, from the result of `read_splits`.

    `complain` receives a message for each step that leaves a split without rows; by default it raises `UserError`.
    """
    if reserved := {"empty", "sample"} & set(filters):
        raise UserError(f"filter.{min(reserved)}: this name is reserved for the row counts; rename the filter")
    filled = {split: drop_blank(rows) for split, rows in loaded.items()}
    splits: dict[str, pa.Table] = {}
    report: dict[str, dict[str, RowCounts]] = {}
    for number, split in enumerate(SPLITS):
        if split not in loaded:
            continue
        ledger = _Ledger(split, languages, loaded[split], complain)
        rows = ledger.record("empty", filled[split], "check the corpus's documents and summaries")
        for name, row_filter in filters.items():
            rows = apply_filter(name, row_filter, split, rows, filled)
            ledger.record(name, rows, f"loosen filter.{name} or leave it out")
        kind, limit = ("train", limits.max_train_rows) if split == "train" else ("eval", limits.max_eval_rows)
        # Scored rows do not depend on the seed, so runs with different seeds can be compared.
        keys = np.random.default_rng([seed, number]).random(rows.num_rows) if split == "train" else None
        rows = _sampled(rows, languages, limit, keys)
        splits[split] = ledger.record("sample", rows, f"raise corpus.max_{kind}_rows")
        report[split] = ledger.counts()
    return Corpus(
        splits=splits,
        fingerprint=fingerprint(splits),
        report=CorpusReport(splits=report),
        leaks=tuple(leaks_into(splits)),
    )


def drop_blank(rows: pa.Table) -> pa.Table:
    """Return the rows whose document and summary are neither missing nor blank."""
    blank = pc.or_(is_blank(rows["document"]), is_blank(rows["summary"]))
    return filtered(rows, pc.invert(blank))  # a null text yields null, which drops the row


def apply_filter(name: str, row_filter: Filter, split: str, rows: pa.Table, filled: Mapping[str, pa.Table]) -> pa.Table:
    """Return the `rows` of a split that a filter keeps.

    `filled` contains the non-blank rows of all splits; the splits after `split` are held out from it. Raises
    `UserError`, naming the filter, if the filter fails.
    """
    later = [filled[name] for name in SPLITS[SPLITS.index(split) + 1 :] if name in filled]
    held_out = pa.concat_tables([SCHEMA.empty_table(), *later])
    try:
        return filtered(rows, row_filter.keep(rows, held_out))
    except UserError as error:
        raise UserError(f"filter.{name} on {split}: {error}") from error
    except Exception as error:  # a user's own class can raise anything
        must = f"keep must return a boolean for each of {rows.num_rows:,} rows"
        raise UserError(f"filter.{name} on {split}: {reason(error)}; {must}") from error


def _load(source: Source, languages: Sequence[str], needed: Sequence[str]) -> Mapping[str, pa.Table]:
    """Return the source's tables, after checking that there is one for each split in `needed`."""
    name = f"corpus: {type(source).__name__}.load"
    try:
        tables = source.load(languages)
    except UserError:
        raise
    except Exception as error:  # a user's own class can raise anything
        raise UserError(f"{name} failed: {reason(error)}") from error
    for split in needed if isinstance(tables, Mapping) else SPLITS:
        table = tables.get(split) if isinstance(tables, Mapping) else None
        if not isinstance(table, pa.Table) or not table.num_rows:
            raise UserError(
                f"{name} returned no rows for {split}; it must return a pyarrow.Table for each of {', '.join(needed)}"
            )
    return tables


class _Ledger:
    """Row counts of a split by language after each step; complains about a step that leaves none."""

    def __init__(self, split: str, languages: Sequence[str], loaded: pa.Table, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._split = split
        self._languages = languages
        self._steps = ["load"]
        self._counts = [count_languages(loaded, languages)]

    def record(self, step: str, rows: pa.Table, remedy: str) -> pa.Table:
        """Record the rows left after `step`, and return them."""
        before, after = self._counts[-1], count_languages(rows, self._languages)
        gone = [language for language in self._languages if before[language] and not after[language]]
        is_empty = not any(after.values())
        if gone and (is_empty or self._split == "train"):
            counts = " and ".join(f"{before[language]:,} {language}" for language in gone)
            if step == "empty":
                self._complain(f"{self._split}: all {counts} rows lack a document or a summary; {remedy}")
            else:
                self._complain(f"{self._split}: `{step}` leaves none of the {counts} rows; {remedy}")
        self._steps.append(step)
        self._counts.append(after)
        return rows

    def counts(self) -> dict[str, RowCounts]:
        """Return the counts of each language."""
        report = {}
        for language in self._languages:
            left = [counts[language] for counts in self._counts]
            dropped = {step: left[i] - left[i + 1] for i, step in enumerate(self._steps[1:])}
            report[language] = RowCounts(loaded=left[0], dropped=dropped, kept=left[-1])
        return report


def count_languages(rows: pa.Table, languages: Sequence[str]) -> dict[str, int]:
    """Return the number of rows in each language."""
    counts = {count["values"]: count["counts"] for count in pc.value_counts(rows["language"]).to_pylist()}
    return {language: counts.get(language, 0) for language in languages}


def _checked(split: str, rows: pa.Table, languages: Sequence[str]) -> pa.Table:
    """Cast a source's rows to `SCHEMA`, after checking what `Source.load` promises."""
    for column in COLUMNS:
        if column not in rows.column_names:
            raise UserError(f"{split}: the source returns no column {column}; it must return {', '.join(COLUMNS)}")
    rows = as_rows(rows)
    found = set(pc.unique(rows["language"]).to_pylist())
    expected = set(languages) if split == "train" else found & set(languages)
    if found != expected or not found:
        raise UserError(
            f"languages={list(languages)}: the source's {split} rows are in {sorted(map(str, found))}; "
            "rows must be in these languages only, and train must have rows in each"
        )
    if missing := rows["id"].null_count:
        raise UserError(f"{split}: {missing:,} rows have no id; each row needs a unique id")
    if (twice := repeated(rows["id"])) is not None:
        raise UserError(f"{split}: several rows have the id {twice}; each row needs a unique id")
    return rows


def _sampled(
    rows: pa.Table, languages: Sequence[str], limit: int | None, keys: np.ndarray[Any, Any] | None
) -> pa.Table:
    """Keep the rows with the lowest keys of each language, up to its share of `limit`, in the order of their ids.

    `keys`, shape (rows,), follow the order of the rows' ids (random keys, not `rng.permutation`, whose stream numpy can
    change between releases). None: a hash of each id, which also becomes the order.
    """
    ordered = by_id(rows).to_numpy()
    by_hash = keys is None
    if keys is None:
        keys = hashes(rows["id"].take(ordered))
    chosen = np.arange(len(ordered))
    if limit is not None and limit < rows.num_rows:
        positions = [np.flatnonzero(pc.equal(rows["language"], name).to_numpy()[ordered]) for name in languages]
        quotas = largest_remainder([len(found) for found in positions], limit)
        lowest = (found[np.argsort(keys[found], kind="stable")] for found in positions)
        chosen = np.concatenate([found[:quota] for found, quota in zip(lowest, quotas, strict=True)])
    chosen.sort()
    if by_hash:
        chosen = chosen[np.argsort(keys[chosen], kind="stable")]
    return take(rows, ordered[chosen])


def largest_remainder(weights: Sequence[float], total: int) -> list[int]:
    """Share `total` in proportion to `weights` (Hamilton's method; equal remainders go to the first)."""
    quotas = [int(total * weight // sum(weights)) for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % sum(weights)))
    for i in by_remainder[: total - sum(quotas)]:
        quotas[i] += 1
    return quotas
