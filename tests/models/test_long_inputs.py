"""A document of 5,000 words through models with 16,384 tokens, and through windows of a small one."""

import json
import shutil

import pytest
import torch
from checkpoints.weights import randomize
from plain import Plain
from transformers import GenerationConfig, LEDConfig, LEDForConditionalGeneration

from bisum import Summarizer, compose
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.evaluation.generation import summarize
from bisum.evaluation.windows import split_documents
from bisum.models.loading import load

WORDS, POSITIONS = 5000, 16_384


@pytest.fixture(scope="module")
def document():
    """The first 5,000 words of the sample's English training documents."""
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en"])["train"]
    words = " ".join(rows["document"].to_pylist()).split()[:WORDS]
    assert len(words) == WORDS
    return " ".join(words)


@pytest.fixture(scope="module")
def long_model(checkpoints, tmp_path_factory):
    """A checkpoint with the positions, window and blocks of the hub's; LongT5 has no fixed number of positions."""
    sizes = {
        "led": {"max_encoder_position_embeddings": POSITIONS, "attention_window": [512]},
        "longt5": {"local_radius": 127, "global_block_size": 16},
    }

    def make(family):
        folder = shutil.copytree(checkpoints(family), tmp_path_factory.mktemp(family) / "model")
        settings = json.loads((folder / "config.json").read_text("utf-8")) | sizes[family]
        (folder / "config.json").write_text(json.dumps(settings), "utf-8")
        if family == "led":
            torch.manual_seed(5)
            model = LEDForConditionalGeneration(LEDConfig.from_pretrained(folder))
            model.generation_config = GenerationConfig.from_pretrained(folder)
            randomize(model, settings["eos_token_id"]).save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize("family", ["led", "longt5"])
def test_5000_words_in_one_piece_equal_plain_transformers(family, document, long_model, options):
    folder = long_model(family)
    loaded = load(options(folder, max_document_tokens=POSITIONS), 42, "float32")
    encoded = loaded.encode([document, "A text editor."], ["", ""], ["en", "en"])
    assert encoded["document_cut"] == [False, False]
    plain = Plain(family, folder, document_tokens=POSITIONS)
    ids = [plain.document(text, "en") for text in (document, "A text editor.")]
    assert encoded["input_ids"] == ids
    assert len(ids[0]) > WORDS
    texts = [plain.text(plain.generate(row, "en", num_beams=1, no_repeat_ngram_size=0)) for row in ids]
    generation = compose(["generation.num_beams=1"]).generation
    assert summarize(loaded, [document, "A text editor."], ["en", "en"], generation, 2, "float32") == texts


def test_a_limit_above_the_positions_of_led_is_refused(long_model, options):
    with pytest.raises(UserError, match="16385 exceeds the model's 16384 positions"):
        load(options(long_model("led"), max_document_tokens=POSITIONS + 1), 42, "float32")


def test_5000_words_in_windows(document):
    """Every word is read once; the summary is that of the windows' summaries, as in calls by hand."""
    limits = ["model.max_document_tokens=256", "hardware=cpu"]
    by_hand = Summarizer(overrides=limits)
    windows = split_documents(by_hand.loaded, [document], ["en"])[0].texts
    assert " ".join(windows).split() == document.split()
    assert len(windows) > WORDS / 256
    parts = by_hand(list(windows), language="en")
    again = " ".join(filter(None, parts))
    while len(pieces := split_documents(by_hand.loaded, [again], ["en"])[0].texts) > 1:
        again = " ".join(filter(None, by_hand(list(pieces), language="en")))
    chunked = Summarizer(overrides=[*limits, "model.long_documents=chunk"])
    assert chunked(document, language="en") == by_hand(again, language="en")
    joined = Summarizer(overrides=[*limits, "model.long_documents=chunk", "model.chunk_summaries=join"])
    assert joined(document, language="en") == " ".join(filter(None, parts))
