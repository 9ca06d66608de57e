"""`model.trim_vocabulary=true`: what a training reports and records, and every command on its run."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

TRIM = "model.trim_vocabulary=true"
EVERY = ["trainer.log_every=3", "trainer.save_every=4", "trainer.keep_checkpoints=3"]
LIMITS = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "tracker=none"]

SAME = [*LIMITS[:3], "generation.num_beams=1", "generation.min_tokens=4", "generation.no_repeat_ngram_size=1"]
"""The settings of the runs, which a folder without a run lacks."""


@pytest.fixture(scope="session")
def arguments(checkpoints):
    """Arguments that train a trimmed mT5."""
    return [f"model.checkpoint={checkpoints('mt5')}", TRIM, *EVERY]


@pytest.fixture(scope="session")
def run(trained, arguments):
    return trained(*arguments)


def embedded(folder):
    return AutoModelForSeq2SeqLM.from_pretrained(folder).get_input_embeddings().num_embeddings


def rows_of(run, name):
    return [json.loads(line) for line in (run / f"predictions/{name}.jsonl").read_text("utf-8").splitlines()]


def test_the_run_reports_what_is_kept_and_saved(run, trained, arguments, checkpoints, read):
    of, kept = embedded(checkpoints("mt5")), embedded(run / "checkpoints/epoch-2")
    record = read.record(run)
    whole = read.record(trained(*(argument for argument in arguments if argument != TRIM)))
    removed = 2 * 32 * (of - kept)  # the embedding and the separate head, 32 wide
    assert record["parameters"] == whole["parameters"] - removed
    assert record["vocabulary"] == {
        "kept": kept,
        "of": of,
        "parameters_before": whole["parameters"],
        "parameters": record["parameters"],
        "saved_bytes": 16 * removed,
        "validation": record["vocabulary"]["validation"],
    }
    assert 0.9 < record["vocabulary"]["validation"] < 1
    assert whole.get("vocabulary") is None
    text = " ".join((run / "train.log").read_text("utf-8").split())
    before, after = (f"{found['parameters'] / 1e6:.2f} M" for found in (whole, record))
    assert before != after
    assert f"vocabulary: {kept} of {of:,} pieces kept; parameters {before} -> {after}" in text
    assert "compare trimmed and untrimmed runs by ROUGE" in text


def test_killed_run_resumes_to_the_same_numbers(run, arguments, small, kill_at, read, tmp_path, call_bisum):
    killed = tmp_path / "killed"
    kill_at(killed, 27, *small, *arguments)
    done = call_bisum(f"resume={killed}")
    assert done.code == 0, done.err
    assert read.metrics(killed) == read.metrics(run)
    for part in ("vocabulary", "parameters", "best", "test"):
        assert read.record(killed)[part] == read.record(run)[part]
    weights = "checkpoints/epoch-2/model.safetensors"
    assert (killed / weights).read_bytes() == (run / weights).read_bytes()


def test_evaluate_summarize_and_push_use_the_trimmed_checkpoint(run, read, tmp_path, call_bisum):
    best = read.record(run)["test"]["checkpoint"]
    done = call_bisum("evaluate", str(run), "hydra.run.dir=scored")
    assert done.code == 0, done.err
    scores = read.record(tmp_path / "scored")["evaluation"]
    assert scores["test/loss"] == pytest.approx(read.record(run)["test"]["test/loss"], rel=1e-6)
    predicted = rows_of(run, f"test-{best}")
    (tmp_path / "documents.txt").write_text("\n".join(" ".join(row["document"].split()) for row in predicted), "utf-8")
    done = call_bisum("summarize", str(run), "documents.txt")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [" ".join(row["prediction"].split()) for row in predicted]

    done = call_bisum("push", str(run), "hub.folder=model")
    assert done.code == 0, done.err
    vocabulary = read.record(run)["vocabulary"]
    card = (tmp_path / "model/README.md").read_text("utf-8")
    assert f"trimmed for the training rows, to {vocabulary['kept']:,} of {vocabulary['of']:,} pieces" in card
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    for row in predicted:
        inputs = tokenizer(row["document"], max_length=64, truncation=True, return_tensors="pt")
        (ids,) = model.generate(**inputs)
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == row["prediction"]


def test_the_first_loss_is_that_of_a_softmax_over_the_kept_pieces(run, trained, arguments, checkpoints, read):
    whole = trained(*(argument for argument in arguments if argument != TRIM))
    assert read.series(run, "train/loss")[0] < read.series(whole, "train/loss")[0]


def test_lora_on_a_trimmed_base_is_scored_merged_and_resumed_as_trained(
    trained, checkpoints, read, tmp_path, call_bisum
):
    run = trained(f"model.checkpoint={checkpoints('mt5')}", TRIM, "adapter=lora", "adapter.rank=4")
    best = run / "checkpoints" / read.record(run)["test"]["checkpoint"]
    assert not (best / "model.safetensors").exists()
    done = call_bisum("evaluate", str(run), "hydra.run.dir=scored")
    assert done.code == 0, done.err
    scores = read.record(tmp_path / "scored")["evaluation"]
    assert scores["test/loss"] == pytest.approx(read.record(run)["test"]["test/loss"], rel=1e-6)
    done = call_bisum("push", str(run), "hub.folder=model")
    assert done.code == 0, done.err
    assert embedded(tmp_path / "model") == read.record(run)["vocabulary"]["kept"]
    predicted = rows_of(run, f"test-{best.name}")
    (tmp_path / "documents.txt").write_text("\n".join(" ".join(row["document"].split()) for row in predicted), "utf-8")
    merged, own = (call_bisum("summarize", name, *SAME, "documents.txt") for name in ("model", str(run)))
    assert merged.out == own.out != ""
    continued = shutil.copytree(run, tmp_path / "continued")
    done = call_bisum(f"resume={continued}", "trainer.epochs=3")
    assert done.code == 0, done.err
    assert read.record(continued)["vocabulary"] == read.record(run)["vocabulary"]


def test_lora_trains_on_a_trimmed_checkpoint(run, small, read, tmp_path, call_bisum):
    base = run / "checkpoints/epoch-2"
    arguments = [f"model.checkpoint={base}", "adapter=lora", "trainer.epochs=1", "hydra.run.dir=adapted"]
    assert call_bisum(*small, *arguments).code == 0
    assert call_bisum("evaluate", "adapted", "hydra.run.dir=scored").code == 0
    scores, tested = read.record(tmp_path / "scored")["evaluation"], read.record(tmp_path / "adapted")["test"]
    assert scores["test/loss"] == pytest.approx(tested["test/loss"], rel=1e-6)


def test_an_adapter_whose_base_lacks_its_tokens_is_refused(trained, checkpoints, read, tmp_path, call_bisum):
    run = shutil.copytree(
        trained(f"model.checkpoint={checkpoints('mt5')}", TRIM, "adapter=lora", "adapter.rank=4"), tmp_path / "run"
    )
    folder = run / "checkpoints" / read.record(run)["test"]["checkpoint"]
    state = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    state["model"]["vocab"][50][0] = "▁unheard"
    (folder / "tokenizer.json").write_text(json.dumps(state), "utf-8")
    copied = shutil.copytree(folder, tmp_path / "adapter")
    (copied / "manifest.json").unlink()
    done = call_bisum("evaluate", "model.checkpoint=adapter", *LIMITS, "hydra.run.dir=scored")
    assert done.code == 2
    assert "is not a trimmed copy of that of its base" in done.err


@pytest.mark.parametrize("family", ["byt5", "m2m100", "bart_chinese"])
def test_tokenizers_that_cannot_be_trimmed_are_refused_before_the_corpus_is_read(family, checkpoints, call_bisum):
    done = call_bisum(
        f"model.checkpoint={checkpoints(family)}", TRIM, "corpus=files", "corpus.path=missing.csv", *LIMITS
    )
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert done.err.startswith("bisum: model.trim_vocabulary: a ")


def test_other_commands_note_that_the_key_applies_to_training(checkpoints, read, tmp_path, call_bisum):
    rows = ["corpus.max_eval_rows=8", f"model.checkpoint={checkpoints('mt5')}", *LIMITS]
    done = call_bisum("evaluate", *rows, TRIM, "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert "model.trim_vocabulary: applies to training" in " ".join(done.out.split())
    assert read.record(tmp_path / "run").get("vocabulary") is None


def test_a_bart_and_an_mbart_are_trimmed(small, checkpoints, read, tmp_path, call_bisum):
    for family in ("bart", "mbart50"):
        done = call_bisum(*small, f"model.checkpoint={checkpoints(family)}", TRIM, f"hydra.run.dir={family}")
        assert done.code == 0, done.err
        best = tmp_path / family / "checkpoints" / read.record(tmp_path / family)["test"]["checkpoint"]
        model = AutoModelForSeq2SeqLM.from_pretrained(best)
        kept = read.record(tmp_path / family)["vocabulary"]["kept"]
        assert model.final_logits_bias.shape == torch.Size([1, kept])
        assert (
            len(AutoTokenizer.from_pretrained(best)) == kept < len(AutoTokenizer.from_pretrained(checkpoints(family)))
        )
