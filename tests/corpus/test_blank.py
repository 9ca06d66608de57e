import sys

import pyarrow as pa
import regex

from bisum.corpus.blank import is_blank, is_blank_text
from bisum.corpus.corpus import drop_blank


def test_blank_characters_are_white_space_and_default_ignorables():
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    known = [bool(c.isspace() or regex.fullmatch(r"\p{Default_Ignorable_Code_Point}", c)) for c in characters]
    assert is_blank(pa.chunked_array([characters])).to_pylist() == known
    assert [is_blank_text(character) for character in characters] == known
    assert [is_blank_text(text) for text in ("", " \u200b\n", "\u200ba")] == [True, True, False]


def test_texts_of_zero_width_characters_are_dropped_and_others_unchanged():
    texts = ["\u200b", "\ufeff \n", "\u2060\u00ad\u200d\u200c", "\u202aa\u202c", "", None, " b\u200b"]
    rows = pa.table({"document": texts, "summary": ["s"] * len(texts)})
    assert drop_blank(rows)["document"].to_pylist() == ["\u202aa\u202c", " b\u200b"]
    rows = pa.table({"document": ["d"] * len(texts), "summary": texts})
    assert drop_blank(rows)["summary"].to_pylist() == ["\u202aa\u202c", " b\u200b"]
