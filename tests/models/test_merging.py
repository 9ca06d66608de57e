"""A merged adapter is a plain model with the same output."""

import json

import pytest
import torch
from adapted import ADAPTED, lora, perturb, plain_base
from checkpoints import PROMPTS
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bisum import compose
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.evaluation.generation import set_decoding, summarize
from bisum.models.loading import load
from bisum.models.merging import merge, write_merged
from bisum.runs.checkpoints import is_adapter

TOLERANCE = 1e-4


def rows():
    table = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["test"]
    table = table.slice(0, 4).to_pylist() + table.slice(200, 4).to_pylist()
    return [row["document"] for row in table], [row["language"] for row in table]


@torch.no_grad()
def margins_and_logits(loaded, documents, languages, summaries):
    """The logits of summaries, and the margin between the best two tokens at the closest position, by row."""
    found = []
    for row in zip(documents, summaries, languages, strict=True):
        encoded = {name: torch.tensor(values) for name, values in loaded.encode(*([item] for item in row)).items()}
        ids, labels = encoded["input_ids"], encoded["labels"]
        pad = loaded.tokenizer.pad_token_id
        inputs = loaded.family.model_inputs(loaded.model.config, ids, torch.ones_like(ids), labels, pad)
        logits = loaded.model.eval()(**inputs).logits[0]
        best = logits.topk(2).values
        found.append(((best[:, 0] - best[:, 1]).min().item(), logits))
    return found


@pytest.mark.parametrize(
    ("family", "dora"), [*((family, False) for family in ADAPTED), ("mt5", True), ("bart", True), ("gpt2", True)]
)
def test_merged_model_is_plain_and_has_the_output_of_the_adapter(family, dora, checkpoints, options, tmp_path):
    base = options(checkpoints(family), **PROMPTS.get(family, {}))
    loaded = load(base, 42, "float32", adapter=lora(dora=dora))
    perturb(loaded.model)
    generation = compose(["generation.min_tokens=3"]).generation
    set_decoding(loaded, generation)
    (tmp_path / "adapter").mkdir()
    loaded.save(tmp_path / "adapter")
    write_merged(tmp_path / "adapter", tmp_path / "merged", base)
    merged = load(options(tmp_path / "merged"), 42, "float32")
    assert not is_adapter(tmp_path / "merged")
    assert (merged.prefix, merged.suffix) == (loaded.prefix, loaded.suffix)

    documents, languages = rows()
    texts = [summarize(model, documents, languages, generation, 4) for model in (loaded, merged)]
    compared = [margins_and_logits(model, documents, languages, texts[0]) for model in (loaded, merged)]
    clear = 0
    for (margin, expected), (_, logits), one, other in zip(*compared, *texts, strict=True):
        assert (logits - expected).abs().max() <= TOLERANCE
        if margin > 2 * TOLERANCE:  # both logits can move by the tolerance
            assert one == other
            clear += 1
    assert clear >= len(documents) - 2
    assert len(set(texts[0])) > 1
    untrained = summarize(load(base, 42, "float32"), documents, languages, generation, 4)
    assert untrained != texts[0]
    check_plain(family, loaded, checkpoints(family), tmp_path / "merged")


def check_plain(family, loaded, base, merged):
    """Check that transformers reads a merged folder, whose weights differ from the base's only in adapted layers."""
    auto = AutoModelForCausalLM if family in PROMPTS else AutoModelForSeq2SeqLM
    plain, report = auto.from_pretrained(merged, output_loading_info=True, dtype=torch.float32)
    assert not any(report.values())
    before, after = plain_base(family, base).state_dict(), plain.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    adapted = [name for name, _ in loaded.model.named_parameters() if "lora_A" in name]
    assert {f"{name.partition('.lora_A')[0]}.weight" for name in adapted} == changed
    with safe_open(merged / "model.safetensors", "pt") as weights:
        assert not [name for name in weights.keys() if "lora" in name]  # noqa: SIM118
    assert "quantization_config" not in json.loads((merged / "config.json").read_text("utf-8"))


def test_merging_in_place_leaves_a_plain_model(checkpoints, options):
    loaded = load(options(checkpoints("t5")), 42, "float32", adapter=lora())
    names = {name for name, _ in load(options(checkpoints("t5")), 42, "float32").model.named_parameters()}
    merge(loaded.model)
    assert {name for name, _ in loaded.model.named_parameters()} == names
    assert not getattr(loaded.model, "peft_config", None)


def test_merge_to_non_finite_weights_is_refused(checkpoints, options):
    loaded = load(options(checkpoints("t5")), 42, "float32", adapter=lora())
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_" in name:
                weight.fill_(1e30)
    with pytest.raises(UserError, match=r"^adapter\.merge: the merged weight of .* is not finite; train with a lower"):
        merge(loaded.model)
