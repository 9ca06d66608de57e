"""Arguments of transformers' Trainer that it would refuse are refused before the corpus is read."""

import pytest

WORDS = ["trainer=seq2seq_trainer", "tracker=none", "corpus=files", "corpus.path=absent.csv", "hardware=cpu"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("torch_empty_cache_steps=abc", "torch_empty_cache_steps: expected a whole number or null, not 'abc'"),
        ("torch_empty_cache_steps=1.5", "torch_empty_cache_steps: expected a whole number or null, not 1.5"),
        ("full_determinism=7", "full_determinism: expected true or false, not 7"),
        ("tf32=maybe", "tf32: expected true or false or null, not 'maybe'"),
        ("tf32=true", " --tf32 requires Ampere or a newer GPU arch"),
        ("fsdp=full_shard", "fsdp divides a run among processes; bisum runs in one process"),
        ("deepspeed=absent.json", "deepspeed divides a run among processes; bisum runs in one process"),
        ("accelerator_config={split_batches:true}", "accelerator_config has no effect"),
    ],
)
def test_what_trainer_refuses_is_refused_before_the_corpus_is_read(argument, said, call_bisum):
    done = call_bisum(*WORDS, f"+trainer.arguments.{argument}")
    assert done.code == 2
    assert done.err.startswith("bisum: trainer.arguments")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_what_trainer_takes_is_no_hindrance(call_bisum):
    done = call_bisum(
        *WORDS, "+trainer.arguments.torch_empty_cache_steps=5", "+trainer.arguments.full_determinism=true"
    )
    assert done.err == "bisum: corpus.path: file absent.csv does not exist\n"
