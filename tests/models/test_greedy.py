"""Greedy decoding without work for finished rows."""

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS

from bisum import compose
from bisum.batches.collation import Collator
from bisum.corpus.corpus import load_corpus
from bisum.evaluation.generation import encode_texts, set_decoding
from bisum.models.greedy import generate_greedily
from bisum.models.loading import load

FAMILIES = [name for name in BUILDERS if name not in PROMPTS]
OPTIONS = {
    "default": [],
    "restricted": ["generation.min_tokens=3", "generation.no_repeat_ngram_size=2"],
}


@pytest.fixture(scope="module")
def batch_of(checkpoints):
    """A family's model, a batch of twelve rows in two languages, and the settings of `generate`."""
    corpus = load_corpus(compose().corpus, {}, ["en", "es"], 0).splits["validation"].slice(0, 12).to_pydict()

    def prepare(family, overrides):
        limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12"]
        config = compose([f"model.checkpoint={checkpoints(family)}", *limits, *overrides, "hardware=cpu"])
        loaded = load(config.model, 0, "float32")
        split = encode_texts(loaded, corpus["document"], corpus["language"])
        inputs = Collator(loaded)([split[row] for row in range(len(split))])
        inputs.pop("labels")
        loaded.model.eval()
        return loaded, inputs, set_decoding(loaded, config.generation)

    return prepare


def reference(loaded, inputs, config):
    """What transformers' `generate` returns, start tokens included."""
    starts, config, processors = loaded.family.decoding(inputs, config)
    encoder_inputs = {name: tensor for name, tensor in inputs.items() if name != "decoder_input_ids"}
    settings = {"generation_config": config, "logits_processor": processors}
    return loaded.model.generate(**encoder_inputs, decoder_input_ids=starts, **settings)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_ids_equal_those_of_generate(batch_of, family, options):
    loaded, inputs, config = batch_of(family, OPTIONS[options])
    expected = reference(loaded, inputs, config)
    first = loaded.family.start_tokens + loaded.family.forced_tokens
    found = loaded.family.generate(loaded.model, inputs, config, None)
    assert found.tolist() == expected[:, first:].tolist()
    assert len(set(map(tuple, found.tolist()))) > 1  # the rows differ


@pytest.mark.parametrize("check_every", [1, 3])
@torch.no_grad()
def test_finished_rows_are_not_decoded(batch_of, check_every):
    loaded, inputs, config = batch_of("mt5", [])
    config.max_new_tokens = 40
    expected = reference(loaded, inputs, config)
    lengths = ((expected[:, 1:] == 1).cumsum(dim=1) == 0).sum(dim=1) + 1
    assert lengths.min() < lengths.max()
    decoded = []
    hook = loaded.model.lm_head.register_forward_pre_hook(lambda _, args: decoded.append(len(args[0])))
    starts, config, processors = loaded.family.decoding(inputs, config)
    states = loaded.model.get_encoder()(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state
    mask = inputs["attention_mask"]
    found = generate_greedily(loaded.model, states, mask, starts, config, processors, check_every=check_every)
    hook.remove()
    assert (
        found.tolist()[: len(expected)]
        == torch.nn.functional.pad(expected, (0, found.shape[1] - expected.shape[1])).tolist()
    )
    unfinished = [int((lengths > step).sum()) for step in range(len(decoded))]
    assert len(decoded) - int(lengths.max()) < check_every
    for at, (rows, active) in enumerate(zip(decoded, unfinished, strict=True)):
        if at % check_every == 0:  # no more than an eighth of the rows are finished
            assert active <= rows <= max(8 / 7 * active, 1) or at == 0
