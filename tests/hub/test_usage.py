"""The code and the command of a card: prompts around the document, and settings other than the defaults."""

import shlex
from dataclasses import replace

import pytest
from transformers import AutoTokenizer, GenerationConfig

from bisum import compose
from bisum.evaluation.generation import set_decoding, summarize
from bisum.hub.usage import command, counts_prompt_ngrams, python_code
from bisum.models.loading import load

LONG = 'A tool that reads mail.\nIt shows "pictures" and plays sounds, too. ' * 20
DOCUMENTS = [LONG, "Una biblioteca\nde funciones."]


@pytest.fixture
def saved(checkpoints, tmp_path):
    """Save a family's model with other settings; return it, its folder and the settings of generation."""

    def save(family, *arguments, prefix=None, suffix=None):
        limits = ["model.max_document_tokens=40", "model.max_summary_tokens=8"]
        config = compose([f"model.checkpoint={checkpoints(family)}", *limits, *arguments])
        loaded = load(replace(config.model, prefix=prefix, suffix=suffix), config.seed, "float32")
        set_decoding(loaded, config.generation)
        loaded.save(tmp_path / "model")
        return loaded, tmp_path / "model", config.generation

    return save


@pytest.mark.parametrize(
    ("family", "prefix", "suffix"),
    [
        ("t5", 'summarize "this": ', "\nIn short:"),
        ("bart", "", " => "),
        ("pegasus", "", "\n\n"),
        ("mbart50", "", " resumen:"),
        ("gpt2", "Text: ", "\n\nTL;DR: "),
        ("chat", "Écris un titre « court » :\n\n", "\n---"),
    ],
)
def test_code_writes_bisums_summaries_with_a_prompt(saved, family, prefix, suffix):
    """The prompt is kept and the document shortened, as in bisum."""
    loaded, folder, generation = saved(family, "generation.num_beams=3", prefix=prefix, suffix=suffix)
    languages = ["en", "es"]
    defined = {}
    exec(python_code(loaded, str(folder), languages), defined)
    expected = summarize(loaded, DOCUMENTS, languages, generation, 2)
    given = zip(DOCUMENTS, languages, strict=True)
    found = [defined["summarize"](text, language) if family == "mbart50" else defined["summarize"](text)
             for text, language in given]  # fmt: skip
    assert found == expected
    assert any(expected)


def test_each_language_of_mbart50_has_its_token(saved):
    loaded, folder, _ = saved("mbart50")
    code = python_code(loaded, str(folder), ["en-US", "es", "xx"])  # no such language as xx
    assert 'LANGUAGES = {"en-US": "en_XX", "es": "es_XX"}' in code
    assert AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("es_XX") != 0


def test_command_names_the_settings_that_are_not_the_defaults(saved):
    loaded, _, _ = saved("mbart50")
    generation = {"num_beams": 4, "length_penalty": 1.0, "early_stopping": True, "min_tokens": None}
    line = command({"config": {"generation": generation}}, loaded, "me/model", ["en", "es"])
    assert shlex.split(line) == [
        *("bisum", "summarize", "me/model", "model.max_document_tokens=40", "model.max_summary_tokens=8"),
        *("generation.num_beams=4", "generation.early_stopping=true", "generation.min_tokens=null", "language=en"),
        *("--", "The text to summarize."),
    ]
    usual = replace(loaded, max_document_tokens=512, max_summary_tokens=30)
    name = "me/" + 70 * "long" + "model"
    assert shlex.split(command({"config": {}}, usual, name, []))[2] == name
    assert command({"config": {}}, usual, "me/model", []) == 'bisum summarize me/model -- "The text to summarize."'


@pytest.mark.parametrize(("family", "counts"), [("gpt2", True), ("bart", True), ("mt5", False)])
def test_banned_ngrams_of_a_prompt_are_reported(saved, family, counts, tmp_path):
    """BART starts the decoder with its end token, as docs/reference/models.md says."""
    loaded, _, _ = saved(family, suffix=" TL;DR:" if family == "gpt2" else None)
    for size in (2, 0):
        GenerationConfig(no_repeat_ngram_size=size).save_pretrained(tmp_path)
        assert counts_prompt_ngrams(tmp_path, loaded) is (counts and size > 0)
