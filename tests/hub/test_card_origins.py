"""The card names the base, the corpus and their licences as the run recorded them, wherever it is written."""

import json


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


def sourced(checkpoint, place, commit=None):
    """A change of a record: the checkpoint that training started from, and its place as the run recorded it."""

    def change(record):
        record["config"]["model"].update(checkpoint=checkpoint, revision=None)
        record["source"] = {"place": place, "commit": commit, "sha256": None}

    return change


def test_the_recorded_place_of_the_base_decides_about_its_link(card, tmp_path, monkeypatch):
    """A folder of the base's name is elsewhere when the card is written, or here by chance."""
    page = card(sourced("models/mine", "folder"))
    assert "from the local checkpoint `mine` on" in page.text
    assert page.data.base_model is page.data.to_dict().get("base_model_relation") is None
    (tmp_path / "gpt2").mkdir()
    monkeypatch.chdir(tmp_path)
    page = card(sourced("gpt2", "hub", "607a30d"))
    assert "from [gpt2](https://huggingface.co/gpt2) (revision `607a30d`) on" in page.text
    assert page.data.base_model == "gpt2"
    page = card(sourced("pkg://mine.models", "package"))
    assert "from the model in the Python package `mine.models` on" in page.text


def test_a_local_checkpoint_and_files_are_named_without_folders(card):
    def change(record):
        record["config"]["model"]["checkpoint"] = "/home/ann/secret-project/checkpoints/epoch-3"
        files = {"path": None, "train": ["data/private/train.csv.gz", "s3://bucket/of-ann/more.jsonl"], "test": "t.csv"}
        record["config"]["corpus"] = {"_target_": "bisum.corpus.files.Files", "license": "CC0", **files}
        record["commands"] = ["bisum corpus=files cache_dir=/home/ann/cache 'run=/Users/ann/x' log=/srv/home/ann/y"]

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
    assert "Licence of the data: CC BY 4.0." in page.text
    assert page.data.datasets == ["me/texts"]


def test_adapter_has_a_section(card):
    def change(record):
        record["config"]["adapter"] = {"_target_": "bisum.models.adapters.Lora", "rank": 16, "targets": ["q", "v"]}
        record["choices"]["adapter"] = "lora"
        record.update(parameters=300_000_000, trained_parameters=1_200_000)

    page = card(change)
    assert "It has 300.0 million parameters, of which 1.2 million were trained." in page.text
    assert "A LoRA adapter was trained on the frozen base model. These weights are the base with the" in page.text
    assert [["adapter.rank", "16"], ["adapter.targets", "[q,v]"]] in [table[1:] for table in page.tables]
    assert "adapter was trained" not in card().text


def test_adapter_names_its_layers_and_its_base(card, tmp_path):
    def change(record):
        record["config"]["adapter"] = {"_target_": "bisum.models.adapters.Lora", "rank": 4, "targets": None}

    folder = tmp_path / "run" / "checkpoints" / "epoch-2"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").touch()
    layers = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q", "<b>|"]}
    (folder / "adapter_config.json").write_text(json.dumps(layers), "utf-8")
    base = {"checkpoint": "/models/mine", "revision": None, "quantize": None, "weights": {"model.safetensors": "12ab"}}
    (folder / "base.json").write_text(json.dumps(base), "utf-8")
    page = card(change, checkpoint="epoch-2")
    (table,) = (table for table in page.tables if table[1][0] == "adapter.rank")
    assert table[2] == ["adapter.targets", "[q,<b>|]"]
    assert "<b>" not in page.text
    assert "- SHA-256 of the base's `model.safetensors`: `12ab`" in page.text
    recorded = {"place": "folder", "commit": None, "sha256": {"model.safetensors": "34cd"}}
    page = card(lambda record: change(record) or record.update(source=recorded), checkpoint="epoch-2")
    assert "- SHA-256 of the base's `model.safetensors`: `34cd`" in page.text


def test_licence_of_model_and_data(card):
    assert (
        "The model's licence is `apache-2.0`. Licence of the training data: free-software"
        in card(license="apache-2.0").text
    )
    page = card(lambda record: record["config"]["corpus"].update(license=None))
    assert "No licence is stated for the model. The licence of its training data is not stated." in page.text
    assert page.data.license is None
