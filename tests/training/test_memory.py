"""A run reports the memory that it needs before a download and before training, and what it used at the end."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
import torch
from transformers import BartForConditionalGeneration

from bisum import compose, train
from bisum.display.resources import with_unit
from bisum.hardware.devices import find_device
from bisum.hardware.memory import used_memory
from bisum.models.loading import load
from bisum.models.unloaded import build_unloaded
from bisum.training.memory import Memory, estimate_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["t5", "mt5", "bart", "mbart50", "pegasus", "gpt2"])
def test_weights_of_a_model_are_known_before_its_download(family, checkpoints):
    from checkpoints import PROMPTS

    config = compose([f"model.checkpoint={checkpoints(family)}", "hardware=cpu", "model.max_document_tokens=64"])
    loaded = load(config.model.__class__(**{**vars(config.model), **PROMPTS.get(family, {})}), 42, "float32")
    unloaded = build_unloaded(loaded, None)
    assert unloaded is not None
    assert unloaded.num_parameters() == loaded.parameters
    assert all(parameter.is_meta for parameter in unloaded.parameters())
    device = find_device(config.hardware)
    memory = estimate_memory(unloaded, loaded.family, config.trainer, device, None)
    # After loading, transformers counts PEGASUS's fixed positions among the trained weights.
    assert memory.gradients == pytest.approx(4 * loaded.trained_parameters, rel=0.2 if family == "pegasus" else 0)
    assert memory.optimizer == pytest.approx(2 * memory.gradients, rel=0.01)


def test_memory_is_estimated_recorded_and_shown(trained, read):
    run = trained("trainer=accelerate")
    record, log = read.record(run), (run / "train.log").read_text("utf-8")
    estimate = record["estimate"]
    assert estimate["gradients"] == 4 * record["trained_parameters"]
    assert estimate["weights"] == pytest.approx(4 * record["parameters"], rel=0.01)
    assert estimate["optimizer"] == pytest.approx(8 * record["trained_parameters"], rel=0.01)
    assert estimate["memory"] == sum(size for name, size in estimate.items() if name != "memory")
    (line,) = [line for line in log.splitlines() if "memory: training needs about " in line]
    assert line.endswith(" GiB is available")
    assert "memory         estimated " in log


def test_too_little_memory_is_a_warning(small, tmp_path, monkeypatch, call_bisum):
    monkeypatch.setattr("bisum.commands.resources.available_memory", lambda device: -(2**40))
    done = call_bisum(*small, "trainer.max_steps=1", "tracker=none", "hydra.run.dir=run")
    assert done.code == 0
    out = " ".join(done.out.split())
    assert out.count("training needs about ") == 1
    assert "> warning: memory: training needs about " in out
    assert "), but only -" in out
    assert "is available; use a smaller model, or set trainer.optimizer=adafactor" in out  # the process dominates


GIB = 2**30


@pytest.mark.parametrize(
    ("arguments", "memory", "advice"),
    [
        (
            [],
            Memory(GIB, GIB, 2 * GIB, 9 * GIB, GIB),
            "lower trainer.batch_size, evaluation.batch_size or model.max_document_tokens, or set "
            "trainer.gradient_checkpointing=true or trainer.tokens_per_batch=N",
        ),
        (
            ["trainer.gradient_checkpointing=true", "trainer.tokens_per_batch=20000"],
            Memory(GIB, GIB, 2 * GIB, 9 * GIB, GIB),
            "lower trainer.tokens_per_batch, evaluation.batch_size or model.max_document_tokens",
        ),
        (
            [],
            Memory(9 * GIB, 9 * GIB, 18 * GIB, GIB, GIB),
            "use a smaller model, or set adapter=lora, trainer.optimizer=adafactor or model.trim_vocabulary=true",
        ),
        (
            ["trainer.optimizer=adafactor", "adapter=lora"],
            Memory(9 * GIB, GIB, 0, GIB, GIB),
            "use a smaller model, or set model.trim_vocabulary=true",
        ),
        (
            [],
            Memory(9 * GIB, 8 * GIB, 16 * GIB, GIB, GIB),  # a model with buffers
            "use a smaller model, or set adapter=lora, trainer.optimizer=adafactor or model.trim_vocabulary=true",
        ),
        (
            ["model=tiny"],  # adapters need trained weights
            Memory(9 * GIB, 9 * GIB, 18 * GIB, GIB, GIB),
            "use a smaller model, or set trainer.optimizer=adafactor or model.trim_vocabulary=true",
        ),
    ],
)
def test_advice_names_what_lowers_the_largest_part_and_is_not_in_use(arguments, memory, advice):
    from bisum.commands.resources import _advice

    assert _advice(compose(arguments), memory) == advice


def test_the_estimate_excludes_what_the_process_used_earlier(small, tmp_path):
    before = used_memory(CPU)
    earlier = torch.ones(200_000_000).sum()  # 800 MB, freed again
    assert earlier > 0
    train(compose([*small, "trainer.max_steps=1", "tracker=none"]), tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert record["estimate"]["memory"] < before + 400_000_000
    assert record["peak_memory"] < before + 400_000_000
    assert record["estimate"]["process"] == pytest.approx(used_memory(CPU), rel=0.2)


def test_weights_and_the_state_of_a_resumed_run_count_once(small, tmp_path, start, read):
    wide = ["model.architecture.d_model=256", "model.architecture.d_ff=8192"]
    given = [*small, *wide, "trainer.learning_rate=1e-4", "trainer.max_steps=1", "tracker=none"]
    run, estimates = tmp_path / "run", []
    for arguments in ([*given, f"hydra.run.dir={run}"], [f"resume={run}", "trainer.max_steps=2"]):
        process = start(*arguments)
        process.join()
        assert process.exitcode == 0
        estimates.append(read.record(run)["estimate"])
    first, again = estimates
    assert first["weights"] > 40_000_000
    assert again["process"] == pytest.approx(first["process"], abs=first["weights"])  # the state is twice the weights
    assert {**again, "process": 0, "memory": 0} == {**first, "process": 0, "memory": 0}


@pytest.mark.parametrize("longest", ["validation", "test"])
def test_the_split_that_needs_more_counts_even_if_it_has_fewer_rows(longest, small, tmp_path, write):
    short, long = "pan", "pan y agua para todos los que llegan temprano a la fuente de la plaza"
    other = {"validation": "test", "test": "validation"}[longest]
    estimates = {}
    for name, split in ((longest, long), ("neither", short)):
        rows = {"train": [short] * 16, other: [short] * 8, longest: [split] * 6}
        for one, texts in rows.items():
            write(tmp_path / name / f"{one}.csv", _table(one, texts))
        files = [f"corpus.{one}={tmp_path / name / one}.csv" for one in rows]
        kept = [one for one in small if not one.startswith("corpus.")]
        given = [*kept, "corpus=files", *files, "languages=[es]", "filter=deduplicate", "evaluation.batch_size=8"]
        train(compose([*given, "trainer.max_steps=1", "trainer.batch_size=1", "tracker=none"]), tmp_path / name / "run")
        estimates[name] = json.loads((tmp_path / name / "run/run.json").read_text("utf-8"))["estimate"]["activations"]
    assert estimates[longest] > 1.5 * estimates["neither"]


def _table(split, texts):
    return "document,summary,language\n" + "".join(
        f"{text}; {text}; {text} {split} {n},{text} {n},es\n" for n, text in enumerate(texts)
    )


def test_an_estimate_that_fails_does_not_end_the_run(small, tmp_path, monkeypatch, read, call_bisum):
    def fail(*_, **__):
        raise NotImplementedError("no meta kernel")

    monkeypatch.setattr("bisum.training.memory.step_memory", fail)
    done = call_bisum(*small, "trainer.max_steps=1", "tracker=none", "hydra.run.dir=run")
    assert done.code == 0
    assert "no estimate of memory: no meta kernel" in (tmp_path / "run/train.log").read_text("utf-8")
    assert "estimate" not in read.record(tmp_path / "run")


def test_needs_are_reported_before_a_download(hub, use_hub, checkpoints, tmp_path, call_bisum, read):
    files = {path.name: path.read_bytes() for path in checkpoints("t5").iterdir()}
    hub.put("me/model", files)
    settings = ["corpus.max_train_rows=8", "corpus.max_eval_rows=4", "trainer.max_steps=1", "tracker=none"]
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "trainer.batch_size=4"]
    done = call_bisum("model.checkpoint=me/model", *settings, *limits, "hydra.run.dir=run")
    assert done.code == 0, done.err
    log = (tmp_path / "run/train.log").read_text("utf-8")
    (line,) = [line for line in log.splitlines() if "is not downloaded yet" in line]
    assert "> me/model is not downloaded yet: its " in line
    assert "with batches of 4 documents of 64 tokens; " in line
    assert log.index(line) < log.index("memory: training needs about")
    again = call_bisum("model.checkpoint=me/model", *settings, *limits, "hydra.run.dir=again")
    assert "is not downloaded yet" not in again.out


def test_a_number_of_tokens_has_no_largest_batch_before_the_rows_are_read(hub, use_hub, checkpoints, call_bisum):
    hub.put("me/model", {path.name: path.read_bytes() for path in checkpoints("t5").iterdir()})
    settings = ["corpus.max_train_rows=8", "corpus.max_eval_rows=4", "trainer.max_steps=1", "tracker=none"]
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu"]
    done = call_bisum("model.checkpoint=me/model", *settings, *limits, "trainer.tokens_per_batch=200")
    assert done.code == 0, done.err
    out = " ".join(done.out.split())
    assert " GiB of memory for weights, gradients and the optimizer; " in out
    assert "up to" not in out


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_a_full_disk_is_reported_before_a_download(
    stored, hub, use_hub, checkpoints, call_bisum, monkeypatch, tmp_path
):
    folder = shutil.copytree(checkpoints("bart"), tmp_path / "bart")
    BartForConditionalGeneration.from_pretrained(folder, dtype=stored).save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.put("me/model", files)
    header = 8 + int.from_bytes(files["model.safetensors"][:8], "little")  # https://github.com/huggingface/safetensors
    size = len(files["model.safetensors"]) - header
    weights = size * 4 // stored.itemsize

    def bytes_of(text):
        number, unit = text.split()
        return float(number) * {"kB": 1e3, "MB": 1e6}[unit]

    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12"]
    given = [*limits, "model.checkpoint=me/model", "hardware=cpu", "tracker=none", "trainer.keep_checkpoints=null"]
    done = call_bisum(*given, "trainer.epochs=7", "corpus.max_train_rows=8", "corpus.max_eval_rows=4")
    assert done.code == 2  # the checkpoints are checked once more before training
    out = " ".join((done.out + done.err).split())
    download, checkpoints_ = re.findall(r"disk: (.*?) need about ([\d.]+ [kM]B), but only 1 kB is free in '", out)
    assert download[0] == "the weights to download"
    assert bytes_of(download[1]) == pytest.approx(size, rel=0.05)
    assert checkpoints_[0] == "7 checkpoints"
    assert bytes_of(checkpoints_[1]) == pytest.approx(7 * 3 * weights, rel=0.05)  # AdamW's state is twice the weights


def test_disk_space_includes_a_merged_model_in_float32(hub, use_hub, checkpoints, call_bisum, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "tracker=none", "hardware=cpu"]
    needed = {}
    for merges in ("true", "false"):  # each with a model that is not downloaded yet
        hub.put(f"me/{merges}", {path.name: path.read_bytes() for path in checkpoints("bart").iterdir()})
        given = [*limits, f"model.checkpoint=me/{merges}", "adapter=lora", f"adapter.merge={merges}"]
        done = call_bisum(*given, "trainer.epochs=1", "corpus.max_train_rows=8", "corpus.max_eval_rows=4")
        out = " ".join((done.out + done.err).split())
        (found,) = re.findall(r"disk: 1 checkpoint needs about ([\d.]+) kB", out)
        needed[merges] = float(found)
    weights = sum(one.numel() for one in BartForConditionalGeneration.from_pretrained(checkpoints("bart")).parameters())
    assert needed["true"] - needed["false"] == pytest.approx(4 * weights / 1000, rel=0.05)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_400, "999 kB"),
        (999_500, "1 MB"),
        (999_900, "1 MB"),
        (10**12, "1,000.0 GB"),
    ],
)
def test_sizes_have_three_digits_and_no_exponent(size, text):
    assert with_unit(size) == text


@pytest.mark.parametrize("what", ["adapter=lora", "adapter=none"])
def test_frozen_weights_have_neither_gradients_nor_state(what, small, checkpoints, tmp_path, read, call_bisum):
    kept = [one for one in small if not one.startswith(("model=", "model.architecture"))]
    arguments = [f"model.checkpoint={checkpoints('t5')}", what, "trainer.max_steps=1", "tracker=none"]
    assert call_bisum(*kept, *arguments, "hydra.run.dir=run").code == 0
    record = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert record["estimate"]["gradients"] == 4 * record["trained_parameters"]
    assert (record["trained_parameters"] == record["parameters"]) == (what == "adapter=none")
    assert torch.float32.itemsize * record["parameters"] == pytest.approx(record["estimate"]["weights"], rel=0.01)
