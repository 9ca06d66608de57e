"""A compiled step has the gradients of an uncompiled one, and its numbers do not depend on the steps before it."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from bisum.training.compilation import compiled


def model(dropout):
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50,
        d_model=16,
        d_ff=32,
        d_kv=8,
        num_heads=2,
        num_layers=1,
        dropout_rate=dropout,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config).train()


def batch(length, rows=3, labels=5):
    generator = torch.Generator().manual_seed(length)
    return {
        "input_ids": torch.randint(2, 50, (rows, length), generator=generator),
        "labels": torch.randint(2, 50, (rows, labels), generator=generator),
    }


def step(of, inputs):
    """Return the loss and all gradients of a step."""
    torch.manual_seed(1)
    of.zero_grad()
    loss = of(**inputs).loss
    loss.backward()
    return [loss.detach(), *(parameter.grad.clone() for parameter in of.parameters())]


@pytest.mark.slow
@pytest.mark.parametrize("fixed_shapes", [True, False])
def test_compiled_steps_equal_uncompiled_ones_and_are_independent_of_earlier_ones(fixed_shapes):
    plain = model(0)
    expected = [step(plain, batch(length)) for length in (8, 16)]
    with compiled(plain, fixed_shapes):
        for length, result in zip((8, 16), expected, strict=True):
            torch.testing.assert_close(step(plain, batch(length)), result, rtol=1e-4, atol=1e-6)
    results = []
    for lengths in ((8, 16), (16,)):
        noisy = model(0.1)
        with compiled(noisy, fixed_shapes):
            results.append([step(noisy, batch(length)) for length in lengths][-1])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert not torch.allclose(results[0][0], expected[1][0])  # dropout is active


def test_a_program_of_fixed_shapes_is_compiled_once_for_each_shape_and_never_for_an_evaluation():
    counted = torch._dynamo.utils.counters["stats"]
    counted.clear()
    of = model(0)
    expected, usual = {length: step(of, batch(length)) for length in (8, 16)}, of.forward
    with compiled(of, fixed_shapes=True):
        for length in (8, 16, 8, 16):
            torch.testing.assert_close(step(of, batch(length)), expected[length], rtol=1e-4, atol=1e-6)
        assert counted["unique_graphs"] == 2
        of.eval()
        with torch.no_grad():
            of(**batch(24))
            of.generate(batch(24)["input_ids"], max_new_tokens=3)
        assert counted["unique_graphs"] == 2
    assert of.forward == usual


@pytest.mark.slow
def test_sizes_share_a_program_and_repeat_its_numbers_in_several_threads():
    threads, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    counted = torch._dynamo.utils.counters["stats"]
    counted.clear()
    of = model(0.1)
    torch.set_num_threads(2)
    try:
        with compiled(of, fixed_shapes=False):
            step(of, batch(8, rows=8, labels=8))  # equal sizes, which later batches do not have
            step(of, batch(5, rows=9, labels=3))
            assert counted["unique_graphs"] == 1
            first = step(of, batch(200, rows=64))
            for _ in range(12):
                again = step(of, batch(200, rows=64))
                assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        of = model(0.1)
        with compiled(of, fixed_shapes=False):
            alone = step(of, batch(200, rows=64))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(first, alone, strict=True))
    assert torch.are_deterministic_algorithms_enabled() == was_deterministic


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [("CXX", "missing", "No working C++ compiler found"), ("TORCHDYNAMO_DISABLE", "1", "TORCHDYNAMO_DISABLE")],
)
def test_missing_compiler_is_refused_before_the_corpus_is_read(variable, value, message, tmp_path, run_bisum):
    arguments = ["trainer.compile=true", "hardware=cpu", "corpus=files", "corpus.path=missing.csv"]
    done = run_bisum(
        *arguments, cwd=tmp_path, env={variable: value, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    )
    assert done.code == 2
    assert done.err.startswith("bisum: trainer.compile: ")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("buckets", ["null", "2"])
def test_compiled_runs_agree_in_both_backends_and_after_a_resume(buckets, small, trained, read, kill_at, tmp_path):
    settings = ["trainer.compile=true", f"hardware.length_buckets={buckets}", "trainer.save_every=4"]
    whole, other = (trained(f"trainer={name}", *settings) for name in ("accelerate", "seq2seq_trainer"))
    losses = read.series(whole, "train/loss")
    assert read.series(other, "train/loss") == pytest.approx(losses, rel=1e-4)
    kill_at(tmp_path / "run", 10, *small, *settings, "trainer=accelerate", seconds=600)
    from bisum import compose, train

    train(compose([f"resume={tmp_path / 'run'}"]))
    assert read.metrics(tmp_path / "run") == read.metrics(whole)
