"""Corpora in languages beyond English and Spanish, from the command line."""

import json
import re
import shlex

import pytest
from training_runs import SMALL, metrics, record

ARABIC = ["قطة على السطح", "مطر غزير في القرية", "السوق يبيع فواكه طازجة", "القطار يغادر باكرا", "كتب جديدة في المكتبة"]
ENGLISH = ["A cat on the roof", "Heavy rain in the village", "The market sells fruit", "The train leaves", "New books"]
SPANISH = ["Un gato en el tejado", "Lluvia en el pueblo", "El mercado vende fruta", "El tren sale", "Libros nuevos"]
THAI = ["แมวนอนหลับบนหลังคา", "ฝนตกหนักในหมู่บ้าน", "ตลาดเช้าขายผลไม้สด", "รถไฟออกแต่เช้า", "หนังสือใหม่ในห้องสมุด"]


@pytest.fixture
def corpus(tmp_path):
    """Write rows whose document begins with the summary; returns arguments that read them as every split."""

    def write(**titles):
        rows = [
            {"id": f"{language}{number}", "text": f"{title}. {title} 2020.", "title": title, "lang": language}
            for language, of in titles.items()
            for number, title in enumerate(of * 3)
        ]
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        names = [f"corpus.{split}={path.name}" for split in ("train", "validation", "test")]
        return ["corpus=files", *names, f"languages=[{','.join(titles)}]", "tracker=none", "hydra.run.dir=run"]

    return write


def test_tables_show_the_profile_that_supports_the_language(corpus, call_bisum, tmp_path):
    done = call_bisum("baseline", *corpus(ar=ARABIC), "evaluation.lead=1")
    assert done.code == 0, done.err
    line = "> ROUGE uses the unicode profile: rouge_score keeps only a-z and 0-9, which drops most letters of ar"
    assert done.out.count(line) == 1
    assert re.search(r"^all +100\.0 100\.0-100\.0 ", done.out, re.M)
    assert record(tmp_path / "run")["profile"] == "unicode"
    assert record(tmp_path / "run")["baseline"]["baseline/rouge1"] == 0.0


def test_english_keeps_rouge_score(corpus, call_bisum, tmp_path):
    done = call_bisum("baseline", *corpus(en=ENGLISH), "evaluation.lead=1")
    assert "profile" not in done.out
    assert record(tmp_path / "run")["profile"] == "rouge"


def train(call_bisum, corpus, *arguments):
    # The tiny tokenizer reads Arabic text as unknown tokens, so every summary scores 0.
    return call_bisum(*SMALL, *corpus(ar=ARABIC, en=ENGLISH[:1]), "trainer.learning_rate=2e-3", *arguments)


def test_best_checkpoint_uses_the_profile_that_supports_every_language(corpus, call_bisum, tmp_path):
    done = train(call_bisum, corpus)
    assert done.code == 0, done.err
    assert "best checkpoint by eval/unicode/rougeL: epoch-" in done.out
    assert record(tmp_path / "run")["best_metric"] == "eval/unicode/rougeL"
    evaluations = [line for line in metrics(tmp_path / "run") if "eval/loss" in line]
    best = max(evaluations, key=lambda line: (line["eval/unicode/rougeL"], -line["eval/loss"]))
    assert record(tmp_path / "run")["best"]["step"] == best["step"]


def test_loss_breaks_ties_between_scores(corpus, call_bisum, tmp_path):
    done = train(call_bisum, corpus, "trainer.best_metric=eval/ar/rougeL", "trainer.patience=1", "trainer.epochs=3")
    assert done.code == 0, done.err
    assert (
        "> warning: trainer.best_metric: eval/ar/rougeL keeps only a-z and 0-9 (0% of the letters of ar); "
        "eval/unicode/rougeL keeps all"
    ) in done.out
    losses = [line["eval/loss"] for line in metrics(tmp_path / "run") if "eval/loss" in line]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 3
    assert record(tmp_path / "run")["test"]["checkpoint"] == "epoch-3"
    assert record(tmp_path / "run")["best"]["eval/ar/rougeL"] == 0.0


def test_thai_titles_pass_the_default_filter_and_lead_k_is_explained(corpus, call_bisum):
    done = call_bisum("baseline", *corpus(th=THAI))
    assert done.code == 0, done.err
    assert re.search(r"^validation th +15 +0 +15", done.out, re.M)
    assert "> lead-3 is often the whole document in th: the language does not mark the ends of sentences" in done.out


def test_rows_in_other_languages_are_counted(corpus, call_bisum):
    arguments = [*corpus(en=ENGLISH, ar=ARABIC, th=THAI[:2]), "languages=[en]"]
    done = call_bisum("baseline", *arguments)
    assert "> 63 rows are left out: 45 in ar and 18 in th (languages=[en])" in done.out


def test_language_name_is_read_as_its_code_and_an_unknown_one_reported(corpus, call_bisum):
    done = call_bisum("baseline", *corpus(thai=THAI))
    assert "> languages: 'thai' is read as th" in done.out
    assert re.search(r"^validation thai +15 +0 +15", done.out, re.M)
    done = call_bisum("baseline", *corpus(xx=ENGLISH), "hydra.run.dir=other")
    assert "> languages: 'xx' is not a known language; its text is treated as English" in done.out


@pytest.mark.parametrize(
    ("files", "found", "codes"),
    [
        ({"eng": ENGLISH}, "eng (15)", "eng"),
        ({"EN": ENGLISH, "es-MX": SPANISH}, "EN (15), es-MX (15)", "EN,es-MX"),
        ({"inglés": ENGLISH, "español": SPANISH}, "inglés (15), español (15)", '["inglés","español"]'),
        ({"EN": ENGLISH, "es": SPANISH, "pt": SPANISH}, "EN (15), es (15), pt (15)", "EN,es"),
    ],
)
def test_codes_of_the_table_are_suggested_for_all_languages(corpus, call_bisum, files, found, codes):
    arguments = [argument for argument in corpus(**files) if not argument.startswith("languages=")]
    done = call_bisum("baseline", *arguments, "languages=[en,es]")
    hint = f"'languages={codes}'" if '"' in codes else f"languages=[{codes}]"
    assert done.code == 2
    assert done.err == f"bisum: languages: train has no rows in 'en', only in {found}; use {hint}\n"
    assert call_bisum("baseline", *arguments, *shlex.split(hint), "hydra.run.dir=again").code == 0


def test_filter_that_drops_one_language_is_reported(corpus, call_bisum):
    titles = {"en": ENGLISH, "es": ["Compresión", "Terminal", "Lluvia fuerte en el pueblo"]}
    done = call_bisum("baseline", *corpus(**titles))
    assert "> filter.long_titles drops 67% of the rows in es, but 20% of those in en" in done.out


def test_model_that_lacks_a_language_is_reported(corpus, call_bisum):
    done = call_bisum(*SMALL, *corpus(ar=ARABIC, en=ENGLISH), "trainer.max_steps=1")
    assert (
        "> warning: the tokenizer lacks characters of 100% of the documents in ar; try a multilingual model, such as"
        in done.out
    )
    assert "documents in en;" not in done.out


def test_split_without_a_language_is_reported(corpus, call_bisum, tmp_path):
    arguments = corpus(en=ENGLISH, ar=ARABIC)
    rows = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "en.jsonl").write_text("".join(row for row in rows if '"lang": "en"' in row), encoding="utf-8")
    done = call_bisum("baseline", *arguments, "corpus.validation=en.jsonl")
    assert "> validation has no rows in ar; its scores cover en only" in done.out


def test_documents_that_splits_share_are_counted(corpus, call_bisum):
    done = call_bisum("baseline", *corpus(en=ENGLISH))
    assert "> 12 of 12 documents of validation are also in train" in done.out  # all but the three short titles


def test_other_codes_for_the_languages_are_reported(corpus, call_bisum):
    done = call_bisum("baseline", *corpus(en=ENGLISH, eng=ENGLISH, ar=ARABIC), "languages=[en]")
    line = "> 90 rows are left out: 45 in eng and 45 in ar (languages=[en]); other codes for these languages: eng"
    assert line in done.out
