"""Statistics of a corpus: categories, lengths, repeated texts, and the rows that each filter drops."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.blank import is_blank
from bisum.corpus.corpus import apply_filter, count_languages
from bisum.corpus.disk import take
from bisum.corpus.languages import count_words
from bisum.corpus.strings import by_id, numbered
from bisum.interfaces.filter import Filter
from bisum.interfaces.source import SPLITS

if TYPE_CHECKING:
    from bisum.interfaces.family import TextReader

Integers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Booleans: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

TEXTS = ("document", "summary")

_BATCH_ROWS = 1000
_NO_LIMIT = sys.maxsize


def count_categories(rows: pa.Table, languages: Sequence[str]) -> dict[str | None, dict[str, int]]:
    """Return each category's rows by language; None is a missing or blank name.

    Categories are in descending order of their share of a language's rows, averaged over the languages, so that a large
    language does not dominate.
    """
    names = pc.utf8_trim_whitespace(rows["category"])
    names = pc.if_else(is_blank(names), pa.scalar(None, pa.string()), names)
    groups = pa.table({"category": names, "language": rows["language"]}).group_by(["category", "language"])
    counts: dict[str | None, dict[str, int]] = {}
    for group in groups.aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(group["category"], dict.fromkeys(languages, 0))[group["language"]] = group["count_all"]
    totals = count_languages(rows, languages)

    def rank(category: str | None) -> tuple[float, str]:
        return -sum(rows / max(totals[language], 1) for language, rows in counts[category].items()), category or ""

    return {category: counts[category] for category in sorted(counts, key=rank)}


def sample_rows(rows: pa.Table, languages: Sequence[str], count: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Return up to `count` random rows of each language, which depend only on the rows and `seed`.

    Each also has its lengths by `count_words`, as `document_words` and `summary_words`.
    """
    order = by_id(rows).to_numpy()[np.argsort(np.random.default_rng(seed).random(rows.num_rows), kind="stable")]
    language = rows["language"].to_numpy()[order]
    chosen = {name: take(rows, pa.array(order[language == name][:count])) for name in languages}
    for text in TEXTS:
        chosen = {name: few.append_column(f"{text}_words", count_words(few, text)) for name, few in chosen.items()}
    return {name: few.to_pylist() for name, few in chosen.items()}


@dataclass(frozen=True, kw_only=True)
class FilterEffect:
    """The number of rows that one filter drops from one split, by language."""

    name: str
    split: str
    total: dict[str, int]
    """All non-blank rows."""
    before: dict[str, int]
    """Rows that earlier filters kept."""
    dropped: dict[str, int]
    """Rows of `before` that this filter drops."""
    alone: dict[str, int]
    """Rows of `total` that this filter would drop if it were the only one."""
    examples: dict[str, list[dict[str, Any]]]
    """Some random rows of `dropped`, as `sample_rows` returns them."""


def filter_effects(
    filled: Mapping[str, pa.Table], filters: Mapping[str, Filter], languages: Sequence[str], count: int, seed: int
) -> list[FilterEffect]:
    """Return the rows that each filter drops from each split, after the earlier filters and as the only filter.

    Args:
        filled: the non-blank rows of every split.
        filters: the filters in order.
        languages: the languages of the rows.
        count: number of dropped rows per language to return as examples.
        seed: the seed for choosing examples.

    Raises:
        UserError: a filter does not fit the corpus.
    """
    effects = []
    for split in SPLITS:
        rows = all_rows = filled[split]
        for name, row_filter in filters.items():
            before, rows = rows, apply_filter(name, row_filter, split, rows, filled)
            alone = rows if before is all_rows else apply_filter(name, row_filter, split, all_rows, filled)
            dropped = _without(before, rows)
            effects.append(
                FilterEffect(
                    name=name,
                    split=split,
                    total=count_languages(all_rows, languages),
                    before=count_languages(before, languages),
                    dropped=count_languages(dropped, languages),
                    alone=count_languages(_without(all_rows, alone), languages),
                    examples=sample_rows(dropped, languages, count, seed),
                )
            )
    return effects


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Rows of one split whose text also occurs elsewhere."""

    split: str
    """The split whose rows are counted."""
    of: str
    """Split where the text also occurs: `split` itself (not counting the first occurrence) or a later one."""
    text: str
    """The repeated text, ignoring white space at its ends: document, summary, or the pair of both."""
    rows: int
    example: tuple[str, str] | None
    """Ids of a counted row in `split` and of the row in `of` that it repeats."""


def find_repeats(splits: Mapping[str, pa.Table]) -> list[Repeats]:
    """Return how many rows of each split repeat one in that split, or one in a later split (a leak into evaluation)."""
    ends = np.cumsum([splits[split].num_rows for split in SPLITS])[:-1]
    rows = pa.concat_tables([splits[split].select(TEXTS) for split in SPLITS])
    document, summary = (numbered(rows[text]) for text in TEXTS)
    keys = {"document": document, "summary": summary, "pair": document * (summary.max(initial=0) + 1) + summary}
    found = []
    for text, key in keys.items():
        parts = dict(zip(SPLITS, np.split(key, ends), strict=True))
        for number, split in enumerate(SPLITS):
            for of in SPLITS[number:]:
                values, first = np.unique(parts[of], return_index=True)
                place = np.minimum(np.searchsorted(values, parts[split]), len(values) - 1)
                again = values[place] == parts[split] if len(values) else np.zeros(len(parts[split]), bool)
                if of == split and len(values):
                    again &= first[place] != np.arange(len(again))
                rows = np.flatnonzero(again)
                example = None
                if rows.size:
                    example = (splits[split]["id"][rows[0]].as_py(), splits[of]["id"][first[place[rows[0]]]].as_py())
                found.append(Repeats(split=split, of=of, text=text, rows=rows.size, example=example))
    return found


def word_lengths(rows: pa.Table, languages: Sequence[str]) -> dict[str, dict[str, Integers]]:
    """Return the lengths in words (`count_words`) of documents and summaries, by language, each of shape (rows,)."""
    return _by_language(rows, languages, {text: count_words(rows, text).to_numpy() for text in TEXTS})


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token counts of a split's rows, by language and text (`TEXTS`), each of shape (rows,)."""

    lengths: dict[str, dict[str, Integers]]
    """Number of tokens before cutting."""
    cut: dict[str, dict[str, Booleans]]
    """Whether training would cut the text at the model's limit."""
    unknown: dict[str, dict[str, Booleans]]
    """Whether the tokenizer has no token for some part of the text."""


def count_tokens(
    rows: pa.Table, languages: Sequence[str], reader: TextReader, advance: Callable[[int], None]
) -> Tokens:
    """Tokenize rows as in training, with the model's prompt, family and limits; cut rows again without limits.

    `advance` receives the number of rows done so far.
    """
    without_limits = replace(reader, max_document_tokens=_NO_LIMIT, max_summary_tokens=_NO_LIMIT)
    batches = []
    for start in range(0, rows.num_rows, _BATCH_ROWS):
        batch = rows.slice(start, _BATCH_ROWS)
        counted = _count_batch(batch, reader)
        long = np.flatnonzero(counted["cut"]["document"] | counted["cut"]["summary"])
        if long.size:
            whole = _count_batch(batch.take(pa.array(long)), without_limits)
            for kind, text in product(("lengths", "unknown"), TEXTS):
                counted[kind][text][long] = whole[kind][text]
        batches.append(counted)
        advance(start + batch.num_rows)

    def joined(kind: str) -> dict[str, dict[str, Any]]:
        columns = {text: np.concatenate([batch[kind][text] for batch in batches]) for text in TEXTS}
        return _by_language(rows, languages, columns)

    return Tokens(lengths=joined("lengths"), cut=joined("cut"), unknown=joined("unknown"))


def _count_batch(rows: pa.Table, reader: TextReader) -> dict[str, dict[str, Any]]:
    """Return the columns of `Tokens` for some rows, encoded by the reader."""
    encoded = reader.encode(*(rows[name].to_pylist() for name in (*TEXTS, "language")))
    ids = dict(zip(TEXTS, (encoded["input_ids"], encoded["labels"]), strict=True))
    unknown = reader.unknown_token
    return {
        "lengths": {text: np.array([len(row) for row in ids[text]]) for text in TEXTS},
        "cut": {text: np.array(encoded[f"{text}_cut"], dtype=bool) for text in TEXTS},
        "unknown": {text: np.array([unknown in row for row in ids[text]]) for text in TEXTS},
    }


def describe(lengths: Integers) -> dict[str, float]:
    """Return the number of rows, and the mean, extremes and some percentiles of their lengths."""
    if not lengths.size:
        return {"rows": 0}
    names = ("min", "p5", "p25", "p50", "p75", "p95", "p99", "max")
    values = np.percentile(lengths, (0, 5, 25, 50, 75, 95, 99, 100))
    return {"rows": lengths.size, "mean": float(lengths.mean()), **dict(zip(names, values.tolist(), strict=True))}


def _without(rows: pa.Table, kept: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["id"], value_set=kept["id"])))


def _by_language(rows: pa.Table, languages: Sequence[str], values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    language = rows["language"].to_numpy()
    return {name: {text: values[text][language == name] for text in TEXTS} for name in languages}
