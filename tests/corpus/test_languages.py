import subprocess
import sys

import punkt
import pytest
from nltk.stem.snowball import SnowballStemmer
from punkt.rules import presets

from bisum.corpus.languages import FALLBACK, LANGUAGES, tools_for


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_tool_in_the_table_exists(code):
    # punkt itself takes any name without a word and then splits by English rules.
    tools = LANGUAGES[code]
    assert tools.punkt in punkt.available_languages() or presets.for_language(tools.punkt)
    assert tools.stemmer is None or tools.stemmer in SnowballStemmer.languages


def test_every_trained_punkt_model_is_in_the_table():
    trained = set(punkt.available_languages()) - {"english_web"}
    assert trained <= {tools.punkt for tools in LANGUAGES.values()}


@pytest.mark.parametrize(
    ("code", "base"),
    [("pt_BR", "pt"), ("pt-BR", "pt"), ("zh-Hans-CN", "zh"), ("es_XX", "es"), ("EN", "en")],
)
def test_a_code_with_a_region_falls_to_its_language(code, base):
    assert tools_for(code) is LANGUAGES[base]


@pytest.mark.parametrize("code", ["tlh", "", "x-private"])
def test_an_unknown_code_gets_english_sentences_and_no_stemmer(code):
    assert tools_for(code) == FALLBACK == ("english", None, True)


def test_classes_named_in_configurations_import_fast():
    heavy = "{'numpy', 'nltk', 'evaluate', 'datasets', 'pyarrow', 'torch', 'transformers'}"
    code = f"import sys, bisum.corpus.languages, bisum.evaluation.evaluate_library; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
