"""Training on a GPU: its number formats, both backends, resuming and the loading of batches. Skipped without one."""

import math

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = ["hardware=gpu", "hardware.precision=float32", "tracker=none"]


def losses(read, run):
    return read.series(run, "train/loss")


@pytest.mark.parametrize("trainer", ["accelerate", "seq2seq_trainer"])
def test_loss_in_float32_is_that_of_the_cpu(trainer, trained, read):
    arguments = [f"trainer={trainer}", "model.architecture.dropout=0.0"]
    on_gpu, on_cpu = trained(*GPU, *arguments), trained(*arguments)
    assert losses(read, on_gpu) == pytest.approx(losses(read, on_cpu), rel=1e-3)
    assert read.record(on_gpu)["device"] == torch.cuda.get_device_name(0)
    assert read.record(on_gpu)["engine"] == "transformers"


def test_backends_agree(trained, read):
    one, other = (trained(*GPU, f"trainer={name}") for name in ("accelerate", "seq2seq_trainer"))
    assert losses(read, one) == pytest.approx(losses(read, other), rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available() or not torch.cuda.is_bf16_supported(), reason="needs bf16")
@pytest.mark.parametrize("trainer", ["accelerate", "seq2seq_trainer"])
def test_bf16_follows_float32(trainer, trained, read):
    run, exact = trained("hardware=gpu", "tracker=none", f"trainer={trainer}"), trained(*GPU, f"trainer={trainer}")
    assert read.record(run)["precision"] == "bf16"
    assert losses(read, run) == pytest.approx(losses(read, exact), rel=0.05)


@pytest.mark.parametrize("trainer", ["accelerate", "seq2seq_trainer"])
def test_bart_trains_in_fp16_and_resumes_its_loss_scale(trainer, small, checkpoints, read, tmp_path, call_bisum):
    kept = [one for one in small if not one.startswith(("model=", "model.architecture", "hardware"))]
    arguments = [f"model.checkpoint={checkpoints('bart')}", f"trainer={trainer}", "hardware=gpu", "tracker=none"]
    done = call_bisum(*kept, *arguments, "hardware.precision=fp16", "trainer.epochs=1", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert call_bisum("resume=run", "trainer.epochs=2").code == 0
    assert all(math.isfinite(loss) for loss in losses(read, tmp_path / "run"))


def test_fp16_is_refused_for_t5(call_bisum):
    done = call_bisum("hardware=gpu", "hardware.precision=fp16", "tracker=none", "hydra.run.dir=run")
    assert done.code == 2
    assert "T5-family activations overflow fp16" in done.err


def test_a_resumed_run_follows_an_uninterrupted_one(small, trained, read, tmp_path, call_bisum):
    whole = trained(*GPU)
    settings = [*small, *GPU, "trainer.schedule=constant", "trainer.warmup=0"]
    assert call_bisum(*settings, "hydra.run.dir=whole").code == 0
    assert call_bisum(*settings, "trainer.epochs=1", "hydra.run.dir=run").code == 0
    assert call_bisum("resume=run", "trainer.epochs=2").code == 0
    assert losses(read, tmp_path / "run") == pytest.approx(losses(read, tmp_path / "whole"), rel=1e-3)
    assert len(losses(read, whole)) == len(losses(read, tmp_path / "run"))


@pytest.mark.parametrize("pinned", [True, False])
def test_workers_and_pinned_memory_change_nothing(pinned, trained, read):
    plain = trained(*GPU, "hardware.data_loader_workers=0", "hardware.pin_memory=false")
    other = trained(*GPU, "hardware.data_loader_workers=2", f"hardware.pin_memory={str(pinned).lower()}")
    assert losses(read, other) == pytest.approx(losses(read, plain), rel=1e-4)


def test_summaries_of_greedy_decoding_are_those_of_the_cpu(checkpoints):
    from batch import generate_plainly, read_batch, sample_texts

    documents, languages = sample_texts(8)
    loaded, inputs, config = read_batch(checkpoints("t5"), documents, languages)
    expected = generate_plainly(loaded, inputs, config)[:, 1:]
    loaded.model.to("cuda")
    found = loaded.family.generate(loaded.model, {name: one.to("cuda") for name, one in inputs.items()}, config, None)
    assert found[:, : expected.shape[1]].tolist() == expected.tolist()


def test_estimated_memory_is_that_which_the_allocator_reports(trained, read):
    record = read.record(trained(*GPU, "model.architecture.d_model=256", "trainer.batch_size=16"))
    assert record["estimate"]["memory"] == pytest.approx(record["peak_gpu_memory"], rel=0.2)


def test_qlora_trains(small, checkpoints, tmp_path, read, call_bisum):
    kept = [one for one in small if not one.startswith(("model=", "model.architecture", "hardware"))]
    arguments = [f"model.checkpoint={checkpoints('t5')}", "adapter=lora", "adapter.quantize=4bit"]
    done = call_bisum(*kept, *arguments, "hardware=gpu", "tracker=none", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert all(math.isfinite(loss) for loss in losses(read, tmp_path / "run"))
