"""Arguments of transformers' Trainer that it would refuse are refused before the corpus is read."""

import pytest

ARGUMENTS = ["trainer=seq2seq_trainer", "tracker=none", "corpus=files", "corpus.path=absent.csv", "hardware=cpu"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("torch_empty_cache_steps=abc", "torch_empty_cache_steps: expected a whole number or null, not 'abc'"),
        ("torch_empty_cache_steps=1.5", "torch_empty_cache_steps: expected a whole number or null, not 1.5"),
        ("full_determinism=7", "full_determinism: expected true or false, not 7"),
        ("tf32=maybe", "tf32: expected true, false or null, not 'maybe'"),
        ("tf32=true", " --tf32 requires Ampere or a newer GPU arch"),
        ("fsdp=full_shard", "fsdp: distributes a run over processes; bisum runs in one process"),
        ("deepspeed=absent.json", "deepspeed: distributes a run over processes; bisum runs in one process"),
        ("accelerator_config={split_batches:true}", "accelerator_config: has no effect"),
    ],
)
def test_invalid_trainer_argument_is_refused_before_the_corpus_is_read(override, expected, call_bisum):
    done = call_bisum(*ARGUMENTS, f"+trainer.arguments.{override}")
    assert done.code == 2
    assert done.err.startswith("bisum: trainer.arguments")
    assert expected in done.err
    assert len(done.err.splitlines()) == 1


def test_valid_trainer_arguments_pass(call_bisum):
    done = call_bisum(
        *ARGUMENTS, "+trainer.arguments.torch_empty_cache_steps=5", "+trainer.arguments.full_determinism=true"
    )
    assert done.err == "bisum: corpus.path: file absent.csv does not exist\n"
