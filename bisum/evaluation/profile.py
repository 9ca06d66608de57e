"""The choice of the ROUGE profile in which a run is shown and its best checkpoint selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bisum.interfaces.trainer import AUTO
from bisum.runs.metrics import score_name

_LEAST_SHARE = 0.5
"""Least share of a language's letters and digits that the profile `rouge` must keep to say something about it."""


def kept_shares(tables: Sequence[pa.Table]) -> dict[str, float]:
    """Return the share of each language's letters and digits that the profile `rouge` keeps in the references.

    Its tokenizer keeps a-z and 0-9: nearly all of an English text, none of an Arabic one.
    """
    rows = pa.concat_tables([table.select(["language", "summary"]) for table in tables])
    counts = pa.table(
        {
            "language": rows["language"],
            "kept": pc.count_substring_regex(rows["summary"], r"[A-Za-z0-9]"),
            "all": pc.count_substring_regex(rows["summary"], r"[\p{L}\p{N}]"),
        }
    )
    sums = counts.group_by("language").aggregate([("kept", "sum"), ("all", "sum")]).to_pylist()
    return {row["language"]: row["kept_sum"] / max(row["all_sum"], 1) for row in sums}


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
    if not name.startswith("rouge") or "unicode" in parts:
        return []
    return [language for language in lost_languages(shares) if parts in ([], [language])]
