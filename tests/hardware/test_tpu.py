"""hardware=tpu on torch_xla's CPU client: same numbers as on the CPU, few programs, resuming (`make xla-test`)."""

import json
import os
import re
import shutil

import pytest

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
pytest.importorskip("torch_xla", reason="torch_xla is not installed here; make xla-test installs it")

import torch
from safetensors.torch import load_file
from torch_xla.debug import metrics as xla_metrics

from bisum import compose, train
from bisum.batches.shapes import choose_shapes
from bisum.batches.tokenization import encode
from bisum.corpus.corpus import load_corpus
from bisum.errors import UserError
from bisum.evaluation.generation import generate
from bisum.hardware.devices import PJRT_DEVICE, find_device
from bisum.hardware.xla import place
from bisum.models.loading import load
from bisum.records.run import recorded

pytestmark = pytest.mark.skipif(PJRT_DEVICE != "CPU", reason="PJRT_DEVICE=CPU is not set; make xla-test sets it")

BACKENDS = ("accelerate", "seq2seq_trainer")
ARGUMENTS = [
    "corpus.max_train_rows=46",  # the last batch is short
    "corpus.max_eval_rows=6",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.architecture.dropout=0",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.no_repeat_ngram_size=1",
    "generation.min_tokens=4",
    "evaluation.bootstrap_samples=100",
    "evaluation.shown_summaries=0",
    "evaluation.batch_size=2",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.learning_rate=2e-2",
    "trainer.warmup=2",
    "trainer.log_every=1",
    "tracker=none",
]
TPU = ["hardware=tpu", "hardware.precision=float32", "hardware.length_buckets=2"]


def lines(directory):
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name != "train/examples_per_second"} for row in rows]


def predictions(directory):
    return {path.name: path.read_text("utf-8") for path in (directory / "predictions").iterdir()}


def logged_programs(directory):
    """The number of compiled programs after each epoch, from the log."""
    return [int(number) for number in re.findall(r"(\d+) XLA programs", (directory / "train.log").read_text("utf-8"))]


def compiled():
    return xla_metrics.metric_data("CompileTime")[0]


@pytest.fixture(scope="module")
def mt5(tmp_path_factory):
    """Arguments for an mT5 with separate head and embedding."""
    from transformers import MT5Config, MT5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("mt5")
    torch.manual_seed(1)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    model = MT5ForConditionalGeneration(MT5Config(vocab_size=8000, decoder_start_token_id=0, **sizes))
    model.lm_head.weight = torch.nn.Parameter(torch.randn(8000, 32) * 0.5)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    load(compose(ARGUMENTS).model, 0, "float32").tokenizer.save_pretrained(folder)
    kept = [argument for argument in ARGUMENTS if not argument.startswith("model.architecture")]
    return [*kept, f"model.checkpoint={folder}"]


@pytest.mark.parametrize(("backend", "model"), [("accelerate", "t5"), ("seq2seq_trainer", "mt5")])
def test_numbers_match_the_cpu_and_only_the_first_epoch_compiles(backend, model, mt5, run_bisum, tmp_path):
    arguments = [*(mt5 if model == "mt5" else ARGUMENTS), f"trainer={backend}"]
    earlier = compiled() if xla_metrics.metric_data("CompileTime") else 0
    train(compose([*arguments, *TPU]), tmp_path / "xla")
    after_epochs = logged_programs(tmp_path / "xla")
    assert after_epochs == [compiled()] * 2  # the test split compiles no further program
    assert after_epochs[0] - earlier < 15

    done = run_bisum(*arguments, "hardware=cpu", "hydra.run.dir=cpu", cwd=tmp_path, env={"USE_TORCH_XLA": "0"})
    assert done.code == 0, done.err
    one, other = lines(tmp_path / "cpu"), lines(tmp_path / "xla")
    assert len(one) == len(other) == 1 + 2 * 13 + 1
    for cpu, xla in zip(one, other, strict=True):
        assert xla == pytest.approx(cpu, rel=1e-4)
    assert predictions(tmp_path / "xla") == predictions(tmp_path / "cpu")
    saved = load_file(tmp_path / "xla/checkpoints/epoch-2/model.safetensors")
    assert saved.keys() == load_file(tmp_path / "cpu/checkpoints/epoch-2/model.safetensors").keys()
    assert ("lm_head.weight" in saved) == (model == "mt5")


@pytest.fixture(scope="module")
def dropped_out(tmp_path_factory):
    """A run of each backend with dropout, gradient accumulation and checkpoints within epochs."""
    further = ["trainer.gradient_accumulation=2", "trainer.save_every=5", "model.architecture.dropout=0.1"]
    runs = {}
    for backend in BACKENDS:
        runs[backend] = tmp_path_factory.mktemp(backend) / "run"
        train(compose([*ARGUMENTS, *TPU, *further, f"trainer={backend}"]), runs[backend])
        assert len(set(logged_programs(runs[backend]))) == 1
    return runs


def test_backends_take_the_same_steps_with_dropout(dropped_out):
    one, other = (lines(run) for run in dropped_out.values())
    assert [line["train/loss"] for line in one[1:7]] != [one[1]["train/loss"]] * 6
    for a, b in zip(one, other, strict=True):
        assert b == pytest.approx(a, rel=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_resumed_run_ends_with_the_numbers_of_an_uninterrupted_one(backend, dropped_out, tmp_path):
    directory = shutil.copytree(dropped_out[backend], tmp_path / "run")
    for folder in (directory / "checkpoints").iterdir():
        if float(folder.name.removeprefix("epoch-")) >= 1:
            shutil.rmtree(folder)
    record = json.loads((directory / "run.json").read_text("utf-8"))
    (directory / "run.json").write_text(json.dumps({**record, "status": "running", "test": None}), "utf-8")
    before = compiled()
    train(compose([f"resume={directory}"]))
    assert lines(directory) == lines(dropped_out[backend])
    assert predictions(directory) == predictions(dropped_out[backend])
    assert compiled() == before
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (load_file(run / "checkpoints/epoch-2" / name) for run in (directory, dropped_out[backend]))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_beams_match_the_cpu(tmp_path):
    config = compose([*ARGUMENTS, *TPU, "generation.num_beams=3", "generation.no_repeat_ngram_size=2"])
    device = find_device(config.hardware).torch_device
    loaded = load(config.model, 7, "float32")
    with recorded(tmp_path / "run", config) as run:
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
        splits = encode(corpus, loaded, tmp_path, run.screen.progress)
    plain = list(generate(loaded, splits["validation"], config.generation, 4))
    place(loaded.model, device)
    shapes = choose_shapes([split.documents.lengths for split in splits.values()], loaded, 1)
    fixed = generate(loaded, splits["validation"], config.generation, 4, shapes=shapes)
    for one, other in zip(plain, fixed, strict=True):
        assert (other.rows, other.summaries, other.lengths) == (one.rows, one.summaries, one.lengths)
        assert other.loss_sum == pytest.approx(one.loss_sum, rel=1e-5)
    assert len({summary for batch in plain for summary in batch.summaries}) > 1


def test_bf16_is_used_only_in_forward_passes(tmp_path):
    arguments = [*ARGUMENTS, *TPU, "trainer.max_steps=2", "hardware.length_buckets=1"]
    losses = []
    for backend, precision in (("accelerate", "float32"), ("accelerate", "bf16"), ("seq2seq_trainer", "bf16")):
        directory = tmp_path / f"{backend}-{precision}"
        train(compose([*arguments, f"trainer={backend}", f"hardware.precision={precision}"]), directory)
        losses.append([line["train/loss"] for line in lines(directory) if "train/loss" in line])
        (saved,) = map(load_file, directory.glob("checkpoints/*/model.safetensors"))
        assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    full, half, other = losses
    assert half != full
    assert half == pytest.approx(full, rel=1e-2)
    assert other == pytest.approx(half, rel=1e-4)


def test_default_precision_is_bf16_only_on_a_tpu():
    found = find_device(compose(["hardware=tpu"]).hardware)
    assert (found.precision, found.is_xla, found.is_cpu) == ("float32", True, False)
    assert "XLA on cpu" in found.name


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["hardware=tpu", "hardware.precision=fp16"], ["hardware.precision", "fp16", "bf16 or float32"]),
        (["hardware=tpu", "trainer.gradient_checkpointing=true"], ["trainer.gradient_checkpointing", "XLA"]),
        (["hardware=cpu"], ["hardware.device", "hardware=tpu", "USE_TORCH_XLA=0"]),
    ],
)
def test_unsupported_settings_are_refused(arguments, needles, tmp_path):
    with pytest.raises(UserError) as raised:
        train(compose([*ARGUMENTS, *arguments]), tmp_path / "run")
    assert "\n" not in str(raised.value)
    assert all(needle in str(raised.value) for needle in needles)


@pytest.mark.parametrize(("environment", "needle"), [({}, "PJRT_DEVICE=CPU"), ({"PJRT_DEVICE": "TPU"}, "libtpu")])
def test_missing_tpu_is_refused(environment, needle, run_bisum, tmp_path, monkeypatch):
    monkeypatch.delenv("PJRT_DEVICE")
    done = run_bisum("hardware=tpu", cwd=tmp_path, env=environment)
    assert done.code == 2
    assert "found no TPU" in done.err
    assert needle in done.err
