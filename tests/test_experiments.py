"""The experiments on other model families run from beginning to end with small checkpoints."""

import json
import re
from collections import Counter
from pathlib import Path

import yaml

SMALL = [
    "corpus.max_train_rows=32",
    "corpus.max_eval_rows=8",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "evaluation.bootstrap_samples=100",
    "trainer.epochs=1",
    "hardware=cpu",
]


def record(run):
    return json.loads((Path(run) / "run.json").read_text("utf-8"))


def test_t5_english_reads_only_english_with_its_prefix(call_bisum, checkpoints):
    small = [f"model.checkpoint={checkpoints('t5')}", *SMALL]
    done = call_bisum("experiment=t5_english", *small, "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert "prefix 'summarize: '" in " ".join(done.out.split())
    assert record("run")["config"]["languages"] == ["en"]
    assert "test/en/rougeL" in record("run")["test"]
    assert not any("/es/" in name for name in record("run")["test"])


def test_gpt2_is_evaluated_zero_shot_and_fine_tuned(call_bisum, checkpoints):
    small = [f"model.checkpoint={checkpoints('gpt2')}", *SMALL]
    done = call_bisum("evaluate", "experiment=gpt2_tldr", *small, "hydra.run.dir=zero_shot")
    assert (done.code, done.err) == (0, "")
    assert r"suffix '\nTL;DR:'" in " ".join(done.out.split())
    assert call_bisum("experiment=gpt2_tldr", *small, "hydra.run.dir=run").code == 0
    before, after = record("zero_shot")["evaluation"], record("run")["test"]
    assert before["rows"] == 8
    assert after["test/loss"] < before["test/loss"]


def test_mbart_against_mt5_is_a_sweep_that_ends_with_a_table(call_bisum, checkpoints, write, tmp_path, one_line):
    assert "bisum -m experiment=mbart_against_mt5" in one_line(call_bisum("experiment=mbart_against_mt5"))
    for name, family in (("mbart50", "mbart50"), ("mt5_base", "mt5")):
        write(tmp_path / f"small/model/{name}.yaml", f"defaults: [_base]\ncheckpoint: {checkpoints(family)}\n")
    arguments = ["experiment=mbart_against_mt5", *SMALL, "hydra/launcher=basic", "hydra.sweep.dir=sweep"]
    done = call_bisum("-m", "--config-dir", "small", *arguments)
    assert done.code == 0
    jobs = re.findall(r"^\d +(m\w+) +([\d.e-]+) ", done.out.partition(" sweep ")[2], re.MULTILINE)
    assert sorted((model, float(rate)) for model, rate in jobs) == [
        *[("mbart50", 3e-5), ("mbart50", 1e-4)],
        *[("mt5_base", 3e-5), ("mt5_base", 1e-4)],
    ]
    records = [record(f"sweep/{job}") for job in range(4)]
    assert len({entry["data"]["fingerprint"] for entry in records}) == 1
    assert [entry["config"]["trainer"]["learning_rate"] for entry in records] == [3e-5, 1e-4, 3e-5, 1e-4]


def test_families_repeats_every_model_and_rate_with_three_seeds(call_bisum, one_line):
    assert "bisum -m experiment=families" in one_line(call_bisum("experiment=families"))
    done = call_bisum("-m", "experiment=families", "--cfg", "job")
    assert done.code == 0
    first, *others = yaml.safe_load_all(done.out)
    assert first["languages"] == ["en", "es"]
    assert {key for other in others for key in other} == {"model", "trainer", "seed"}
    chosen = Counter(
        (
            job.get("model", {}).get("checkpoint", first["model"]["checkpoint"]),
            job.get("trainer", {}).get("learning_rate", first["trainer"]["learning_rate"]),
        )
        for job in (first, *others)
    )
    assert {rate for _, rate in chosen} == {3e-5, 3e-4}
    assert {checkpoint for checkpoint, _ in chosen} == {
        *("google/mt5-small", "google/umt5-small", "google/byt5-small"),
        *("facebook/mbart-large-50", "facebook/m2m100_418M", "facebook/nllb-200-distilled-600M"),
    }
    assert set(chosen.values()) == {3}
    assert {job.get("seed", first["seed"]) for job in others} == {1, 2, 3}


def test_families_ends_with_a_comparison_of_the_chosen_models(call_bisum, checkpoints, write, tmp_path):
    for name, family in (("mbart50", "mbart50"), ("mt5_small", "mt5")):
        write(tmp_path / f"small/model/{name}.yaml", f"defaults: [_base]\ncheckpoint: {checkpoints(family)}\n")
    few = ["model=mt5_small,mbart50", "trainer.learning_rate=3e-4", "seed=1"]
    arguments = ["experiment=families", *few, *SMALL, "hydra/launcher=basic", "hydra.sweep.dir=sweep"]
    assert call_bisum("-m", "--config-dir", "small", *arguments).code == 0
    done = call_bisum("compare", "sweep", "by=rougeL", "split=validation")
    assert (done.code, done.err) == (0, "")
    assert sorted(re.findall(r"^\d +(m\w+) ", done.out, re.MULTILINE)) == ["mbart50", "mt5_small"]
