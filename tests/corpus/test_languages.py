"""Properties of languages by code, checked against ISO 639, BCP 47 and the libraries' own lists."""

import re
import subprocess
import sys

import punkt
import pyarrow as pa
import pytest
from nltk.stem.snowball import SnowballStemmer
from punkt.rules import presets

from bisum.corpus import languages
from bisum.corpus.languages import count_words, describe_codes, nearest_language, tools_for
from bisum.interfaces.defaults import conf_directory


def test_every_tool_in_the_tables_exists():
    # punkt itself silently accepts any name and applies English rules.
    assert set(languages._TRAINED.values()) == set(punkt.available_languages()) - {"english_web"}
    assert all(presets.for_language(name) for name in languages._SCRIPT_RULES.values())
    assert set(languages._STEMMERS.values()) == set(SnowballStemmer.languages) - {"porter"}


@pytest.mark.parametrize(
    ("codes", "language"),
    [
        ("en EN eng en-US en_GB en_XX eng_Latn English", "en"),
        ("es spa es-419 es_MX spa_Latn spanish Castilian español", "es"),
        ("pt pt_BR pt-BR por por_Latn", "pt"),
        ("zh zho chi cmn zh_CN zh-Hans zh-Hant-TW zho_Hans cmn_Hant Chinese chinese_simplified", "zh"),
        ("ja jpn ja_JP jpn_Jpan Japanese", "ja"),
        ("ar ara arb arb_Arab ar-EG", "ar"),
        ("fa fas per pes pes_Arab", "fa"),
        ("he iw heb", "he"),
        ("nb nob nob_Latn", "nb"),
        ("ne npi npi_Deva", "ne"),
        ("fil tl tgl", "fil"),
    ],
)
def test_all_forms_of_a_code_are_one_language(codes, language):
    assert {code: tools_for(code).language for code in codes.split()} == dict.fromkeys(codes.split(), language)
    assert len({tools_for(code) for code in codes.split()}) == 1


@pytest.mark.parametrize(
    ("member", "macrolanguage"),
    [("yue", "zh"), ("wuu", "zh"), ("arz", "ar"), ("apc", "ar"), ("azj", "az"), ("nb", "no")],
)
def test_member_of_a_macrolanguage_gets_its_tools(member, macrolanguage):
    own, theirs = tools_for(member), tools_for(macrolanguage)
    assert (own.punkt, own.stemmer, own.spaced, own.dotless_i) == (
        theirs.punkt, theirs.stemmer, theirs.spaced, theirs.dotless_i
    )  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "spaced"),
    [
        ("ja zh yue th lo km my bo dz shn ii zh_CN zh-Hant ja_JP tha khm mya bod cjy cdo ja-Hrkt", False),
        ("en ko vi hi am ka ja-Latn zh-Latn-pinyin", True),
    ],
)
def test_script_determines_whether_spaces_separate_words(codes, spaced):
    assert {code: tools_for(code).spaced for code in codes.split()} == dict.fromkeys(codes.split(), spaced)


@pytest.mark.parametrize(
    "code", ["xx", "tlhx", "", "en ", "en-", "x-private", "und", "mul", "qaa", "en_US.UTF-8", "no such", "1"]
)
def test_unknown_code_is_reported_and_treated_as_english_without_a_stemmer(code):
    tools = tools_for(code)
    assert (tools.language, tools.punkt, tools.stemmer, tools.spaced) == (None, "english", None, True)
    (line,) = describe_codes([code])
    assert (
        line
        == f"languages: '{code}' is not a known language; its text is treated as English, with spaces between words"
    )


def test_only_names_and_unknown_codes_are_reported():
    codes = ["en", "eng", "spa_Latn", "zh-Hant", "pt_BR", "cmn", "Chinese", "scottish_gaelic", "xx"]
    names, unknown = list(describe_codes(codes))[:2], list(describe_codes(codes))[2:]
    assert names == ["languages: 'Chinese' is read as zh", "languages: 'scottish_gaelic' is read as gd"]
    assert [line.split("'")[1] for line in unknown] == ["xx"]


@pytest.mark.parametrize("code", ["th", "tha", "km", "lo", "my", "zh_CN", "zh-Hant", "ja_JP", "yue", "Chinese", "bo"])
def test_lengths_are_in_characters_under_any_code(code):
    rows = pa.table({"summary": ["面白い本", " 面白い\u3000本 ", ""], "language": [code] * 3})
    assert count_words(rows, "summary").to_pylist() == [4, 4, 0]


def test_configured_classes_import_fast():
    heavy = "{'numpy', 'nltk', 'evaluate', 'datasets', 'pyarrow', 'torch', 'transformers', 'langcodes'}"
    named = " ".join(path.read_text("utf-8") for path in conf_directory().rglob("*.yaml"))
    modules = {target.rpartition(".")[0] for target in re.findall(r"_target_: (bisum\.\S+)", named)}
    assert len(modules) > 15
    code = f"import sys, bisum.corpus.languages, {', '.join(modules)}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


NLLB = ("arb_Arab", "arz_Arab", "eng_Latn", "nno_Latn", "nob_Latn", "pbt_Arab", "spa_Latn", "zho_Hans", "zho_Hant")
MBART = ("ar_AR", "de_DE", "en_XX", "es_XX", "hr_HR", "zh_CN")


@pytest.mark.parametrize(
    ("code", "codes", "expected"),
    [
        ("es", NLLB, "spa_Latn"),
        ("es-MX", NLLB, "spa_Latn"),
        ("spa", MBART, "es_XX"),
        ("Spanish", MBART, "es_XX"),
        ("ar", NLLB, "arb_Arab"),
        ("arz", NLLB, "arz_Arab"),
        ("zh", NLLB, "zho_Hans"),
        ("zh-TW", NLLB, "zho_Hant"),
        ("zh-TW", MBART, "zh_CN"),
        ("no", NLLB, "nob_Latn"),
        ("ps", NLLB, "pbt_Arab"),
        ("en", MBART, "en_XX"),
        ("bs", MBART, None),
        ("lb", MBART, None),
        ("fr", MBART, None),
        ("zz", NLLB, None),
    ],
)
def test_the_nearest_code_of_a_language_is_found(code, codes, expected):
    """A similar language, which its speakers understand, is not the same one: Bosnian is not Croatian."""
    assert nearest_language(code, codes) == expected
