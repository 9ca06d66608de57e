"""Greedy decoding without work for finished rows."""

from copy import copy
from dataclasses import replace

import pytest
import torch
from batch import generate_plainly, read_batch, sample_texts
from checkpoints import BUILDERS, PROMPTS

from bisum.models.families import T5
from bisum.models.greedy import generate_greedily

FAMILIES = [name for name in BUILDERS if name not in PROMPTS]
OPTIONS = {
    "default": [],
    "restricted": ["generation.min_tokens=3", "generation.no_repeat_ngram_size=2"],
}


@pytest.fixture(scope="module")
def batch_of(checkpoints):
    """A family's model, a batch of twelve rows in two languages, and the settings of `generate`."""
    texts = sample_texts(12)
    return lambda family, overrides: read_batch(checkpoints(family), *texts, *overrides)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_ids_equal_those_of_generate(batch_of, family, options):
    loaded, inputs, config = batch_of(family, OPTIONS[options])
    expected = generate_plainly(loaded, inputs, config)
    first = loaded.family.start_tokens + loaded.family.forced_tokens
    found = loaded.family.generate(loaded.model, inputs, config, None)
    assert found.tolist() == expected[:, first:].tolist()
    assert len(set(map(tuple, found.tolist()))) > 1  # the rows differ


class Penalizing(T5):
    """A family of one's own with another setting of `generate`."""

    def decoding(self, inputs, config):
        starts, config, processors = super().decoding(inputs, config)
        config = copy(config)
        config.repetition_penalty = 5.0
        return starts, config, processors


def test_other_settings_of_a_family_are_followed(batch_of):
    loaded, inputs, config = batch_of("t5", [])
    plain = loaded.family.generate(loaded.model, inputs, config, None)
    own = replace(loaded, family=Penalizing())
    found = own.family.generate(own.model, inputs, config, None)
    assert found.tolist() == generate_plainly(own, inputs, config)[:, 1:].tolist()
    assert found.tolist() != plain.tolist()


@pytest.mark.parametrize("check_every", [1, 3])
@torch.no_grad()
def test_finished_rows_are_not_decoded(batch_of, check_every):
    loaded, inputs, config = batch_of("mt5", [])
    config.max_new_tokens = 40
    expected = generate_plainly(loaded, inputs, config)
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
