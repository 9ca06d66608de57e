"""The choice of the ROUGE profile in which a run is shown and its best checkpoint selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.strings import by_id
from bisum.interfaces.score import ROUGE_TYPES, score_name
from bisum.interfaces.trainer import AUTO

_MOST_REFERENCES = 10_000
"""Most references of a language, evenly spread in the order of their ids, whose letters are counted."""
_LEAST_SHARE = 0.5
"""Least share of a language's letters and digits that the profile `rouge` must keep to say something about it."""


def kept_shares(tables: Sequence[pa.Table]) -> dict[str, float]:
    """Return the share, 0 to 1, of each language's letters and digits that the profile `rouge` keeps in the references.

    Its tokenizer keeps a-z and 0-9: nearly all of an English text, none of an Arabic one. The references are the column
    `summary` of the tables, or of a sample if there are many. Languages without letters and digits have no share.
    """
    shares = {}
    rows = pa.concat_tables([table.select(["id", "language", "summary"]) for table in tables])
    for language in pc.unique(rows["language"]).to_pylist():
        own = rows.filter(pc.equal(rows["language"], language))
        if len(own) > _MOST_REFERENCES:
            own = own.take(by_id(own)[:: len(own) // _MOST_REFERENCES])
        kept, every = (
            pc.sum(pc.count_substring_regex(own["summary"], letters)).as_py()
            for letters in (r"[A-Za-z0-9]", r"[\p{L}\p{N}]")
        )
        if every:
            shares[language] = kept / every
    return shares


def choose_profile(shares: Mapping[str, float]) -> str:
    """Return `unicode` if the profile `rouge` loses most letters of any language, else `rouge`."""
    return "unicode" if lost_languages(shares) else "rouge"


def lost_languages(shares: Mapping[str, float]) -> list[str]:
    """Return the languages of which the profile `rouge` loses most letters."""
    return [language for language, share in shares.items() if share < _LEAST_SHARE]


def best_metric(named: str, profile: str) -> str:
    """Return the metric that selects the best checkpoint: the one that is named, or ROUGE-L of the profile."""
    return score_name("eval", "rougeL", profile=profile) if named == AUTO else named


def blind_spots(metric: str, shares: Mapping[str, float]) -> list[str]:
    """Return the languages of which a named metric loses most letters."""
    _, *parts, name = metric.split("/")
    if not name.startswith(ROUGE_TYPES) or "unicode" in parts:
        return []
    return [language for language in lost_languages(shares) if parts in ([], [language])]
