"""Choice of the ROUGE profile that a run shows and that selects its best checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.strings import by_id
from bisum.interfaces.score import ROUGE_TYPES, score_name
from bisum.interfaces.trainer import AUTO

_MAX_REFERENCES = 10_000
"""Maximum references per language whose letters are counted, spaced evenly in the order of their ids."""
_MIN_SHARE = 0.5
"""Minimum share of a language's letters and digits that the profile `rouge` must keep to be meaningful."""


def kept_shares(tables: Sequence[pa.Table]) -> dict[str, float]:
    """Return the share, 0 to 1, of each language's letters and digits that the profile `rouge` keeps in the references.

    Its tokenizer keeps a-z and 0-9: nearly all of an English text, none of an Arabic one. The references are the
    tables' column `summary`, or a sample of it if it is long. Languages without letters and digits are omitted.
    """
    shares = {}
    rows = pa.concat_tables([table.select(["id", "language", "summary"]) for table in tables])
    for language in pc.unique(rows["language"]).to_pylist():
        own = rows.filter(pc.equal(rows["language"], language))
        if len(own) > _MAX_REFERENCES:
            own = own.take(by_id(own)[:: len(own) // _MAX_REFERENCES])
        kept, total = (
            pc.sum(pc.count_substring_regex(own["summary"], letters)).as_py()
            for letters in (r"[A-Za-z0-9]", r"[\p{L}\p{N}]")
        )
        if total:
            shares[language] = kept / total
    return shares


def choose_profile(shares: Mapping[str, float]) -> str:
    """Return `unicode` if the profile `rouge` loses most letters of any language, otherwise `rouge`."""
    return "unicode" if unreadable_languages(shares) else "rouge"


def unreadable_languages(shares: Mapping[str, float]) -> list[str]:
    """Return the languages that lose most letters in the profile `rouge`."""
    return [language for language, share in shares.items() if share < _MIN_SHARE]


def best_metric(configured: str, profile: str) -> str:
    """Return the metric that selects the best checkpoint: the configured one, or for auto the profile's ROUGE-L."""
    return score_name("eval", "rougeL", profile=profile) if configured == AUTO else configured


def blind_spots(metric: str, shares: Mapping[str, float]) -> list[str]:
    """Return the languages that lose most letters in a metric."""
    _, *parts, name = metric.split("/")
    if not name.startswith(ROUGE_TYPES) or "unicode" in parts:
        return []
    return [language for language in unreadable_languages(shares) if parts in ([], [language])]
