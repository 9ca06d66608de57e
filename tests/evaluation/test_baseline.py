import json
from pathlib import Path

import pyarrow as pa
import pytest

from bisum.evaluation.baseline import lead, lead_all, unsplit_languages
from bisum.evaluation.sentences import split_sentences

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data/debian.jsonl").read_text("utf-8").splitlines()]


def test_lead_3_is_the_first_three_sentences_one_per_line():
    document = "Dr. Lee wrote it. It is short.  Is it good? Yes. Buy it."
    assert lead(document, "en", 3) == "Dr. Lee wrote it.\nIt is short.\nIs it good?"


def test_short_document_is_its_own_lead():
    assert lead("Solo una frase.", "es", 3) == "Solo una frase."
    assert lead("", "en", 3) == ""


@pytest.mark.parametrize("k", [1, 3])
def test_lead_of_a_long_document_matches_splitting_all_of_it(k):
    text = " ".join(row["document"] for row in ROWS if row["language"] == "en") * 20
    assert len(text) > 50_000
    assert lead(text, "en", k) == "\n".join(split_sentences(text, "en")[:k])
    one = "word " * 10_000
    assert lead(one, "en", k) == one.strip()


def test_each_document_is_split_by_the_rules_of_its_language():
    text = "Vive en la Avda. Reina Sofía. Es alto."
    assert lead_all([text, text], ["es", "en"], 1) == ["Vive en la Avda. Reina Sofía.", "Vive en la Avda."]


@pytest.mark.parametrize("k", [1, 3])
def test_leads_of_real_documents_are_prefixes(k):
    documents = [row["document"] for row in ROWS]
    leads = lead_all(documents, [row["language"] for row in ROWS], k)
    assert len(leads) == len(documents)
    for summary, document in zip(leads, documents, strict=True):
        assert "".join(document.split()).startswith("".join(summary.split()))
        assert summary


def test_unequal_numbers_of_documents_and_languages_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        lead_all(["One.", "Two."], ["en"], 1)


def rows_of(language, *documents):
    return pa.table({"document": documents, "language": [language] * len(documents)})


def test_language_without_sentence_marks_is_reported():
    rows = rows_of("tha", "แมวนอนบนหลังคา ฝนตกทั้งคืน")
    assert unsplit_languages(rows, ["แมวนอนบนหลังคา ฝนตกทั้งคืน"]) == {
        "tha": "the language does not mark the ends of sentences"
    }


def test_long_documents_with_one_sentence_are_reported():
    unsplit, split = " ".join(["word"] * 80), " ".join(["One sentence of five words."] * 20)
    rows = rows_of("en", unsplit, unsplit, split, "short")
    leads = lead_all(rows["document"].to_pylist(), ["en"] * 4, 3)
    assert unsplit_languages(rows, leads) == {"en": "2 of 3 long documents contain no sentence boundary"}


def test_real_documents_are_not_reported():
    rows = pa.Table.from_pylist(ROWS)
    leads = lead_all(rows["document"].to_pylist(), rows["language"].to_pylist(), 3)
    assert unsplit_languages(rows, leads) == {}
