"""A sweep runs all its jobs and shows every failure."""

import json
import re

WORDS = [
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.max_document_tokens=64",
    "evaluation.bootstrap_samples=100",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "hardware=cpu",
]


def test_a_failing_job_has_its_traceback_and_the_others_go_on(call_bisum, tmp_path):
    sweep = tmp_path / "sweep"
    words = [*WORDS, "trainer.epochs=1", "trainer.max_gradient_norm=null", "trainer.log_every=2"]
    done = call_bisum("-m", *words, "trainer.learning_rate=1e30,1e-3,2e30", f"hydra.sweep.dir={sweep}")
    assert done.code == 1
    records = [json.loads((sweep / f"{job}/run.json").read_text("utf-8")) for job in range(3)]
    assert [record["status"] for record in records] == ["failed", "finished", "failed"]
    assert done.err.count("FloatingPointError") == 2
    for job, record in enumerate(records):
        log = (sweep / f"{job}/train.log").read_text("utf-8")
        assert ("Traceback" in log) == (record["status"] == "failed")
        assert (sweep / f"{job}/.hydra/overrides.yaml").exists()
        assert record["config"]["trainer"]["learning_rate"] == [1e30, 1e-3, 2e30][job]
    assert "Traceback" not in done.out + done.err
    assert "lead-3" not in done.out  # a job's whole report is in its log, and its scores in the table
    assert "lead-3" in (sweep / "1/train.log").read_text("utf-8")
    assert len(re.findall(r"^1 +trainer.learning_rate=0.001 +finished +eval/rougeL [\d.]+", done.out, re.M)) == 1
