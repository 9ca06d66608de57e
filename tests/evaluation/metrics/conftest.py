import json
from pathlib import Path

import pytest

from bisum.evaluation.baseline import lead_all
from bisum.interfaces.metric import Summaries


def summaries(predictions, references=None, documents=None, languages="en", at_limit=None):
    """Return rows to score; missing texts repeat the predictions."""
    count = len(predictions)
    return Summaries(
        ids=[f"row-{number}" for number in range(count)],
        documents=documents or predictions,
        predictions=predictions,
        references=references or predictions,
        languages=[languages] * count if isinstance(languages, str) else languages,
        at_limit=at_limit,
    )


@pytest.fixture(scope="session")
def rows_of():
    """The function that builds rows from texts."""
    return summaries


@pytest.fixture(scope="session")
def debian():
    """Lead-1 of real documents in English and Spanish."""
    path = Path(__file__).parents[1] / "data/debian.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    documents, references, languages = ([row[key] for row in rows] for key in ("document", "summary", "language"))
    return summaries(lead_all(documents, languages, 1), references, documents, languages)
