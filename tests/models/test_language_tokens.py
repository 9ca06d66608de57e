"""Models that mark each text's language by a token: languages mixed in a batch equal calls for one language."""

from dataclasses import replace

import pytest
import torch
from family_rows import DOCUMENTS, LANGUAGES, ROWS, encoded, refusal
from plain import LANGUAGE_TOKENS, Plain

from bisum.evaluation.generation import summarize


@pytest.mark.parametrize(("family", "penalty", "early", "ngrams", "least"), [
    ("mbart50", 0.0, False, 0, 0), ("mbart50", 1.0, False, 0, 0), ("mbart50", 2.0, False, 2, 0),
    ("mbart50", 0.4, True, 3, 4), ("mbart50", -1.0, "never", 0, 2),
    ("nllb", 2.0, False, 2, 0), ("m2m100", 0.4, True, 3, 4),
])  # fmt: skip
def test_beams_in_mixed_languages_equal_single_language_calls(
    family, penalty, early, ngrams, least, checkpoints, loaded_as, decoding
):
    """transformers forces one token for all rows, and counts it toward the length that normalizes beams."""
    loaded, plain = loaded_as(family), Plain(family, checkpoints(family))
    beam_options = {"num_beams": 4, "length_penalty": penalty, "early_stopping": early, "no_repeat_ngram_size": ngrams}
    limits = {"min_new_tokens": least or None}
    ids = [plain.generate(plain.document(text, code), code, **beam_options, **limits) for code, text, _ in ROWS]
    options = replace(decoding("beams")[1], **beam_options, min_tokens=least)
    texts = [plain.text(summary) for summary in ids]
    assert summarize(loaded, DOCUMENTS, LANGUAGES, options, 8, "float32") == texts
    for language in set(LANGUAGES):
        own = [at for at, code in enumerate(LANGUAGES) if code == language]
        alone = summarize(loaded, [DOCUMENTS[at] for at in own], [language] * len(own), options, 8, "float32")
        assert alone == [texts[at] for at in own]


def test_language_token_counts_toward_the_length_of_beams(checkpoints):
    """A token in the decoder's prompt would not count, and the beams would result in other summaries."""
    plain = Plain("mbart50", checkpoints("mbart50"))
    forced, prompted = [], []
    for language, text, _ in ROWS:
        ids, code = plain.document(text, language), plain.tokenizer.convert_tokens_to_ids(f"{language}_XX")
        code = plain.tokenizer.convert_tokens_to_ids("de_DE") if language == "de" else code
        forced.append(plain.generate(ids, language, num_beams=4))
        starts = {"decoder_input_ids": torch.tensor([[2, code]]), "max_new_tokens": 12, "do_sample": False}
        prompted.append(plain.model.generate(input_ids=torch.tensor([ids]), num_beams=4, **starts)[0, 2:].tolist())
    assert 0 < sum(one != other for one, other in zip(forced, prompted, strict=True)) < len(ROWS)


@pytest.mark.parametrize("family", LANGUAGE_TOKENS)
def test_encoding_ignores_the_tokenizers_current_language(family, loaded_as):
    """Rows of three languages in one batch have the ids of batches of one language."""
    loaded = loaded_as(family)
    before = encoded(loaded)
    german = LANGUAGE_TOKENS[family]["de"].strip("_")
    loaded.tokenizer.src_lang = loaded.tokenizer.tgt_lang = german
    assert encoded(loaded) == before
    alone = [loaded.family.encode(loaded, [text], [summary], [language]) for language, text, summary in ROWS]
    for name in ("input_ids", "labels"):
        assert [row[name][0] for row in alone] == before[name]


@pytest.mark.parametrize("family", LANGUAGE_TOKENS)
def test_unsupported_language_lists_the_supported_ones(family, loaded_as):
    loaded = loaded_as(family)
    message = refusal(lambda: loaded.family.encode(loaded, ["Hej"], ["Hej"], ["tlh"]))
    assert "'tlh'" in message
    names = (LANGUAGE_TOKENS[family][code].strip("_") for code in ("en", "es", "de"))
    assert all(f" {name}" in message for name in names)
