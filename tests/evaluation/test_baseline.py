import json
from pathlib import Path

import pytest

from bisum.evaluation.baseline import lead, lead_all

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data/debian.jsonl").read_text("utf-8").splitlines()]


def test_lead_3_is_the_first_three_sentences_a_line_each():
    document = "Dr. Lee wrote it. It is short.  Is it good? Yes. Buy it."
    assert lead(document, "en", 3) == "Dr. Lee wrote it.\nIt is short.\nIs it good?"


def test_a_short_document_is_its_own_lead():
    assert lead("Solo una frase.", "es", 3) == "Solo una frase."
    assert lead("", "en", 3) == ""


def test_each_document_is_split_in_its_own_language():
    text = "Vive en la Avda. Reina Sofía. Es alto."
    assert lead_all([text, text], ["es", "en"], 1) == ["Vive en la Avda. Reina Sofía.", "Vive en la Avda."]


@pytest.mark.parametrize("k", [1, 3])
def test_leads_of_real_documents_open_them(k):
    documents = [row["document"] for row in ROWS]
    leads = lead_all(documents, [row["language"] for row in ROWS], k)
    assert len(leads) == len(documents)
    for summary, document in zip(leads, documents, strict=True):
        assert "".join(document.split()).startswith("".join(summary.split()))
        assert summary


def test_languages_that_do_not_match_the_documents_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        lead_all(["One.", "Two."], ["en"], 1)
