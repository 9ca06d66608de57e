"""The card's numbers are the record's; a run that is unfinished, sparse or someone else's still has a card."""

import json
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard, metadata_eval_result
from matplotlib.image import imread

from bisum.errors import UserError
from bisum.hub.card import write_card

SECTIONS = ["small", "Intended use and limits", "How to use it", "Scores", "Data", "Training", "Licence"]


def score(record, key):
    """A score of the test split as the card shows it."""
    value, low, high = (record["test"][f"{key}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def test_scores_are_the_recorded_ones(card):
    page = card()
    assert page.headings == SECTIONS
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


def test_licence_of_model_and_data(card):
    assert (
        "The model's licence is `apache-2.0`. That of its training data: free-software"
        in card(license="apache-2.0").text
    )
    page = card(lambda record: record["config"]["corpus"].update(license=None))
    assert "No licence is stated for the model. The licence of its training data is not stated." in page.text
    assert page.data.license is None


def test_hub_names_become_links_and_metadata(card):
    def change(record):
        record["config"]["model"].update(checkpoint="google/mt5-small", revision="73fb5db")
        record["config"]["corpus"] = {
            "_target_": "bisum.corpus.hub.Hub", "repo": "csebuetnlp/xlsum", "revision": "refs/convert/parquet",
            "configurations": {"en": "english", "es": "spanish"}, "test": "test", "license": None,
        }  # fmt: skip

    page = card(change)
    assert page.data.base_model == "google/mt5-small"
    assert page.data.base_model_relation == "finetune"
    assert page.data.datasets == ["csebuetnlp/xlsum"]
    assert "[google/mt5-small](https://huggingface.co/google/mt5-small) (revision `73fb5db`)" in page.text
    assert "see [the data set's page](https://huggingface.co/datasets/csebuetnlp/xlsum)" in page.text
    places = {(one.dataset_type, one.dataset_config, one.dataset_revision) for one in page.data.eval_results}
    assert places == {("csebuetnlp/xlsum", config, "refs/convert/parquet") for config in (None, "english", "spanish")}


def test_a_local_checkpoint_and_files_are_named_without_folders(card):
    def change(record):
        record["config"]["model"]["checkpoint"] = "/home/ann/secret-project/checkpoints/epoch-3"
        files = {"path": None, "train": ["data/private/train.csv.gz", "s3://bucket/of-ann/more.jsonl"], "test": "t.csv"}
        record["config"]["corpus"] = {"_target_": "bisum.corpus.files.Files", "license": "CC0", **files}
        record["command"] = "bisum corpus=files cache_dir=/home/ann/cache 'run=/Users/ann/x' log=/srv/home/ann/y"

    page = card(change)
    assert "from the local checkpoint `epoch-3` on local files: `train.csv.gz`, `more.jsonl` and `t.csv`" in page.text
    assert "cache_dir=~/cache 'run=~/x' log=/srv/home/ann/y\n" in page.text
    assert "private" not in page.text
    assert "of-ann" not in page.text
    assert page.data.base_model is page.data.datasets is None


def test_passages_state_the_corpus_and_licence_that_they_come_from(card):
    def change(record):
        of = {"_target_": "bisum.corpus.hub.Hub", "repo": "me/texts", "revision": None, "license": "CC BY 4.0"}
        passages = {"_target_": "bisum.corpus.passages.Passages", "min_words": 4, "max_words": 16}
        record["config"]["corpus"] = {**passages, "license": None, "of": of}

    page = card(change)
    assert "passages of 4 to 16 words, each its own summary, from [me/texts](" in page.text
    assert "Its licence is: CC BY 4.0." in page.text
    assert page.data.datasets == ["me/texts"]


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


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        ("running", "Training is unfinished."),
        ("interrupted", "Training was interrupted."),
        ("pruned", "A search ended this training early."),
    ],
)
def test_unfinished_run_shows_validation_scores(card, status, phrase):
    def change(record):
        record.update(status=status, reason="below the median", best=record["last"])
        del record["test"]

    page = card(change, checkpoint="epoch-2")
    assert f"**{phrase}** The weights are those after epoch 2 of 2." in page.text
    assert ("The search's reason: below the median." in page.text) is (status == "pruned")
    assert "Validation split: F1 x 100" in page.text
    last, baseline = page.record["last"], page.record["baseline"]
    assert page.tables[0][1][4].startswith(f"{last['eval/rougeL']:.1f} (")
    assert page.tables[0][2][4].startswith(f"{baseline['baseline/rougeL']:.1f} (")
    assert page.tables[0][3][4].startswith(f"{last['difference/rougeL']:+.1f} (")
    assert {one.dataset_split for one in page.data.eval_results} == {"validation"}


def test_another_checkpoint_of_a_finished_run_shows_its_own_scores(card, trained):
    def change(record):
        record["test"]["checkpoint"] = "epoch-2"
        record["best"] = record["last"]

    lines = map(json.loads, (trained / "metrics.jsonl").open())
    first = next(line for line in lines if line.get("epoch") == 1 and "eval/loss" in line)
    page = card(change, checkpoint="epoch-1")
    assert "This is not the checkpoint that the run chose." in page.text
    assert "The test split was scored with `epoch-2`." in page.text
    assert page.tables[0][1][4].startswith(f"{first['eval/rougeL']:.1f} (")


def test_checkpoint_in_mid_epoch_has_no_scores(card):
    page = card(lambda record: record.update(status="running"), checkpoint="epoch-0.5")
    assert page.text.count("No scores are recorded for these weights.") == 2
    assert page.data.eval_results is None
    assert "model-index" not in page.data.to_dict()


def test_run_without_metrics_has_a_card_without_a_figure(card):
    page = card(lines=[])
    assert page.headings == SECTIONS
    assert "curves.png" not in page.text
    assert not (page.folder / "curves.png").exists()


def test_figure_is_a_picture(card):
    page = card()
    assert "](curves.png)" in page.text
    assert imread(page.folder / "curves.png").shape[1] == 1350


def test_record_of_a_run_that_has_only_begun(card):
    def change(record):
        kept = ("job", "status", "config", "choices", "versions", "command", "commit", "seconds", "started")
        for name in record.keys() - set(kept):
            del record[name]
        record.update(status="running", data=None)

    page = card(change, checkpoint="epoch-0.25", lines=[])
    assert page.headings == SECTIONS
    assert page.data.language == ["en", "es"]  # from the configuration


def test_scores_that_are_not_finite_are_left_out(card):
    def change(record):
        record["test"] |= {"test/rouge2": None, "test/es/rougeL": float("nan"), "test/loss": float("inf")}

    page = card(change)
    assert page.tables[0][1][3] == "–"
    assert page.tables[0][7][4] == "–"
    names = {(one.dataset_config, one.metric_name) for one in page.data.eval_results}
    assert not names & {(None, "ROUGE-2"), ("es", "ROUGE-L"), (None, "loss")}
    assert "nan" not in page.text
    assert "inf " not in page.text


def test_chosen_metrics_are_described(card):
    def change(record):
        described = {
            "description": "F2 of letters",
            "higher_is_better": True,
            "range": [0, 100],
            "scale": 1,
            "unit": "%",
        }
        record["scores"]["chrf"] = described
        values = {"test/chrf": 41.26, "test/chrf_low": 40, "test/chrf_high": 43, "baseline/chrf": 30.0}
        record["test"] |= {**values, "test/es/chrf": 50.0}

    page = card(change)
    assert page.tables[1] == [
        ["", "better", "all", "en", "es", "lead-2, all"],
        ["chrf", "higher", "41.3 (40.0 to 43.0)", "–", "50.0", "30.0"],
    ]
    assert "- `chrf`: F2 of letters, in %" in page.text
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


def test_adapter_has_a_section(card):
    def change(record):
        record["config"]["adapter"] = {"_target_": "bisum.models.adapters.Lora", "rank": 16, "targets": ["q", "v"]}
        record["choices"]["adapter"] = "lora"
        record.update(parameters=300_000_000, trained_parameters=1_200_000)

    page = card(change)
    assert "It has 300.0 million parameters, of which 1.2 million were trained." in page.text
    assert [["adapter.rank", "16"], ["adapter.targets", "[q,v]"]] in [table[1:] for table in page.tables]


def test_own_family_is_loaded_with_bisum(card, reader):
    class Titles(type(reader.family)):
        pass

    assert not Titles.__module__.startswith("bisum.")
    page = card(
        lambda record: record["config"]["model"].update(family={"_target_": "mine.models.Titles"}),
        reader=replace(reader, family=Titles()),
    )
    assert "```python" not in page.text
    assert "`Titles`, which is not part of transformers or bisum" in page.text
    assert "'allow_targets=[mine]' model.family._target_=mine.models.Titles" in page.text


def test_run_on_one_batch_is_called_a_test(card):
    assert "This is a test of the training code" not in card().text
    page = card(lambda record: record.update(overfit={"rows": 4, "cut": 0, "steps": 9, "first_loss": 5.0, "loss": 0.1}))
    assert "The run fitted a single batch of 4 rows" in page.text


def test_card_without_a_repository_names_a_placeholder(card):
    page = card(repo_id=None)
    assert page.headings[0] == "tiny on sample"
    assert 'REPO = "path/to/this/folder"' in page.text


def test_a_run_that_trains_nothing_is_refused(card):
    with pytest.raises(UserError, match="is a run of `bisum baseline`, which trains no model"):
        card(lambda record: record.update(job="baseline"))


def test_hostile_values_stay_in_their_places(card, reader, trained, tmp_path):
    """Texts of someone else's run add no heading, link, picture, HTML, table, code block or metadata."""
    evil = (
        "x\n---\n# H\n\n| a | b |\n| - | - |\n```\n<script>alert(1)</script> ![p](http://e/p.png) [l](http://e) "
        "`|\\| **b** _i_ $$m$$ <!-- &lt; \x1b[2J \u202e \u2028 \ud800 {{ 7*7 }} {% raw %} : - ' \" "
    )
    usual = card()

    def change(value, depth=0):
        kept = ("job", "status", "higher_is_better", "_target_", "system", "checkpoint", "best_metric", "profile")
        for key, item in list(value.items()):
            if isinstance(item, dict):
                change(item, depth + 1)
            elif isinstance(item, str) and key not in kept:
                value[key] = evil + "y" * 10_000
        if depth and not {"rows", "train", "validation", "test", "en", "es", "kept"} & value.keys():
            value[evil] = evil if "_target_" in value else 0

    def hostile(record):
        change(record["config"], 1)
        for name in ("versions", "choices"):
            change(record[name])
        for rows in record["data"]["rows"].values():
            rows[evil] = rows.pop("es")
            rows["en"]["dropped"][evil] = 3
        record["scores"]["odd"] = {
            "description": evil, "higher_is_better": None, "range": [None, None], "scale": 1, "unit": evil,
        }  # fmt: skip
        record["test"]["test/odd"] = 1.0
        record["data"]["fingerprint"] = record["command"] = record["commit"] = record["device"] = evil
        record["baseline"]["system"] = record["best_metric"] = record["precision"] = evil

    page = card(hostile, license=evil)
    assert page.headings == usual.headings
    for mark in ("<script", "<img", "<a ", "<!--", "<hr", "<strong>b", "<em>"):
        assert page.html.count(mark) == usual.html.count(mark), mark
    assert page.html.count("<pre>") == usual.html.count("<pre>")
    assert len(page.tables) == len(usual.tables) + 1  # that of the metric
    for table in page.tables:
        assert len({len(row) for row in table}) == 1
    assert not set("\x1b\u202e\u2028") & set((page.folder / "README.md").read_text("utf-8"))
    assert page.data.to_dict().keys() == usual.data.to_dict().keys() | {"license"}
    assert max(map(len, page.text.splitlines())) < 6000
    assert "y" * 500 not in page.text.replace("\n", "")
    with pytest.raises(OSError, match="No such file"):
        write_card(trained, tmp_path / "missing" / "folder", "epoch-1", reader, evil, None)
