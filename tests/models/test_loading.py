"""Checkpoints of the supported families load as saved; everything else is refused in one line."""

import io
import json
import shutil
import sys

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from plain import LANGUAGE_TOKENS, T5_FAMILY, read_model, read_tokenizer
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoTokenizer, BertConfig

from bisum import compose
from bisum.errors import UserError
from bisum.models.families import LED, T5, Bart, DecoderOnly, LanguageTokens, Marian, Pegasus, T5Gemma
from bisum.models.loading import load

FAMILIES = {
    **dict.fromkeys(T5_FAMILY, T5),
    **dict.fromkeys(("t5gemma", "t5gemma2"), T5Gemma),
    **dict.fromkeys(("bart", "kobart", "bart_chinese", "barthez"), Bart),
    "pegasus": Pegasus,
    "led": LED,
    **dict.fromkeys(LANGUAGE_TOKENS, LanguageTokens),
    "marian": Marian,
    **dict.fromkeys(PROMPTS, DecoderOnly),
}


def refusal(options, precision="float32"):
    with pytest.raises(UserError) as raised:
        load(options, 42, precision)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("family", BUILDERS)
def test_weights_equal_the_checkpoint_in_float32(family, checkpoints, options):
    loaded = load(options(checkpoints(family), **PROMPTS.get(family, {})), 42, "float32")
    assert type(loaded.family) is FAMILIES[family]
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    stored, state = read_model(family, checkpoints(family)).state_dict(), loaded.model.state_dict()
    assert len(stored) > 10
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[key], tensor) for key, tensor in stored.items())


@pytest.mark.parametrize("family", BUILDERS)
def test_attention_is_torch_s_fused_one_where_the_architecture_has_it(family, loaded_as, monkeypatch):
    sdpa, calls = functional.scaled_dot_product_attention, []
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or sdpa(*a, **k))
    model, ids = loaded_as(family).model, torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        model(input_ids=ids, labels=ids)
    # Local attention (LongT5, LED) and soft-capped scores (T5Gemma) need operations that the fused kernel lacks.
    assert bool(calls) == (family not in ("longt5", "led", "t5gemma"))


@pytest.mark.parametrize("family", BUILDERS)
def test_saved_model_loads_with_plain_transformers(family, checkpoints, options, tmp_path):
    loaded = load(options(checkpoints(family), **PROMPTS.get(family, {})), 42, "float32")
    loaded.save(tmp_path)
    suffixes = (".safetensors", ".json", ".txt", ".model", ".spm", ".jinja")
    assert not [path.name for path in tmp_path.iterdir() if path.suffix not in suffixes]
    model, tokenizer = read_model(family, tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    texts = ["El niño está aquí.", "A text editor with syntax highlighting", "<extra_id_3> <mask_1> es_XX <|im_end|>"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert batch.input_ids.tolist() == loaded.tokenizer(texts, padding=True)["input_ids"]
    original = read_tokenizer(family, checkpoints(family))
    assert [tokenizer(text).input_ids for text in texts] == [original(text).input_ids for text in texts]
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.input_ids}
    loaded.model.eval()
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, loaded.model(**inputs).logits)


def test_end_token_that_the_tokenizer_never_writes_is_replaced(checkpoints, options, tmp_path):
    """The tokenizer_config.json of bart-base-chinese names an `[EOS]`, which its texts and model do not have."""
    folder = shutil.copytree(checkpoints("bart_chinese"), tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    stated = {**settings, "bos_token": "[CLS]", "eos_token": "[EOS]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated), "utf-8")
    loaded = load(options(folder), 42, "float32")
    loaded.save(tmp_path)
    for reader in (loaded, load(options(tmp_path), 42, "float32")):
        columns = reader.encode(["小型 [EOS] editor"], ["小型"], ["zh"])
        plain = read_tokenizer("bart_chinese", checkpoints("bart_chinese"))
        assert columns["input_ids"] == [plain("小型 [EOS] editor")["input_ids"]]
        assert columns["labels"] == [plain("小型")["input_ids"]]


def test_separate_head_survives_tying_and_resizing(checkpoints, options, tmp_path):
    stored = load_file(checkpoints("mt5") / "model.safetensors")
    load(options(checkpoints("mt5")), 42, "float32").save(tmp_path)
    model = load(options(tmp_path), 42, "float32").model
    model.tie_weights()
    model.resize_token_embeddings(1_100)
    assert torch.equal(model.lm_head.weight[:1_024], stored["lm_head.weight"])
    assert torch.equal(model.shared.weight[:1_024], stored["shared.weight"])
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["tie_word_embeddings"] is False


def test_configured_prefix_overrides_the_checkpoints(checkpoints, options):
    assert load(options(checkpoints("t5")), 42, "float32").prefix == "summarize: "
    assert load(options(checkpoints("t5"), prefix="resume: "), 42, "float32").prefix == "resume: "
    assert load(options(checkpoints("t5"), prefix=""), 42, "float32").prefix == ""
    assert load(options(checkpoints("mt5")), 42, "float32").prefix == ""


def test_prefix_survives_saving(checkpoints, options, tmp_path):
    """A resumed run reads its documents as before."""
    load(options(checkpoints("t5")), 42, "float32").save(tmp_path)
    assert load(options(tmp_path), 42, "float32").prefix == "summarize: "


def test_positions_bound_the_token_limits(checkpoints, options):
    load(options(checkpoints("bart"), max_document_tokens=128), 42, "float32")
    message = refusal(options(checkpoints("bart"), max_document_tokens=129))
    assert "model.max_document_tokens" in message
    assert "129" in message
    assert "128" in message
    message = refusal(options(checkpoints("bart"), max_summary_tokens=200))
    assert "model.max_summary_tokens" in message
    load(options(checkpoints("t5"), max_document_tokens=5000), 42, "float32")


def test_pickled_weights_are_refused(checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    message = refusal(options(folder))
    assert "safetensors" in message
    assert str(folder) in message


def test_pickled_weights_beside_other_safetensors_are_refused(checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    save_file({"x": torch.zeros(1)}, folder / "optimizer.safetensors")
    assert "model.checkpoint" in refusal(options(folder))


def test_damaged_file_is_refused(checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(folder) in refusal(options(folder))


def test_weights_of_another_model_are_refused(checkpoints, options, tmp_path):
    """Missing weights are not replaced by random ones."""
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    gone = next(key for key in tensors if "layer_norm" not in key and "shared" not in key)
    save_file(
        {key: value for key, value in tensors.items() if key != gone}, folder / "model.safetensors", {"format": "pt"}
    )
    assert str(folder) in refusal(options(folder))


def test_folder_without_a_tokenizer_is_refused(checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    for path in [*folder.glob("tokenizer*"), folder / "spiece.model"]:
        path.unlink()
    message = refusal(options(folder))
    assert str(folder) in message


def test_folders_without_a_model_are_refused(checkpoints, options, tmp_path):
    (tmp_path / "notes.txt").write_text("no model")
    message = refusal(options(tmp_path))
    assert "config.json" in message
    assert "notes.txt" in message
    assert "nothing-here" in refusal(options(tmp_path / "nothing-here" / "model"))

    folder = shutil.copytree(checkpoints("t5"), tmp_path / "unknown")
    settings = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "nonesuch"}))
    assert "nonesuch" in refusal(options(folder))
    (folder / "config.json").write_text("{")
    assert "config.json" in refusal(options(folder))


def test_unsupported_model_type_lists_the_supported_ones(options, tmp_path):
    BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1).save_pretrained(tmp_path)
    message = refusal(options(tmp_path))
    assert "'bert'" in message
    assert all(name in message for name in ("t5", "mt5", "bart", "model.family._target_"))


def test_hub_name_without_network_is_reported(options):
    message = refusal(options("google/mt5-small", revision="73fb5dbe4756edadc8fbe8c769b0a109493acf7a"))
    missing = "'google/mt5-small' is neither a directory nor in the cache; unset HF_HUB_OFFLINE to download it"
    assert message == f"model.checkpoint: {missing}"


@pytest.mark.parametrize("known", [True, False])
def test_code_in_a_checkpoint_never_runs_even_after_a_yes_on_stdin(known, checkpoints, options, tmp_path, monkeypatch):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    marker = tmp_path / "ran"
    (folder / "own.py").write_text(
        f"open({str(marker)!r}, 'w').close()\n"
        "from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast\n"
        "class OwnConfig(T5Config):\n    model_type = 'own'\n"
        "class OwnModel(T5ForConditionalGeneration):\n    config_class = OwnConfig\n"
    )
    settings = json.loads((folder / "config.json").read_text("utf-8"))
    settings["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForSeq2SeqLM": "own.OwnModel"}
    settings["model_type"] = "t5" if known else "own"
    (folder / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 10))
    try:
        load(options(folder), 42, "float32")
    except UserError:
        assert not known
    assert not marker.exists()


def test_random_weights_follow_the_seed():
    model = compose(["model=tiny", "model.architecture.d_model=32", "model.architecture.num_heads=2"]).model
    one, same, other = (load(model, seed, "float32").model.shared.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
