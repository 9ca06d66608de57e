"""The card's numbers are the record's."""

import json

import pytest
from huggingface_hub import ModelCard, metadata_eval_result
from matplotlib.image import imread

SECTIONS = ["small", "Intended use and limits", "How to use it", "Scores", "Data", "Training", "Licence"]


def score(record, key):
    """A score of the test split as the card shows it."""
    value, low, high = (record["test"][f"{key}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def test_scores_are_the_recorded_ones(card):
    page = card()
    assert page.headings == SECTIONS
    assert "Summaries of single documents in English (`en`) and Spanish (`es`) like those of bisum's" in page.text
    assert "lead-2 uses the first 2 sentences of a document as its summary. On the same test rows:" in page.text
    assert "Score that selects the best checkpoint: `eval/rougeL`" in page.text
    record, table = page.record, page.tables[0]
    assert table[0] == ["", "", "ROUGE-1", "ROUGE-2", "ROUGE-L"]
    rows = record["data"]["rows"]["test"]
    counts = {"": rows["en"]["kept"] + rows["es"]["kept"], "en/": rows["en"]["kept"], "es/": rows["es"]["kept"]}
    assert sum(row["kept"] for row in rows.values()) == counts[""] == 40
    for number, (part, count) in enumerate(counts.items()):
        model, lead, difference = table[1 + 3 * number : 4 + 3 * number]
        assert model[:2] == [f"{part.strip('/') or 'all'}, {count} rows", "this model"]
        assert lead[:2] == ["", "lead-2"]
        for column, name in enumerate(("rouge1", "rouge2", "rougeL"), start=2):
            assert model[column] == score(record, f"test/{part}{name}")
            assert lead[column] == score(record, f"baseline/{part}{name}")
            means = [record["test"][f"{system}/{part}{name}"] for system in ("test", "baseline")]
            assert difference[column].startswith(f"{means[0] - means[1]:+.1f} (")
    assert len(table) == 10


def test_metadata_is_what_the_hub_reads(card):
    page = card(license="apache-2.0")
    data = page.data
    assert (data.language, data.license, data.library_name) == (["en", "es"], "apache-2.0", "transformers")
    assert (data.pipeline_tag, data.tags) == ("summarization", ["summarization", "bisum", "t5"])
    assert data.base_model is data.datasets is None  # random weights; the sample is not on the hub
    results = {(one.dataset_config, one.metric_name): one for one in data.eval_results}
    test = page.record["test"]
    for part in ("", "en", "es"):
        one = results[part or None, "ROUGE-L"]
        assert one.metric_value == pytest.approx(test["/".join(filter(None, ("test", part, "rougeL")))], abs=1e-4)
        assert (one.task_type, one.dataset_split, one.metric_type) == ("summarization", "test", "rouge")
    assert {name for _, name in results} == {"ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum", "loss", "gen_len"}
    again = ModelCard(str(ModelCard.load(page.folder / "README.md")))
    assert again.data.to_dict() == data.to_dict()
    own = data.to_dict()["model-index"][0]["results"][0]
    (made,) = metadata_eval_result(
        **{"model_pretty_name": "small", "task_pretty_name": "Summarization", "task_id": "summarization"},
        **{"metrics_pretty_name": "ROUGE-1", "metrics_id": "rouge", "metrics_value": own["metrics"][0]["value"]},
        **{"dataset_pretty_name": "bisum sample", "dataset_id": "bisum-sample", "dataset_split": "test"},
    )["model-index"][0]["results"]
    assert own["task"] == made["task"]
    assert own["dataset"] == made["dataset"]
    assert {**own["metrics"][0], "verified": False} == made["metrics"][0]


def test_rows_and_cut_shares(card):
    page = card(lambda record: record.update(cut={"train": {"documents": 16, "summaries": 1, "rows": 64}}))
    table = next(table for table in page.tables if table[0][-1] == "kept")
    rows = page.record["data"]["rows"]["test"]["es"]
    loaded, dropped = f"{rows['loaded']:,}", rows["dropped"]
    assert table[0] == ["", "", "read", "long_titles", "row limit", "kept"]
    long_titles, sample = (f"{-dropped[step]:,}" for step in ("long_titles", "sample"))
    assert table[-1] == ["test", "es", loaded, long_titles, sample, str(rows["kept"])]
    assert "(documents cut: 25.0% in train)" in page.text
    assert "(references cut: 1.6% in train)" in page.text
    assert page.record["data"]["fingerprint"] in page.text


def test_training_records_the_cut_rows(trained):
    record = json.loads((trained / "run.json").read_text("utf-8"))
    assert record["cut"].keys() == {"train", "validation", "test"}
    assert record["cut"]["train"]["rows"] == 64
    assert 0 < record["cut"]["train"]["documents"] < 64  # the limit is 64 tokens
    assert record["precision"] == "float32"


def test_the_worse_model_is_called_worse(card):
    def change(record):
        for part in ("", "en/", "es/"):
            record["test"] |= {f"difference/{part}rougeL{end}": value for end, value in
                               {"": -3.0, "_low": -4.5, "_high": -1.0}.items()}  # fmt: skip

    assert "es: ROUGE-L is 3.00 below lead-2 (95% interval -4.50 to -1.00): worse" in card(change).text


def test_figure_is_a_picture(card):
    page = card(metrics=True)
    assert "](curves.png)" in page.text
    assert imread(page.folder / "curves.png").shape[1] == 1350


def test_chosen_metrics_are_described(card):
    def change(record):
        record["scores"]["chrf"] = {
            "description": "F2 of characters", "higher_is_better": True, "range": [0, 100], "scale": 1, "unit": "%",
        }  # fmt: skip
        values = {"test/chrf": 41.26, "test/chrf_low": 40, "test/chrf_high": 43, "baseline/chrf": 30.0}
        record["test"] |= {**values, "test/es/chrf": 50.0}

    page = card(change)
    assert page.tables[1] == [
        ["", "better", "all", "en", "es", "lead-2, all"],
        ["chrf", "higher", "41.3 (40.0 to 43.0)", "–", "50.0", "30.0"],
    ]
    assert "- `chrf`: F2 of characters, in %" in page.text
    assert page.data.metrics == ["rouge", "chrf"]


def test_languages_with_the_profile_unicode(card):
    def change(record):
        record["profile"] = "unicode"
        rows = record["data"]["rows"]
        for split in rows.values():
            split.update(ja=split.pop("en"), ar_EG=split.pop("es"))
        record["test"] |= {f"test/unicode/{part}rougeL": 12.34 for part in ("", "ja/", "ar_EG/")}

    page = card(change)
    assert "texts in Japanese (`ja`) and Arabic (`ar_EG`)" in page.text
    assert page.data.language == ["ja", "ar"]
    assert page.tables[0][1][4].startswith("12.3")
    assert "bisum's profile `unicode`" in page.text
    (one,) = (one for one in page.data.eval_results if (one.dataset_config, one.metric_name) == ("ja", "ROUGE-L"))
    assert one.metric_value == 12.34
