"""Adapters that peft wrote: the same output as in peft, or refused in one line."""

import json

import pytest
import torch
from adapted import logits, plain_base, refusal
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from bisum.errors import UserError
from bisum.models.loading import load


@pytest.fixture
def foreign(checkpoints, tmp_path):
    """A folder as written by plain peft, with entries of adapter_config.json changed: `foreign("t5", r=2)`."""

    def write(family="t5", **changes):
        folder = tmp_path / "foreign"
        base = plain_base(family, checkpoints(family))
        torch.manual_seed(0)
        model = get_peft_model(base, LoraConfig(r=4, target_modules=["q", "v"], init_lora_weights=False))
        model.save_pretrained(folder)
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
        return folder, model

    return write


def test_foreign_adapter_has_the_same_logits_as_in_peft(foreign, checkpoints, options):
    folder, model = foreign()
    assert {path.name for path in folder.iterdir()} <= {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    loaded = load(options(folder), 42, "float32")
    assert torch.equal(logits(loaded.model), logits(model))
    assert loaded.prefix == "summarize: "  # of the base
    assert loaded.base.doubt == (
        f"model.checkpoint: the adapter records no hash of its base '{checkpoints('t5')}', so bisum cannot verify it"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"peft_type": "IA3"}, "peft_type must be LORA"),
        ({"r": 10**9}, "r must be a whole number from 1 to 4096"),
        ({"r": 5}, "has the shape (4, 32), not (5, 32)"),
        ({"target_modules": "(a+)+b"}, "target_modules must be a list of names or all-linear"),
        ({"target_modules": []}, "target_modules must be a list of names or all-linear"),
        ({"target_modules": ["nonesuch"]}, "target_modules matches no layer of the base"),
        ({"target_modules": ["shared", "q", "v"]}, "target_modules adapts shared, which is not a linear layer"),
        ({"target_modules": ["q"]}, ".v.lora_A.weight is unknown"),
        ({"target_modules": ["q", "v", "k"]}, ".k.lora_A.weight is missing"),
        ({"lora_dropout": 1.5}, "lora_dropout must be a number from 0 to below 1"),
        ({"bias": "all"}, "bias must be none"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head'], which bisum does not support"),
        ({"rank_pattern": {"(a+)+b": 2}}, "rank_pattern is {'(a+)+b': 2}, which bisum does not support"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights must be true, false or gaussian"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path is null; must be a directory or a hub name"),
        ({"base_model_name_or_path": "https://a.b/c"}, "must be a directory or a hub name"),
        ({"base_model_name_or_path": "/nowhere/at/all"}, "model.base: no such directory: '/nowhere/at/all'"),
    ],
)
def test_unsupported_foreign_adapters_are_refused(changes, expected, foreign, options):
    folder, _ = foreign(**changes)
    assert expected in refusal(options(folder))


def test_pickled_adapter_is_refused(foreign, options):
    folder, _ = foreign()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    message = refusal(options(folder, pickled_weights=True))
    assert message.endswith("contains no adapter_model.safetensors; adapter_model.bin, a pickle, is not read")


def test_damaged_adapter_files_are_refused(foreign, options):
    folder, _ = foreign()
    weights = folder / "adapter_model.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:100])
    assert f"'{weights}' cannot be read" in refusal(options(folder))
    weights.write_bytes(sound)
    (folder / "adapter_config.json").write_text("{", "utf-8")
    assert f"'{folder / 'adapter_config.json'}' cannot be read" in refusal(options(folder))


def test_non_finite_adapter_is_refused(foreign, options):
    folder, _ = foreign()
    tensors = load_file(folder / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"has non-finite weights: .*lora_A.* contains nan"):
        load(options(folder), 42, "float32")
