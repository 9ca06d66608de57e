import pytest

from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.evaluation.metrics.language import LanguageIdentification
from bisum.interfaces.progress import no_progress

ENGLISH, SPANISH = "A small library for reading the weather", "Una biblioteca para leer el estado del tiempo"
GERMAN = "Eine kleine Bibliothek zum Lesen der Wetterdaten"


def wrong(rows, others=("en",), threshold=0.02):
    return LanguageIdentification(others=list(others), threshold=threshold).compute(rows)["wrong_language"]


def test_summary_in_the_other_language_is_wrong(rows_of):
    rows = rows_of([ENGLISH, SPANISH, SPANISH, ENGLISH], languages=["en", "es", "en", "es"])
    assert wrong(rows) == [0, 0, 1, 1]


def test_english_is_detected_in_a_corpus_without_english(rows_of):
    assert wrong(rows_of([SPANISH, ENGLISH], languages="es")) == [0, 1]


def test_third_language_is_detected(rows_of):
    assert wrong(rows_of([GERMAN, GERMAN], languages=["en", "es"])) == [1, 1]


@pytest.mark.parametrize("text", ["", "  ", "3.14 - 42", "!?"])
def test_text_without_letters_has_no_value(rows_of, text):
    assert wrong(rows_of([text])) == [None]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("zh_CN", "一只小猫在屋顶上睡觉"),
        ("pt_BR", "Uma pequena biblioteca para ler o tempo"),
        ("cmn", "一只小猫在屋顶上睡觉"),
        ("no", "Et lite bibliotek for å lese været"),
        ("nb", "Et lite bibliotek for å lese været"),
        ("arz", "مكتبة صغيرة لقراءة حالة الطقس"),
        ("spa_Latn", SPANISH),
        ("ja", "屋根の上で猫が寝ている"),
    ],
)
def test_language_codes_of_any_form_are_understood(rows_of, code, text):
    assert wrong(rows_of([text, ENGLISH], languages=code)) == [0, 1]


def test_macrolanguage_members_differ_only_if_the_corpus_has_both(rows_of):
    croatian, bokmaal, nynorsk = (
        "Tjedan je imao tisuću dana",
        "Jeg vet ikke hva jeg skal gjøre",
        "Eg veit ikkje kva eg skal gjere",
    )
    assert wrong(rows_of([nynorsk, bokmaal], languages=["nb", "nb"])) == [0, 0]
    assert wrong(rows_of([nynorsk, bokmaal, nynorsk], languages=["nb", "nb", "nn"])) == [1, 0, 0]
    assert wrong(rows_of([croatian], languages="sr")) == [0]


def test_unsupported_language_is_reported_and_has_no_value(rows_of):
    metric = LanguageIdentification(others=["en"], threshold=0.02)
    assert list(metric.prepare(["en", "tlh"], no_progress)) == [
        "py3langid does not support tlh; rows in these languages get no wrong_language score"
    ]
    assert list(metric.prepare(["en", "es"], no_progress)) == []
    assert wrong(rows_of([ENGLISH, ENGLISH], languages=["tlh", "en"])) == [None, 0]
    with pytest.raises(UserError, match=r"^others: py3langid does not support xx; "):
        list(LanguageIdentification(others=["en", "xx"], threshold=0.02).prepare(["en"], no_progress))


@pytest.mark.parametrize(("language", "other"), [("en", "es"), ("es", "en")])
def test_few_references_are_mistaken_for_another_language(rows_of, language, other):
    """The references are in the right language; docs/reference/metrics.md reports the shares."""
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load([language])["test"]
    texts = rows["summary"].to_pylist()
    mixed = rows_of([*texts, "-"], languages=[*[language] * len(texts), other])  # the corpus has both
    assert sum(wrong(mixed)[:-1]) / len(texts) < 0.02
    swapped = rows_of([*texts, "-"], languages=[*[other] * len(texts), language])
    assert sum(wrong(swapped)[:-1]) / len(texts) > 0.98
