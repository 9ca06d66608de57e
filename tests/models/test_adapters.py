"""LoRA layers: the same as peft's on the same base, in files that peft reads, and trained alone."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from adapted import ADAPTED, logits, lora, perturb, plain_base, refusal, same
from checkpoints import PROMPTS
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import bisum
from bisum import compose
from bisum.errors import UserError
from bisum.models.adapters import NoAdapter
from bisum.models.dropout import remove_dropout
from bisum.models.loading import check_model, load

DORA = {"dora": True, "rslora": True}


@pytest.fixture(scope="module", params=ADAPTED)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def adapted(checkpoints, options, tmp_path_factory):
    """The options of a family's checkpoint, its model with perturbed LoRA layers, and the folder of their files.

    They are made once: a test that changes the files copies them.
    """

    @cache
    def make(family, **settings):
        base = options(checkpoints(family), **PROMPTS.get(family, {}))
        loaded = load(base, 42, "float32", adapter=lora(**settings))
        perturb(loaded.model)
        folder = tmp_path_factory.mktemp(f"adapter-{family}")
        loaded.save(folder)
        return base, loaded, folder

    return make


@pytest.mark.parametrize(
    ("family", "settings"),
    [*((family, {}) for family in ADAPTED), *((family, DORA) for family in ("t5", "bart", "t5gemma2", "gpt2"))],
)
def test_saved_adapter_has_the_same_logits_in_plain_peft(family, settings, adapted, checkpoints, options):
    _, loaded, folder = adapted(family, **settings)
    plain = PeftModel.from_pretrained(plain_base(family, checkpoints(family)), folder)
    expected = logits(plain)
    assert same(family, logits(loaded.model), expected)
    again = load(options(folder, **PROMPTS.get(family, {})), 7, "float32")
    assert same(family, logits(again.model), expected)
    assert (expected - logits(plain_base(family, checkpoints(family)))).abs().max() > 0.1  # the adapter does something


def test_saved_adapter_is_read_by_plain_transformers(family, adapted, checkpoints):
    _, loaded, folder = adapted(family)
    plain = plain_base(family, checkpoints(family))
    plain.load_adapter(folder)
    assert same(family, logits(plain), logits(loaded.model))


def test_default_layers_and_their_weights_are_pefts(family, adapted, checkpoints):
    """For decoder-only models, peft's own all-linear gives the same layers."""
    gated, gemma = ["q", "k", "v", "o", "wi_0", "wi_1", "wo"], ["q_proj", "k_proj", "v_proj", "o_proj"]
    gemma += ["gate_proj", "up_proj", "down_proj"]
    attention = ["query", "key", "value", "query_global", "key_global", "value_global", "output"]
    bart = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    targets = {
        "t5": ["q", "k", "v", "o", "wi", "wo"],
        **dict.fromkeys(("mt5", "umt5", "longt5"), gated),
        "t5gemma": gemma,
        # The image encoder, whose names are the same, is not adapted.
        "t5gemma2": rf".*\.(text_model|decoder)\..*\.({'|'.join(gemma)})",
        "led": [*bart, *attention],
        **dict.fromkeys(PROMPTS, "all-linear"),
    }.get(family, bart)
    _, loaded, _ = adapted(family)
    plain = get_peft_model(plain_base(family, checkpoints(family)), LoraConfig(r=4, target_modules=targets))
    trained, total = plain.get_nb_trainable_parameters()
    assert (loaded.trained_parameters, loaded.parameters) == (trained, total)
    names = {
        name.removeprefix("base_model.model.") for name, weight in plain.named_parameters() if weight.requires_grad
    }
    assert {name for name, weight in loaded.model.named_parameters() if weight.requires_grad} == names


def test_untrained_layers_change_no_output(family, checkpoints, options):
    loaded = load(options(checkpoints(family), **PROMPTS.get(family, {})), 42, "float32", adapter=lora())
    assert same(family, logits(loaded.model), logits(plain_base(family, checkpoints(family))))


def test_initial_weights_follow_the_seed(checkpoints, options):
    def first(seed):
        model = load(options(checkpoints("t5")), seed, "float32", adapter=lora()).model
        return next(weight for name, weight in model.named_parameters() if "lora_A" in name)

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_mt5s_head_stays_separate(adapted):
    _, loaded, _ = adapted("mt5")
    head, embedding = loaded.model.get_output_embeddings(), loaded.model.get_input_embeddings()
    assert head.weight is not embedding.weight
    assert loaded.model.config.tie_word_embeddings is False


def test_dropout_of_the_layers_is_removed_with_the_models(checkpoints, options):
    model = load(options(checkpoints("t5")), 42, "float32", adapter=lora(dropout=0.5)).model
    perturb(model)
    expected = logits(model)
    remove_dropout(model)
    model.train()
    ids = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]])
    assert torch.equal(model(input_ids=ids, decoder_input_ids=ids).logits, expected)


def test_adapter_is_small_beside_its_base(adapted, checkpoints):
    _, loaded, folder = adapted("bart")
    stored = load_file(folder / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == loaded.trained_parameters
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize("names", [["q"], ["q", "wo"], ["encoder.block.0.layer.0.SelfAttention.q"]])
def test_only_the_named_layers_are_adapted(names, checkpoints, options):
    model = load(options(checkpoints("t5")), 42, "float32", adapter=lora(targets=names)).model
    adapted = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted
    assert all(any(f".{layer}".endswith(f".{name}") for name in names) for layer in adapted)


@pytest.mark.parametrize("names", [["q", "nonesuch"], ["shared"], ["lm_head"], ["encoder"], ["q.*"]])
def test_names_without_a_linear_layer_are_refused_with_the_valid_ones(names, checkpoints, options):
    wrong = names[-1]
    for read in (check_model, lambda *a, **k: load(a[0], 42, a[1], **k)):
        with pytest.raises(UserError) as raised:
            read(options(checkpoints("t5")), "float32", adapter=lora(targets=names))
        assert str(raised.value) == (
            f"adapter.targets: no linear layer of the model is named {wrong} (valid: q, k, v, o, wi, wo)"
        )


def test_moved_base_is_named_by_its_new_place(checkpoints, options, tmp_path):
    base = shutil.copytree(checkpoints("t5"), tmp_path / "base")
    loaded = load(options(base), 42, "float32", adapter=lora())
    perturb(loaded.model)
    (tmp_path / "adapter").mkdir()
    loaded.save(tmp_path / "adapter")
    base.rename(tmp_path / "moved")
    message = refusal(options(tmp_path / "adapter"))
    assert message.startswith(f"model.base: no such directory: '{base}'")
    assert "if it has moved, set model.base to its place" in message
    again = load(options(tmp_path / "adapter", base=str(tmp_path / "moved")), 42, "float32")
    assert torch.equal(logits(again.model), logits(loaded.model))


@pytest.mark.parametrize("change", ["weight", "other", "missing"])
def test_changed_base_is_refused(change, checkpoints, options, tmp_path):
    base = shutil.copytree(checkpoints("bart"), tmp_path / "base")
    (tmp_path / "adapter").mkdir()
    load(options(base), 42, "float32", adapter=lora()).save(tmp_path / "adapter")
    weights = base / "model.safetensors"
    if change == "weight":
        tensors = load_file(weights)
        tensors["model.shared.weight"][3, 3] += 0.5
        save_file(tensors, weights, {"format": "pt"})
    elif change == "missing":
        weights.unlink()
    other = {"base": str(checkpoints("mbart50"))} if change == "other" else {}
    message = refusal(options(tmp_path / "adapter", **other))
    folder = other.get("base", base)
    assert message.startswith(f"model.base: '{folder}' is not the base that '{tmp_path / 'adapter'}' was trained on: ")
    assert "model.safetensors" in message


def test_problem_in_the_base_names_its_key(adapted, checkpoints, options, tmp_path):
    folder = shutil.copytree(adapted("t5")[2], tmp_path / "adapter")
    base = shutil.copytree(checkpoints("t5"), tmp_path / "base")
    (base / "config.json").unlink()
    (folder / "config.json").unlink()
    message = refusal(options(folder, base=str(base)))
    assert message.startswith(f"model.base: '{base}' contains no config.json")


def test_base_of_a_whole_model_is_refused(checkpoints, options):
    message = refusal(options(checkpoints("t5"), base=str(checkpoints("bart"))))
    assert message.startswith("model.base: only applies to an adapter")


def test_adapter_as_a_base_is_refused(adapted, options):
    _, _, folder = adapted("t5")
    assert "is an adapter itself" in refusal(options(folder, base=str(folder)))


def test_adapter_beside_a_whole_model_is_refused(adapted, checkpoints, options, tmp_path):
    folder = shutil.copytree(adapted("t5")[2], tmp_path / "adapter")
    shutil.copy(checkpoints("t5") / "model.safetensors", folder)
    assert "contains an adapter and a whole model" in refusal(options(folder))


def test_training_an_adapter_further_is_refused_with_the_remedy(adapted, options):
    _, _, folder = adapted("t5")
    for adapter in (lora(), NoAdapter()):
        with pytest.raises(
            UserError, match=r"is an adapter; training needs a whole model, .*bisum push RUN hub.folder"
        ):
            check_model(options(folder), "float32", adapter=adapter)


def test_edited_base_json_is_refused(adapted, options, tmp_path):
    folder = shutil.copytree(adapted("t5")[2], tmp_path / "adapter")
    path = folder / "base.json"
    values = json.loads(path.read_text("utf-8"))
    for changes, expected in (
        ({"checkpoint": ""}, "checkpoint must be text that is not empty"),
        ({"quantize": "8bit"}, "quantize must be 4bit or null"),
        ({"weights": []}, "weights must be an object"),
    ):
        path.write_text(json.dumps({**values, **changes}), "utf-8")
        assert expected in refusal(options(folder))


def test_missing_peft_is_reported_in_one_line(adapted, options, monkeypatch):
    _, _, folder = adapted("t5")
    monkeypatch.setattr("bisum.models.adapters.find_spec", lambda name: None)
    assert refusal(options(folder)) == (
        f"model.checkpoint: '{folder}' is an adapter, which needs peft; install it with pip install 'bisum[lora]'"
    )
    with pytest.raises(UserError, match=r"^adapter: needs peft; install it with pip install 'bisum\[lora\]'$"):
        compose(["adapter=lora"])


def test_peft_is_not_imported_for_a_whole_model(tmp_path):
    code = "import sys; from bisum import Summarizer; Summarizer(); sys.exit('peft' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False).returncode == 0
