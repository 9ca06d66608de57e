"""The ROUGE profile of a run, chosen by the letters of its references."""

import pyarrow as pa
import pytest

from bisum.evaluation.profile import best_metric, blind_spots, choose_profile, kept_shares, unreadable_languages


def shares(**texts):
    tables = [pa.table({"id": ["0"], "summary": [text], "language": [language]}) for language, text in texts.items()]
    return kept_shares(tables)


def test_shares_match_hand_counts():
    found = shares(en="A cat, 2020!", es="año", ar="قطة 7", ja="猫")
    assert found == {"en": 1.0, "es": 2 / 3, "ar": 1 / 4, "ja": 0.0}


@pytest.mark.parametrize(
    ("texts", "profile"),
    [
        ({"en": "A cat sleeps", "es": "Un gato duerme aquí, ¿eh?"}, "rouge"),
        ({"vi": "Một con mèo ngủ trên mái nhà"}, "rouge"),
        ({"tr": "Kedi çatıda uyuyor"}, "rouge"),
        ({"en": "A cat sleeps", "ar": "تنام قطة على سطح البيت"}, "unicode"),
        ({"ru": "Кошка спит на крыше с 2020 года, COVID"}, "unicode"),
        ({"th": "แมวนอนบนหลังคา"}, "unicode"),
        ({"ja": "GPT-4は2024年のモデルです"}, "rouge"),
        ({"ja": "猫が屋根で寝ている"}, "unicode"),
    ],
)
def test_chosen_profile_keeps_most_letters_of_every_language(texts, profile):
    assert choose_profile(shares(**texts)) == profile


def test_references_without_letters_are_ignored():
    assert shares(en="A cat", es="—!") == {"en": 1.0}


def test_sampling_of_many_references_ignores_their_order():
    texts = ["A cat" if number % 2 else "猫" for number in range(30_000)]
    rows = pa.table({"id": [f"{n:05}" for n in range(30_000)], "summary": texts, "language": ["ja"] * 30_000})
    reversed_rows = rows.take(list(range(29_999, -1, -1)))
    assert kept_shares([rows]) == kept_shares([reversed_rows])
    assert kept_shares([rows])["ja"] == pytest.approx(4 / 5, abs=0.05)  # four letters of five


def test_configured_metric_overrides_auto():
    assert best_metric("auto", "rouge") == "eval/rougeL"
    assert best_metric("auto", "unicode") == "eval/unicode/rougeL"
    assert best_metric("eval/rouge2", "unicode") == "eval/rouge2"


@pytest.mark.parametrize(
    ("metric", "lost"),
    [
        ("eval/rougeL", ["ar"]),
        ("eval/ar/rouge1", ["ar"]),
        ("eval/en/rouge1", []),
        ("eval/unicode/rougeL", []),
        ("eval/unicode/ar/rougeL", []),
        ("eval/loss", []),
        ("eval/gen_len", []),
    ],
)
def test_languages_losing_most_letters_are_found(metric, lost):
    found = shares(en="A cat", ar="قطة")
    assert unreadable_languages(found) == ["ar"]
    assert blind_spots(metric, found) == lost
