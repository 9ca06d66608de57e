"""Checkpoints with inconsistent files are refused in one line, before any text is read."""

import json
import shutil

import pytest
import torch
from checkpoints import PROMPTS
from safetensors.torch import load_file, save_file

from bisum.errors import UserError
from bisum.models.loading import check_model, load, load_reader


@pytest.fixture
def changed(checkpoints, tmp_path):
    """A copy of a family's checkpoint with one JSON file changed: `changed("t5", "config.json", d_model=64)`."""

    def copy(family, file="config.json", **values):
        folder = shutil.copytree(checkpoints(family), tmp_path / family)
        settings = json.loads((folder / file).read_text("utf-8"))
        (folder / file).write_text(json.dumps(settings | values), "utf-8")
        return folder

    return copy


@pytest.fixture
def refusal(options):
    """The line that refuses a checkpoint, without and with its weights."""

    def line(folder, family="", reads_weights=False, **values):
        model_options = options(folder, **PROMPTS.get(family, {}), **values)
        messages = set()
        readers = [lambda: load(model_options, 42, "float32"), lambda: check_model(model_options, "float32")]
        for read in [*readers, *([] if reads_weights else [lambda: load_reader(model_options)])]:
            with pytest.raises(UserError, match=r"^model\.checkpoint: ") as raised:
                read()
            messages.add(str(raised.value))
        (message,) = messages
        assert "\n" not in message
        return message

    return line


def is_tokenizer_file(path):
    return path.suffix == ".model" or path.name.startswith(("tokenizer", "vocab", "merges"))


@pytest.mark.parametrize(
    ("family", "tokenizer", "expected"),
    [
        ("t5", "gpt2", "a GPT2Tokenizer, has no pad_token"),
        ("pegasus", "gpt2", "a GPT2Tokenizer, has no pad_token"),
        ("bart", "mbart50", "a MBart50Tokenizer, does not match the model: its highest token id is "),
    ],
)
def test_tokenizer_of_another_model_is_refused(family, tokenizer, expected, checkpoints, refusal, tmp_path):
    folder = shutil.copytree(checkpoints(family), tmp_path / "model")
    for path in filter(is_tokenizer_file, [*folder.iterdir()]):
        path.unlink()
    for path in filter(is_tokenizer_file, checkpoints(tokenizer).iterdir()):
        shutil.copy(path, folder)
    assert expected in refusal(folder)


@pytest.mark.parametrize(
    ("family", "token"), [("t5", "pad_token"), ("t5", "eos_token"), ("bart", "pad_token"), ("gpt2", "eos_token")]
)
def test_tokenizer_without_a_required_token_is_refused(family, token, changed, refusal):
    assert token in refusal(changed(family, "tokenizer_config.json", **{token: None}), family)


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        ("decoder", {"rms_norm_eps": float("nan")}, "rms_norm_eps in its config.json is nan"),
        ("decoder", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    ],
)
def test_the_parts_of_a_nested_configuration_are_checked(part, value, expected, checkpoints, refusal, tmp_path):
    folder = shutil.copytree(checkpoints("t5gemma"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config[part] |= value
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    assert expected in refusal(folder, "t5gemma")


def test_a_list_as_the_start_of_decoding_is_refused(checkpoints, refusal, tmp_path):
    folder = shutil.copytree(checkpoints("t5gemma"), tmp_path / "model")
    file = folder / "generation_config.json"
    generation = json.loads(file.read_text("utf-8")) | {"decoder_start_token_id": [2]}
    file.write_text(json.dumps(generation), "utf-8")
    assert "decoder_start_token_id" in refusal(folder, "t5gemma")


def test_a_limit_that_led_pads_above_its_positions_is_refused(checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("led"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"attention_window": [48], "max_encoder_position_embeddings": 80}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(UserError, match="64 tokens are padded to 96, a multiple of the attention window") as raised:
        load_reader(options(folder))
    assert str(raised.value).endswith("80 positions; at most 48")


@pytest.mark.parametrize("family", ["t5", "mbart50", "bart", "gpt2"])
def test_tokenizer_without_its_vocabulary_file_is_refused(family, checkpoints, refusal, tmp_path):
    """transformers makes a tokenizer with nothing but special tokens of such a folder."""
    folder = shutil.copytree(checkpoints(family), tmp_path / "model")
    for path in filter(is_tokenizer_file, [*folder.iterdir()]):
        if path.name != "tokenizer_config.json":
            path.unlink()
    assert "has only special tokens; add its vocabulary file" in refusal(folder, family)


@pytest.mark.parametrize("params", [[1], {"summarization": [1]}, {"summarization": {"prefix": 5}}])
def test_invalid_prompt_is_refused(params, changed, refusal):
    assert "task_specific_params" in refusal(changed("t5", task_specific_params=params))


@pytest.mark.parametrize("params", [None, {"summarization": None}, {"summarization": {"prefix": None}}])
def test_missing_prompt_is_accepted(params, changed, options):
    loaded = load(options(changed("t5", task_specific_params=params), suffix="\nShort:"), 42, "float32")
    assert (loaded.prefix, loaded.suffix) == ("", "\nShort:")
    assert loaded.config.task_specific_params["summarization"] == {"prefix": "", "suffix": "\nShort:"}


@pytest.mark.parametrize("value", ["0", "x", 10**6, -1])
@pytest.mark.parametrize("name", ["decoder_start_token_id", "eos_token_id"])
def test_invalid_special_token_is_refused(name, value, changed, refusal):
    message = refusal(changed("bart", **{name: value}))
    assert name in message
    assert str(value) in message


def test_invalid_generation_token_in_config_json_is_refused(changed, refusal):
    folder = changed("bart", forced_bos_token_id=10**6)
    (folder / "generation_config.json").unlink()
    assert "forced_bos_token_id in its config.json is 1000000" in refusal(folder, reads_weights=True)


@pytest.mark.parametrize("value", ["0", "x", 10**6, -1, [2, "x"]])
@pytest.mark.parametrize("name", ["decoder_start_token_id", "eos_token_id", "forced_bos_token_id"])
def test_invalid_token_in_generation_config_is_refused(name, value, changed, refusal):
    message = refusal(changed("bart", "generation_config.json", **{name: value}), reads_weights=True)
    assert f"{name} in its generation_config.json is {value!r}" in message


@pytest.mark.parametrize("value", [-1, 1001, "3", 2.5, True, [3]])
def test_an_invalid_size_of_banned_ngrams_is_refused(value, changed, refusal):
    folder = changed("bart", "generation_config.json", no_repeat_ngram_size=value)
    message = refusal(folder, reads_weights=True)
    assert f"no_repeat_ngram_size in its generation_config.json is {value!r}; must be a whole number from 0" in message


@pytest.mark.parametrize("content", [b'{"no_repeat', b"", b"\xff\xfe\x00", b"[]", None], ids=repr)
def test_a_damaged_generation_config_is_refused(content, changed, refusal):
    file = changed("bart") / "generation_config.json"
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert f"'{file}' cannot be loaded" in refusal(file.parent, reads_weights=True)


@pytest.mark.parametrize(
    ("values", "weight"),
    [({"vocab_size": 2048}, "shared.weight"), ({"d_ff": 65}, "decoder.block.0.layer.2.DenseReluDense.wi.weight")],
)
def test_weights_of_the_wrong_shape_are_refused(values, weight, changed, refusal):
    message = refusal(changed("t5", **values), reads_weights=True)
    assert message.endswith(f"missing or of the wrong shape, such as {weight}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for", "TemplateSyntaxError: unexpected 'end of template'"),
        ("{{ raise_exception('system first') }}", "system first"),
        ("{{ nothing.there }}", "'nothing' is undefined"),
    ],
)
def test_failing_chat_template_is_refused(template, expected, changed, refusal):
    folder = changed("chat")
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    message = refusal(folder, "chat")
    assert "chat template" in message
    assert expected in message


def test_empty_chat_template_is_ignored(changed, options):
    folder = changed("chat")
    (folder / "chat_template.jinja").write_text(" \n", "utf-8")
    loaded = load(options(folder, suffix="\nTL;DR:"), 42, "float32")
    ids = loaded.encode(["Games."], [""], ["en"])["input_ids"]
    assert ids == [loaded.tokenizer("Games.\nTL;DR:")["input_ids"]]


def test_truncated_tokenizer_is_refused(checkpoints, refusal, tmp_path):
    folder = shutil.copytree(checkpoints("mt5"), tmp_path / "model")
    (folder / "spiece.model").write_bytes((folder / "spiece.model").read_bytes()[:500])
    message = refusal(folder)
    assert "tokenizer" in message
    assert "pip install" not in message


def test_damaged_pickled_weights_are_refused(checkpoints, refusal, tmp_path):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    torch.save(load_file(folder / "model.safetensors"), folder / "sound.bin")
    (folder / "model.safetensors").unlink()
    message = refusal(folder, reads_weights=True, pickled_weights=True)
    assert "weights_only" not in message
    assert "damaged" in message
    (folder / "pytorch_model.bin").write_bytes((folder / "sound.bin").read_bytes()[:5000])
    assert "weights_only" not in refusal(folder, reads_weights=True, pickled_weights=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"attn_implementation": "kernels-community/flash-attn"}, "a kernel from the hub, which is code"),
        ({"_attn_implementation": "someone/kernel:main"}, "a kernel from the hub, which is code"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "has a quantization_config; bisum needs float32 weights"),
    ],
)
def test_configuration_with_remote_code_or_quantization_is_refused(values, expected, changed, refusal):
    assert expected in refusal(changed("t5", **values))


def test_chat_template_named_like_a_path_is_refused(changed, refusal):
    templates = [{"name": "default", "template": "x"}, {"name": "../../../pwned", "template": "y"}]
    folder = changed("gpt2", "tokenizer_config.json", chat_template=templates)
    assert "a chat template named '../../../pwned'; use letters, digits, - and _" in refusal(folder, "gpt2")


def test_weights_are_checked_without_reading_their_values(checkpoints, options, tmp_path):
    """The check is fast enough to run before the corpus is read."""
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    check_model(options(folder), "float32")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(UserError, match=r"^model\.checkpoint: '.*' cannot be loaded: .*incomplete metadata"):
        check_model(options(folder), "float32")
    weights.unlink()
    with pytest.raises(UserError, match=r"contains no \*\.safetensors"):
        check_model(options(folder), "float32")


@pytest.mark.parametrize("command", ["train", "evaluate", "explore"])
@pytest.mark.parametrize("broken", ["missing", "cut", "family", "fp16"])
def test_model_problems_are_reported_before_the_corpus_is_read(
    command, broken, checkpoints, call_bisum, one_line, tmp_path
):
    if command == "explore" and broken in ("cut", "fp16"):
        pytest.skip("explore reads no weights")
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "model")
    if broken == "cut":
        (folder / "model.safetensors").write_bytes(b"x" * 100)
    if broken == "family":
        settings = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps({**settings, "model_type": "vit", "architectures": ["V"]}))
    checkpoint = str(tmp_path / "nowhere") if broken == "missing" else str(folder)
    arguments = [f"model.checkpoint={checkpoint}", "corpus=files", "corpus.path=absent.csv", "tracker=none"]
    if broken == "fp16":
        arguments.append("hardware.precision=fp16")
    done = call_bisum(command, *arguments)
    assert done.code == 2
    assert done.err.startswith("bisum: hardware.precision: " if broken == "fp16" else "bisum: model.checkpoint: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_weights_are_refused(value, checkpoints, options, tmp_path):
    folder = shutil.copytree(checkpoints("bart"), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = "model.decoder.layers.0.fc2.weight"
    weights[name].view(-1)[5] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError) as raised:
        load(options(folder), 42, "float32")
    shown = "nan" if value != value else "inf"
    assert str(raised.value) == f"model.checkpoint: '{folder}' has non-finite weights: {name} contains {shown}"
