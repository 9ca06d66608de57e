"""One batch of a corpus's training rows as a corpus of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from bisum.corpus.corpus import Corpus, CorpusReport, count_languages, largest_remainder
from bisum.corpus.disk import take
from bisum.corpus.fingerprints import fingerprint
from bisum.interfaces.source import SPLITS

STEP = "one batch"
"""Name of the step that drops the other rows."""


def one_batch(corpus: Corpus, languages: Sequence[str], rows: int) -> Corpus:
    """Return a corpus whose splits all contain the same training rows, the first of each language by its share.

    Each split has `rows` rows, or all training rows if there are fewer.
    """
    train, before = corpus.splits["train"], corpus.report.splits["train"]
    counts = count_languages(train, languages)
    quotas = largest_remainder([*counts.values()], min(rows, train.num_rows))
    kept = dict(zip(counts, quotas, strict=True))
    language = train["language"].to_numpy()
    chosen = np.concatenate([np.flatnonzero(language == name)[:quota] for name, quota in kept.items()])
    splits = dict.fromkeys(SPLITS, take(train, pa.array(np.sort(chosen))))
    left = {
        name: replace(counted, kept=kept[name], dropped={**counted.dropped, STEP: counted.kept - kept[name]})
        for name, counted in before.items()
    }
    report = CorpusReport(splits=dict.fromkeys(SPLITS, left))
    return Corpus(splits=splits, fingerprint=fingerprint(splits), report=report)
