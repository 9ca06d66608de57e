"""A sweep runs all its jobs and shows every failure."""

import fcntl
import json
import re

WORDS = [
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "model=tiny",
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


def test_evaluations_end_with_one_table_that_tells_the_best(call_bisum, trained, tmp_path):
    models = [str(trained / "checkpoints/epoch-1"), str(trained)]
    labels = ["0 run=trained/epoch-1", "1 run=trained"]
    done = call_bisum("evaluate", *models, "hydra.sweep.dir=sweep", "corpus.max_eval_rows=20")
    assert done.code == 0, done.err
    assert done.out.count("all: ROUGE-L is ") == 2  # each job says so when it is done
    table = done.out.partition(" sweep ")[2]
    assert max(map(len, table.splitlines()[:-1])) <= 80
    first = json.loads((tmp_path / "sweep/0/run.json").read_text("utf-8"))
    lead = " / ".join(f"{first['baseline'][f'baseline/rouge{n}']:.1f}" for n in "12L")
    assert f"\ntest, 20 rows: ROUGE F, 95 % intervals of L; lead-2 has {lead}\n" in table
    for number, (model, label) in enumerate(zip(models, labels, strict=True)):
        of = json.loads((tmp_path / f"sweep/{number}/run.json").read_text("utf-8"))["evaluation"]
        assert of["run"] == model
        scores = " / ".join(f"{of[f'test/rouge{n}']:.1f}" for n in "12L")
        languages = " / ".join(f"{of[f'test/{code}/rougeL']:.1f}" for code in ("en", "es"))
        above, length = f"{of['difference/rougeL']:+.1f}", f"{of['test/gen_len']:.1f}"
        (row,) = (line for line in table.splitlines() if line.startswith(f"{label} "))
        assert " ".join(row.split()) == f"{label} {scores} {languages} {above} {length}"
        low, high = (f"{of[f'difference/rougeL_{end}']:.1f}" for end in ("low", "high"))
        assert f"{low} to {high}" in table


def test_evaluations_of_other_rows_are_told_apart_and_a_failed_one_has_its_reason(call_bisum, trained, tmp_path):
    words = ("corpus.max_eval_rows=8", "hydra.sweep.dir=sweep", "languages=[en],[en,fr],[es]")
    done = call_bisum("evaluate", "-m", f"run={trained}", *words)
    assert done.code == 2
    reason = json.loads((tmp_path / "sweep/1/run.json").read_text("utf-8"))["reason"]
    assert "fr" in reason
    table = done.out.partition(" sweep ")[2]
    assert f"\njob 1 failed: {reason}\n" in table
    assert re.search(r"^1 languages=\[en,fr\] +failed *$", table, re.M)
    assert len(re.findall(r"^[02] languages=\[e[ns]\] +test ", table, re.M)) == 2
    assert "The jobs did not score the same rows" in table


def test_an_error_that_nobody_expected_ends_one_job_and_not_the_sweep(call_bisum, tmp_path):
    (tmp_path / "sweep/0/.run.json.partial").mkdir(parents=True)  # where a file must be
    words = [*WORDS[:2], "evaluation.bootstrap_samples=100", "tracker=none", "hydra.sweep.dir=sweep"]
    done = call_bisum("baseline", "-m", *words, "evaluation.lead=1,2")
    assert done.code == 1
    assert "IsADirectoryError" in done.err
    table = done.out.partition(" sweep ")[2]
    assert "1     evaluation.lead=2   finished" in table
    assert "0     evaluation.lead=1   lost" in table


def test_a_job_whose_directory_cannot_be_made_does_not_stop_the_others(call_bisum, tmp_path):
    words = [*WORDS[:2], "evaluation.bootstrap_samples=100", "tracker=none", "hydra.sweep.dir=sweep"]
    subdirectory = "hydra.sweep.subdir=${model.prefix}"
    done = call_bisum("baseline", "-m", *words, f"model.prefix={'x' * 300},b", subdirectory)
    assert done.code == 2
    assert "File name too long" in done.err
    assert json.loads((tmp_path / "sweep/b/run.json").read_text("utf-8"))["status"] == "finished"
    assert "finished" in done.out.partition(" sweep ")[2]


def test_a_sweep_overwrites_and_follows_nothing(call_bisum, tmp_path):
    words = ["baseline", "-m", *WORDS[:2], "evaluation.bootstrap_samples=100", "tracker=none", "evaluation.lead=1,2"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "victim").write_text("precious", "utf-8")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/multirun.yaml").symlink_to(tmp_path / "victim")
    (tmp_path / "sweep/0").symlink_to(tmp_path / "elsewhere")
    done = call_bisum(*words, "hydra.sweep.dir=sweep")
    assert done.code == 2
    assert "hydra.sweep.subdir: 'sweep/0' is a link; replace it with a folder" in done.err
    assert (tmp_path / "victim").read_text("utf-8") == "precious"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert json.loads((tmp_path / "sweep/1/run.json").read_text("utf-8"))["status"] == "finished"


def test_one_sweep_at_a_time_in_a_directory(call_bisum, one_line, tmp_path):
    (tmp_path / "sweep").mkdir()
    with (tmp_path / "sweep/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = one_line(call_bisum("baseline", "-m", *WORDS[:2], "tracker=none", "seed=1,2", "hydra.sweep.dir=sweep"))
    assert line == "bisum: hydra.sweep.dir: 'sweep' is in use: another process runs a sweep there"


def test_a_new_run_overwrites_nothing(call_bisum, one_line, tmp_path, write):
    words = ["baseline", *WORDS[:2], "tracker=none"]
    write(tmp_path / "app/config.yaml", "precious")
    line = one_line(call_bisum(*words, "hydra.run.dir=.", "hydra.output_subdir=app"))
    assert "hydra.output_subdir: 'app' already holds YAML files; name another" in line
    write(tmp_path / "mine/metrics.jsonl", "precious")
    line = one_line(call_bisum(*words, "hydra.run.dir=mine"))
    assert line.startswith("bisum: hydra.run.dir: 'mine' already holds metrics.jsonl, which would be overwritten")
    assert (tmp_path / "app/config.yaml").read_text("utf-8") == (tmp_path / "mine/metrics.jsonl").read_text("utf-8")
