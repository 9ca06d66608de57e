"""Training of LoRA layers: both backends take the same steps, a killed run resumes exactly, checkpoints are small."""

import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file

from bisum import Summarizer
from bisum.runs.checkpoints import checkpoints_in

BACKENDS = ["accelerate", "seq2seq_trainer"]
VARIANTS = {
    "plain": [],
    "dora": [
        "adapter.dora=true",
        "adapter.rslora=true",
        "trainer.gradient_checkpointing=true",
        "trainer.gradient_accumulation=2",
        "trainer.optimizer=adafactor",
    ],
}
EVERY = ["trainer.log_every=3", "trainer.save_every=4"]


@pytest.fixture(scope="session")
def base(checkpoints):
    """Arguments that train LoRA layers of a small T5, and merge them."""
    layers = ["adapter=lora", "adapter.rank=4", "adapter.dropout=0.1", "adapter.merge=true"]
    return [f"model.checkpoint={checkpoints('t5')}", *layers]


@pytest.fixture(scope="session")
def adapted(trained, base):
    """The run directory of LoRA layers trained with further arguments."""
    return lambda *arguments: trained(*base, *arguments)


def text_of(run):
    return " ".join((run / "train.log").read_text("utf-8").split())


@pytest.mark.parametrize("variant", VARIANTS)
def test_backends_have_the_same_numbers(variant, adapted, read):
    one, other = (adapted(f"trainer={name}", *VARIANTS[variant]) for name in BACKENDS)
    losses = read.series(one, "train/loss")
    assert len(losses) == (32 if variant == "plain" else 16)
    assert losses[-1] < losses[0]
    assert read.series(other, "train/loss") == losses
    for a, b in zip(read.metrics(one), read.metrics(other), strict=True):
        assert a.pop("train/grad_norm", 0) == pytest.approx(b.pop("train/grad_norm", 0), rel=1e-5)
        assert a == b
    first, second = (load_file(run / "checkpoints/epoch-2/adapter_model.safetensors") for run in (one, other))
    assert {name: tensor.tolist() for name, tensor in first.items()} == {
        name: tensor.tolist() for name, tensor in second.items()
    }


def test_gradient_checkpointing_changes_no_number(adapted, read):
    usual = [name for name in VARIANTS["dora"] if "checkpointing" not in name]
    one, other = (read.series(adapted("trainer=accelerate", *arguments), "train/loss") for arguments in (
        usual, VARIANTS["dora"]
    ))  # fmt: skip
    assert other == pytest.approx(one, rel=1e-5)


def test_first_loss_is_that_of_the_base(adapted, trained, checkpoints, read):
    full = trained(f"model.checkpoint={checkpoints('t5')}", "trainer=accelerate", "adapter=none")
    lora = adapted("trainer=accelerate", "adapter.dropout=0")
    assert read.series(lora, "train/loss")[0] == read.series(full, "train/loss")[0]
    assert read.series(lora, "train/loss")[8] != read.series(full, "train/loss")[8]


def test_only_the_layers_are_trained_and_recorded(adapted, read):
    run = adapted("trainer=accelerate")
    record = read.record(run)
    assert record["choices"]["adapter"] == "lora"
    assert 0 < record["trained_parameters"] < record["parameters"] / 2
    folder = run / "checkpoints/epoch-2"
    weights = load_file(folder / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == record["trained_parameters"]
    state = load_file(folder / "optimizer.safetensors")
    assert (
        sum(tensor.numel() for name, tensor in state.items() if name.endswith(".exp_avg"))
        == (record["trained_parameters"])
    )
    millions = f"{record['trained_parameters'] / 1e6:.2g} M of {record['parameters'] / 1e6:.1f} M"
    assert f"LoRA rank 4 on q, k, v, o, wi, wo: {millions} parameters trained" in text_of(run)


def test_checkpoints_have_their_reported_size_and_no_base(adapted, trained, checkpoints):
    arguments = ["trainer=accelerate", "trainer.keep_checkpoints=null", "trainer.save_every=4"]
    run = adapted(*arguments)
    saved = checkpoints_in(run / "checkpoints")
    for folder in saved:
        assert {"adapter_model.safetensors", "base.json", "config.json"} <= {path.name for path in folder.iterdir()}
    assert not list(run.glob("checkpoints/*/model.safetensors"))
    size = max(sum(file.stat().st_size for file in path.iterdir()) for path in saved)
    reported = text_of(run).partition(" checkpoints of ")[2]
    assert float(reported.split(" kB")[0]) * 1e3 == pytest.approx(size, rel=0.2)  # small files count, too


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_run_resumes_to_the_same_numbers(backend, adapted, base, small, kill_at, read, tmp_path, call_bisum):
    run = tmp_path / "run"
    kill_at(run, 27, *small, *base, *EVERY, f"trainer={backend}")
    whole = adapted(*EVERY, f"trainer={backend}")
    done = call_bisum(f"resume={run}")
    assert done.code == 0, done.err
    assert "continuing from epoch-1." in done.out
    assert read.metrics(run) == read.metrics(whole)
    for part in ("best", "last", "test", "parameters", "trained_parameters"):
        assert read.record(run)[part] == read.record(whole)[part]
    for name in ("adapter_model.safetensors", "optimizer.safetensors", "adapter_config.json", "base.json"):
        one, other = (folder / "checkpoints/epoch-2" / name for folder in (run, whole))
        assert one.read_bytes() == other.read_bytes()


def test_damaged_adapter_is_skipped_on_resume(adapted, read, tmp_path, call_bisum):
    run = shutil.copytree(adapted("trainer=accelerate", *EVERY), tmp_path / "run")
    record = read.record(run)
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    weights = run / "checkpoints/epoch-2/adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    done = call_bisum(f"resume={run}")
    assert done.code == 0, done.err
    assert "checkpoint epoch-2 is damaged (adapter_model.safetensors has changed)" in " ".join(done.out.split())
    assert read.record(run)["test"] == record["test"]


@pytest.mark.parametrize("argument", ["adapter.rank=8", "adapter=none", "adapter.dropout=0"])
def test_another_adapter_is_refused_on_resume(argument, adapted, call_bisum, one_line):
    message = one_line(call_bisum(f"resume={adapted('trainer=accelerate')}", argument))
    assert message == f"bisum: '{argument}': changes the experiment; start a new run without resume"


def test_evaluate_and_summarizer_reproduce_the_run(adapted, read, tmp_path, call_bisum):
    run = adapted("trainer=accelerate")
    test = read.record(run)["test"]
    checkpoint = run / "checkpoints" / test["checkpoint"]
    (rows,) = (run / "predictions").glob("test-epoch-*.jsonl")
    predictions = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    for number, given in enumerate((run, checkpoint)):
        done = call_bisum("evaluate", str(given), f"hydra.run.dir=evaluated{number}")
        assert (done.code, done.err) == (0, "")
        scores = {name: value for name, value in test.items() if name.startswith("test/")}
        evaluated = read.record(tmp_path / f"evaluated{number}")["evaluation"]
        assert {name: evaluated[name] for name in scores} == pytest.approx(scores, rel=1e-5)
    copy = shutil.copytree(checkpoint, tmp_path / "elsewhere")
    documents, languages = ([row[name] for row in predictions] for name in ("document", "language"))
    generation = ["generation.min_tokens=4", "generation.no_repeat_ngram_size=1", "model.max_document_tokens=64"]
    for given, arguments in ((run, []), (copy, [*generation, "model.max_summary_tokens=12"])):
        summaries = Summarizer(given, arguments)(documents, language=languages)
        assert summaries == [row["prediction"] for row in predictions]


def test_merged_model_scores_as_the_run(adapted, read, tmp_path, call_bisum):
    run = adapted("trainer=accelerate")
    assert f"merged model {run / 'merged'}" in text_of(run)
    assert {path.name for path in (run / "merged").iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    (rows,) = (run / "predictions").glob("test-epoch-*.jsonl")
    predictions = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12"]
    summarizer = Summarizer(run / "merged", [*limits, "generation.min_tokens=4", "generation.no_repeat_ngram_size=1"])
    documents, languages = ([row[name] for row in predictions] for name in ("document", "language"))
    assert summarizer(documents, language=languages) == [row["prediction"] for row in predictions]


def test_finished_run_is_merged_on_resume(adapted, read, tmp_path, call_bisum):
    run = shutil.copytree(adapted("trainer=accelerate"), tmp_path / "run")
    shutil.rmtree(run / "merged")
    record = read.record(run)
    record["config"]["adapter"]["merge"] = False
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    assert call_bisum(f"resume={run}").code == 0
    assert not (run / "merged").exists()
    assert call_bisum(f"resume={run}", "adapter.merge=true").code == 0
    assert (run / "merged/model.safetensors").is_file()


def test_run_with_a_moved_base_is_evaluated_and_resumed(base, small, checkpoints, read, tmp_path, call_bisum, one_line):
    folder = shutil.copytree(checkpoints("t5"), tmp_path / "base")
    arguments = [*small, *base, f"model.checkpoint={folder}", "trainer.epochs=1"]
    assert call_bisum(*arguments, "hydra.run.dir=run").code == 0
    folder.rename(tmp_path / "moved")
    message = one_line(call_bisum("summarize", "run", "--", "A text."))
    assert message.startswith(f"bisum: model.base: no such directory: '{folder}'")
    assert call_bisum("evaluate", "run", "model.base=moved", "hydra.run.dir=evaluated").code == 0
    scores = read.record(tmp_path / "evaluated")["evaluation"]
    assert scores["test/loss"] == pytest.approx(read.record(tmp_path / "run")["test"]["test/loss"], rel=1e-5)
    done = call_bisum("resume=run", "trainer.epochs=2", "model.base=moved")
    assert done.code == 0, done.err
    wrong = call_bisum("evaluate", "run", f"model.base={checkpoints('bart')}", "corpus=files", "corpus.path=absent.csv")
    assert "is not the base that 'run/checkpoints/epoch-" in wrong.err  # before the corpus is read
    assert wrong.code == 2


def test_overfitting_works_with_an_adapter(read, tmp_path, call_bisum):
    """Dropout of the layers is removed, too."""
    done = call_bisum(
        "model=starter", "adapter=lora", "adapter.dropout=0.9", "debug=overfit", "debug.overfit_loss=0.5",
        "model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    overfit = read.record(tmp_path / "run")["overfit"]
    assert overfit["loss"] < 0.5
    assert overfit["steps"] < 200


def test_random_weights_with_an_adapter_are_refused(call_bisum, one_line):
    message = one_line(call_bisum("model=tiny", "adapter=lora"))
    assert message == (
        "bisum: adapter: lora needs a trained model, and this one has random weights; choose model=starter or another "
        "checkpoint, or adapter=none"
    )


def test_quantization_on_a_cpu_is_refused_before_the_corpus_is_read(call_bisum, one_line):
    arguments = ["adapter=lora", "adapter.quantize=4bit", "hardware=cpu", "corpus=files", "corpus.path=absent.csv"]
    done = call_bisum(*arguments, "tracker=none")
    assert done.code == 2
    assert done.err.startswith("bisum: adapter.quantize: 4bit needs an NVIDIA GPU, and this run uses cpu")
    assert len(done.err.splitlines()) == 1


def test_origin_of_the_weights_is_recorded(adapted, trained, checkpoints, read):
    lora = read.record(adapted("trainer=accelerate"))
    full = read.record(trained(f"model.checkpoint={checkpoints('t5')}", "trainer=accelerate", "adapter=none"))
    weights = (checkpoints("t5") / "model.safetensors").read_bytes()
    hashes = {"model.safetensors": hashlib.sha256(weights).hexdigest()}
    assert lora["source"] == {"place": "folder", "commit": None, "sha256": hashes}
    assert full["source"] == {"place": "folder", "commit": None, "sha256": None}


@pytest.mark.parametrize("argument", ["adapter=none", "adapter.rank=8"])
def test_adapter_is_refused_where_it_has_no_effect(argument, adapted, checkpoints, call_bisum, one_line):
    for arguments in (["evaluate", str(adapted("trainer=accelerate"))], ["summarize", str(checkpoints("t5"))]):
        message = one_line(call_bisum(*arguments, argument))
        assert message == f"bisum: '{argument}': has no effect; the adapter of a checkpoint is used as it is"


def test_lora_run_and_full_run_are_compared(adapted, trained, checkpoints, call_bisum):
    full = trained(f"model.checkpoint={checkpoints('t5')}", "trainer=accelerate", "adapter=none")
    done = call_bisum("compare", str(adapted("trainer=accelerate")), str(full), "samples=1000")
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "adapter" in text
    assert "lora" in text
    assert "none" in text
