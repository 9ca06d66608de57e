"""The starter model: its training rows and the scores on its card."""

import json
import re
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

import bisum
from bisum.corpus.sample import Sample

FOLDER = Path(bisum.__file__).parent / "assets" / "starter"

TRAINING_ROWS = Path(__file__).with_name("starter_training_rows.npz")
"""The CRC-32s of the training rows and the corpus's fingerprint, as written by make_corpus."""


def hashed(rows, column):
    if column == "package":
        texts = [re.fullmatch(r"e[ns]_(.+)_\w{8}", name)[1] for name in rows["id"].to_pylist()]
    else:
        texts = [" ".join(re.findall(r"\w+", text.lower())) for text in rows[column].to_pylist()]
    return np.array([crc32(text.encode()) for text in texts], np.uint32)


@pytest.fixture(scope="module")
def sample():
    return Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])


@pytest.mark.parametrize("column", ["package", "document", "summary"])
def test_no_validation_or_test_text_is_in_the_training_rows(sample, column):
    trained_on = np.load(TRAINING_ROWS)[column]
    for split in ("validation", "test"):
        found = np.isin(hashed(sample[split], column), trained_on)
        assert not found.any(), sample[split].filter(found)["id"].to_pylist()


def test_no_source_package_of_held_out_rows_is_in_the_training_rows(sample):
    rows = np.load(TRAINING_ROWS)
    for split in ("validation", "test"):
        assert np.isin(hashed(sample[split], "package"), rows["held_out"]).all()
    for column in ("package", "source"):
        assert not np.isin(rows[column], rows["held_out"]).any()


def test_weights_record_the_fingerprint_of_these_rows():
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    assert config["trained_on"] == str(np.load(TRAINING_ROWS)["fingerprint"])


@pytest.mark.parametrize("column", ["package", "document", "summary"])
def test_training_rows_include_those_of_the_sample(sample, column):
    trained_on = np.load(TRAINING_ROWS)[column]
    found = np.isin(hashed(sample["train"], column), trained_on)
    assert found.mean() > 0.95  # all but those that could reveal rows of the other splits


@pytest.fixture(scope="module")
def scores(run_bisum, tmp_path_factory):
    """Return ROUGE F x 100 and its interval on the sample's test split: `scores["es", "lead-1", "rougeL"]`."""
    folder = tmp_path_factory.mktemp("starter")
    found = {}
    for lead in (1, 3):
        arguments = ("model=starter", "split=test", f"evaluation.lead={lead}", f"hydra.run.dir=lead{lead}")
        command = "evaluate" if lead == 3 else "baseline"
        done = run_bisum(command, *arguments, cwd=folder)
        assert done.code == 0, done.err
        record = json.loads((folder / f"lead{lead}/run.json").read_text("utf-8"))
        for name, prefix, metrics in (
            (f"lead-{lead}", "baseline", record["baseline"]),
            ("starter", "test", record.get("evaluation", {})),
        ):
            for language in ("en", "es"):
                for rouge in ("rouge1", "rouge2", "rougeL"):
                    key = f"{prefix}/{language}/{rouge}"
                    if key in metrics:
                        found[language, name, rouge] = [metrics[key + end] for end in ("", "_low", "_high")]
    return found


def test_card_states_the_scores(scores):
    card = (FOLDER / "README.md").read_text("utf-8")
    figure = r"([\d.]+) \(([\d.]+)-([\d.]+)\)"
    stated = {}
    for language, name, *figures in re.findall(
        rf"^\| (e[ns]) \| (\S+) \| {figure} \| {figure} \| {figure} \|$", card, re.M
    ):
        for at, rouge in enumerate(("rouge1", "rouge2", "rougeL")):
            stated[language, name, rouge] = [float(value) for value in figures[3 * at : 3 * at + 3]]
    # In some row, another CPU can choose the other of two almost equally likely tokens.
    assert stated == {
        key: pytest.approx(values, abs=0.5 if "starter" in key else 0.051) for key, values in scores.items()
    }


@pytest.mark.parametrize("language", ["en", "es"])
def test_starter_beats_lead_3(scores, language):
    for rouge in ("rouge1", "rouge2", "rougeL"):
        assert scores[language, "starter", rouge][0] > scores[language, "lead-3", rouge][0]
