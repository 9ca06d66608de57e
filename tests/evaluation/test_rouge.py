import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import punkt
import pytest
from nltk.stem.snowball import SnowballStemmer
from rouge_score.rouge_scorer import RougeScorer

from bisum.corpus.sample import Sample
from bisum.evaluation.baseline import lead_all
from bisum.evaluation.metric_values import measured
from bisum.evaluation.rouge import Rouge, score_rows
from bisum.evaluation.rouge_engine import score_pairs
from bisum.evaluation.row_scores import aggregate, difference
from bisum.interfaces.metric import Summaries
from bisum.interfaces.score import ROUGE_MEASURES, ROUGE_PROFILES, ROUGE_TYPES

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data/debian.jsonl").read_text("utf-8").splitlines()]
NAMES = {"en": "english", "es": "spanish"}


@pytest.fixture(scope="module")
def pairs():
    """(predictions, references, languages): all pairs of summaries in one language, then lead-3."""
    crossed = [(a["summary"], b) for a in ROWS for b in ROWS if a["language"] == b["language"]]
    leads = lead_all([row["document"] for row in ROWS], [row["language"] for row in ROWS], 3)
    rows = crossed + list(zip(leads, ROWS, strict=True))
    return [p for p, _ in rows], [row["summary"] for _, row in rows], [row["language"] for _, row in rows]


def by_rouge_score(pairs, tokenizers):
    """Scores of the original package, shape (rows, types, measures)."""
    scorers = {code: RougeScorer(ROUGE_TYPES, use_stemmer=True, tokenizer=tokenizers.get(code)) for code in NAMES}
    scored = []
    for prediction, reference, code in zip(*pairs, strict=True):
        lines = ["\n".join(punkt.sent_tokenize(text, NAMES[code])) for text in (reference, prediction)]
        scored.append([scorers[code].score(*lines)[rouge_type] for rouge_type in ROUGE_TYPES])
    return np.array(scored, dtype=float)


@pytest.fixture(scope="module")
def golden(pairs):
    return by_rouge_score(pairs, {})


class WordsOfOneLanguage:
    """A second implementation of the `unicode` profile, without `regex`, as a tokenizer for rouge_score."""

    def __init__(self, name):
        self.stemmer = SnowballStemmer(name)

    def tokenize(self, text):
        text = unicodedata.normalize("NFKC", text).casefold()
        kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
        return [self.stemmer.stem(word) for word in kept.split()]


def scored(predictions, references, languages):
    """Return row scores as an evaluation computes them."""
    ids = [str(row) for row in range(len(languages))]
    rows = Summaries(ids=ids, documents=references, predictions=predictions, references=references, languages=languages)
    return measured({"rouge": Rouge()}, rows)[0]


def f(prediction, reference, language, rouge_type="rouge1"):
    """Return F1 of one pair in both profiles, (rouge, unicode)."""
    return tuple(score_rows([prediction], [reference], [language])[0, :, ROUGE_TYPES.index(rouge_type), 2])


def test_rouge_profile_equals_rouge_score_bit_for_bit(pairs, golden):
    scores = score_rows(*pairs)
    assert scores.shape == (len(pairs[0]), len(ROUGE_PROFILES), len(ROUGE_TYPES), len(ROUGE_MEASURES))
    assert scores.dtype == np.float64
    assert len(pairs[0]) > 700
    assert (scores[:, ROUGE_PROFILES.index("rouge")] == golden).all()


def test_unicode_profile_equals_rouge_score_over_snowball_stems(pairs):
    tokenizers = {code: WordsOfOneLanguage(name) for code, name in NAMES.items()}
    values = score_rows(*pairs)[:, ROUGE_PROFILES.index("unicode")]
    assert (values == by_rouge_score(pairs, tokenizers)).all()


def test_accents_count_only_in_the_unicode_profile():
    assert f("año", "a o", "es") == (1.0, 0.0)
    assert f("está", "este", "es") == (1.0, 0.0)
    assert f("el niño", "el nino", "es") == pytest.approx((0.4, 0.5))  # {el,ni,o} against {el,nino}: 2 x 1 / 5


def test_identical_non_latin_texts_match_only_in_the_unicode_profile():
    for text, language in [("これは本です。", "ja"), ("这是一支笔。", "zh"), ("Это книга.", "ru")]:
        assert f(text, text, language, "rouge2") == (0.0, 1.0)


def test_words_are_stemmed_in_their_own_language():
    # niños = niño and cantan = canta: 2 of 3 words, 1 of 2 bigrams.
    assert f("los niños cantan", "el niño canta", "es")[1] == pytest.approx(2 / 3)
    assert f("los niños cantan", "el niño canta", "es", "rouge2")[1] == pytest.approx(1 / 2)
    assert f("los niños cantan", "el niño canta", "tlh")[1] == 0.0


def test_japanese_is_compared_by_characters():
    assert f("猫が好き", "犬が好き", "ja")[1] == pytest.approx(3 / 4)
    assert f("猫が好き", "犬が好き", "ja", "rouge2")[1] == pytest.approx(2 / 3)


def test_rouge_lsum_matches_sentence_by_sentence():
    swapped = ("The dog ran. The cat sat.", "The cat sat. The dog ran.", "en")
    assert f(*swapped, "rougeL") == (0.5, 0.5)
    assert f(*swapped, "rougeLsum") == (1.0, 1.0)


@pytest.mark.parametrize("text", ["", " \n", "!?"])
def test_prediction_without_words_scores_zero(text):
    assert (score_rows([text, text], ["A summary.", ""], ["en", "es"]) == 0).all()


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        score_rows(["a", "b"], ["a"], ["en", "en"])


def test_fast_and_slow_engines_agree_bit_for_bit_on_thousands_of_rows():
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]
    references, documents = rows["summary"].to_pylist(), rows["document"].to_pylist()
    assert len(references) > 3000
    predictions = lead_all(documents, rows["language"].to_pylist(), 1)
    for use_stemmer in (True, False):
        fast, slow = (
            score_pairs(references, predictions, use_stemmer=use_stemmer, fast=fast) for fast in (True, False)
        )
        assert (fast == slow).all()
        assert fast.any(axis=0).all()


def test_missing_rust_port_is_reported_and_scores_stay_the_same(tmp_path):
    script = """
import sys

if sys.argv.pop(1) == "slow":
    sys.modules["rouge_score_rs"] = None

from bisum.cli.main import main

main()
"""
    arguments = ["baseline", "corpus.max_eval_rows=40", "corpus.max_train_rows=2", "tracker=none"]
    records, reported = [], []
    for engine in ("fast", "slow"):
        directory = tmp_path / engine
        command = [sys.executable, "-c", script, engine, *arguments, f"hydra.run.dir={directory}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        reported.append("about 10 times slower" in done.stdout)
        records.append(json.loads((directory / "run.json").read_text("utf-8"))["baseline"])
    assert reported == [False, True]
    assert records[0] == records[1]


def test_means_match_rouge_score(pairs, golden):
    metrics = aggregate(scored(*pairs), "eval", samples=100, seed=0, languages=["en", "es"])
    spanish = np.array([code == "es" for code in pairs[2]])
    for t, rouge_type in enumerate(ROUGE_TYPES):
        for m, suffix in enumerate(["_precision", "_recall", ""]):
            assert metrics[f"eval/{rouge_type}{suffix}"] == 100 * np.mean(golden[:, t, m].tolist())
            assert metrics[f"eval/es/{rouge_type}{suffix}"] == 100 * np.mean(golden[spanish, t, m].tolist())


def test_metric_names_cover_profiles_and_languages(pairs):
    scores = scored(*pairs)
    metrics = aggregate(scores, "baseline", samples=100, seed=0, languages=["en", "es", "de"])
    assert set(metrics) == {
        f"baseline/{profile}{language}{rouge_type}{suffix}"
        for profile in ("", "unicode/")
        for language in ("", "en/", "es/")  # no row is German
        for rouge_type in ("rouge1", "rouge2", "rougeL", "rougeLsum")
        for suffix in ("", "_precision", "_recall", "_low", "_high")
    }
    assert all(type(value) is float for value in metrics.values())
    assert metrics["baseline/unicode/es/rouge2_recall"] != metrics["baseline/es/rouge2_recall"]


def test_intervals_are_near_normal_and_depend_only_on_the_seed(pairs):
    scores = scored(*pairs)
    metrics, again, other = (aggregate(scores, "test", 500, seed, ["en", "es"]) for seed in (1, 1, 2))
    assert metrics == again
    assert metrics["test/rouge1_low"] != other["test/rouge1_low"]
    values = 100 * scores.columns["unicode/rouge1"].values
    # The percentile interval of many rows is close to the normal one.
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert metrics["test/unicode/rouge1_low"] == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert metrics["test/unicode/rouge1_high"] == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_difference_of_two_systems_matches_rouge_score(pairs, golden):
    _, references, languages = pairs
    others = lead_all(references, languages, 1)[::-1]
    theirs = by_rouge_score((others, references, languages), {})
    metrics = difference(
        scored(*pairs), scored(others, references, languages), samples=1000, seed=0, languages=["en", "es"]
    )
    spanish = np.array([code == "es" for code in languages])
    for t, rouge_type in enumerate(ROUGE_TYPES):
        for infix, rows in (("", spanish | ~spanish), ("es/", spanish)):
            name = f"difference/{infix}{rouge_type}"
            apart = 100 * (golden - theirs)[rows, t, ROUGE_MEASURES.index("fmeasure")]
            assert metrics[name] == pytest.approx(apart.mean(), abs=1e-9)
            half = 1.96 * apart.std() / np.sqrt(len(apart))  # many rows: close to the normal interval
            assert metrics[f"{name}_low"] == pytest.approx(apart.mean() - half, abs=0.25 * half)
            assert metrics[f"{name}_high"] == pytest.approx(apart.mean() + half, abs=0.25 * half)
    assert set(metrics) == {
        f"difference/{profile}{language}{rouge_type}{suffix}"
        for profile in ("", "unicode/")
        for language in ("", "en/", "es/")
        for rouge_type in ROUGE_TYPES
        for suffix in ("", "_low", "_high", "_better")
    }


def test_difference_matches_hand_calculation_in_both_profiles():
    # F of ROUGE-1: 1 and 0 against 0.5 and 0.5 in English; rouge_score reads año as a o, the unicode profile does not.
    references, languages = ["a red cat", "one two", "año"], ["en", "en", "es"]
    ours = scored(["a red cat", "three", "a o"], references, languages)
    theirs = scored(["a", "one four", "año"], references, languages)
    metrics = difference(ours, theirs, samples=1000, seed=0, languages=["en", "es"])
    assert metrics["difference/en/rouge1"] == pytest.approx(0)
    assert (metrics["difference/en/rouge1_low"], metrics["difference/en/rouge1_high"]) == pytest.approx((-50, 50))
    assert metrics["difference/en/rouge1_better"] == pytest.approx(25, abs=6)  # the won row twice: 1 of 4
    assert [metrics[f"difference/es/rouge1{end}"] for end in ("", "_low", "_high", "_better")] == [0, 0, 0, 0]
    ends = ("", "_low", "_high", "_better")
    assert [metrics[f"difference/unicode/es/rouge1{end}"] for end in ends] == [-100, -100, -100, 0]
    assert metrics["difference/unicode/rouge1"] == pytest.approx(-100 / 3)


def test_systems_scored_on_different_rows_cannot_be_compared():
    with pytest.raises(ValueError, match="same rows"):
        difference(scored(["a"], ["a"], ["en"]), scored(["a", "b"], ["a", "b"], ["en", "en"]), 100, 0, ["en"])


def test_no_rows_give_no_metrics():
    assert aggregate(scored([], [], []), "eval", samples=100, seed=0, languages=["en"]) == {}
