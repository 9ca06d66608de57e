"""A sweep runs all its jobs and shows every failure."""

import fcntl
import json
import re

ARGUMENTS = [
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

IN_THIS_PROCESS = "hydra/launcher=basic"


def test_failing_job_logs_its_traceback_and_the_others_continue(call_bisum, tmp_path):
    sweep = tmp_path / "sweep"
    arguments = [*ARGUMENTS, "trainer.epochs=1", "trainer.max_gradient_norm=null", "trainer.log_every=2"]
    done = call_bisum(
        "-m", *arguments, "trainer.learning_rate=1e30,1e-3,2e30", IN_THIS_PROCESS, f"hydra.sweep.dir={sweep}"
    )
    assert done.code == 1
    records = [json.loads((sweep / f"{job}/run.json").read_text("utf-8")) for job in range(3)]
    assert [record["status"] for record in records] == ["failed", "finished", "failed"]
    assert re.findall(r"^bisum: job (\d) failed: FloatingPointError", done.err, re.M) == ["0", "2"]
    for job, record in enumerate(records):
        log = (sweep / f"{job}/train.log").read_text("utf-8")
        assert ("Traceback" in log) == (record["status"] == "failed")
        assert (sweep / f"{job}/.hydra/overrides.yaml").exists()
        assert record["config"]["trainer"]["learning_rate"] == [1e30, 1e-3, 2e30][job]
    assert "Traceback" not in done.out + done.err
    before, _, table = done.out.partition(" sweep ")
    assert "lead-3" not in before  # a job's full report is in its log, and its scores are in the table
    assert "lead-3" in (sweep / "1/train.log").read_text("utf-8")
    score = records[1]["best"]["eval/rougeL"]
    (row,) = (line for line in table.splitlines() if re.match(r"\d +\S*1 ", line))
    assert f" {score:.1f} " in row
    for job in (0, 2):
        assert re.search(rf"^\S*sweep/{job} +failed +FloatingPointError", table, re.M)
    assert "this comparison  bisum compare sweep by=rougeL split=validation\n" in table
    again = call_bisum("compare", str(sweep), "by=rougeL", "split=validation", "rows=0")
    assert again.code == 0
    assert row in again.out


def test_evaluations_end_with_one_ranked_table(call_bisum, trained, tmp_path):
    models = [str(trained / "checkpoints/epoch-1"), str(trained)]
    done = call_bisum(
        "evaluate", *models, IN_THIS_PROCESS, "hydra.sweep.dir=sweep", "corpus.max_eval_rows=20", "metric=[length]"
    )
    assert done.code == 0, done.err
    assert len(re.findall(r"^job \d finished in \d:\d\d: test/rougeL \d", done.out, re.MULTILINE)) == 2
    table = done.out.partition(" sweep ")[2]
    assert max(map(len, table.splitlines()[:-1])) <= 80
    of = [json.loads((tmp_path / f"sweep/{number}/run.json").read_text("utf-8")) for number in range(2)]
    systems = {"lead-2": of[0]["baseline"], "epoch-1": of[0]["evaluation"], "trained": of[1]["evaluation"]}
    scores = {
        name: (scores.get("test/rougeL", scores.get("baseline/rougeL")), scores) for name, scores in systems.items()
    }
    ranked = sorted(scores, key=lambda name: -scores[name][0])
    assert table.startswith("─" * 10)
    assert "\ntest, 20 rows (en 10, es 10): rougeL, " in table
    rows = [line for line in table.splitlines() if re.match(r"[123] ", line)]
    for place, (name, row) in enumerate(zip(ranked, rows, strict=False), start=1):
        value, metrics = scores[name]
        prefix = "baseline" if name == "lead-2" else "test"
        assert row.startswith(f"{place} ")
        languages = " / ".join(f"{metrics[f'{prefix}/{code}/rougeL']:.1f}" for code in ("en", "es"))
        low, high = (metrics[f"{prefix}/rougeL_{end}"] for end in ("low", "high"))
        assert f" {value:.1f} {low:.1f}-{high:.1f} " in row  # the run's recorded interval
        assert languages in row
        cells = rows[3 + place - 1].split()
        assert cells == [
            str(place),
            *(f"{metrics[f'{prefix}/rouge{n}']:.1f}" for n in "12"),
            f"{metrics[f'{prefix}/words']:.2f}",
            f"{metrics[f'{prefix}/length_ratio']:.2f}",
            "-" if name == "lead-2" else f"{metrics[f'{prefix}/at_limit']:.1f}",
            f"{metrics[f'{prefix}/empty']:.1f}",
        ]


def test_evaluations_of_different_rows_are_separate_and_a_failed_one_has_its_reason(call_bisum, trained, tmp_path):
    arguments = ("corpus.max_eval_rows=30", IN_THIS_PROCESS, "hydra.sweep.dir=sweep", "languages=[en],[en,fr],[es]")
    done = call_bisum("evaluate", "-m", f"run={trained}", *arguments)
    assert done.code == 1
    reason = json.loads((tmp_path / "sweep/1/run.json").read_text("utf-8"))["reason"]
    assert "fr" in reason
    table = " ".join(done.out.partition(" sweep ")[2].split())
    assert f"sweep/1 failed {reason}" in table
    assert "test, 30 rows: rougeL" in table
    assert "Not tested against the systems above: 30 rows were scored instead of 30 (0 in common)." in table


def test_unexpected_error_ends_one_job_but_not_the_sweep(call_bisum, tmp_path):
    (tmp_path / "sweep/0/.run.json.partial").mkdir(parents=True)  # in place of a file
    arguments = [*ARGUMENTS[:2], "evaluation.bootstrap_samples=100", "tracker=none", "hydra.sweep.dir=sweep"]
    done = call_bisum("baseline", "-m", *arguments, "evaluation.lead=1,2")
    assert done.code == 1
    assert "IsADirectoryError" in done.err
    table = done.out.partition(" sweep ")[2]
    assert re.search(r"^\d +lead-2 ", table, re.M)
    assert "2 jobs: 1 finished, 1 failed, 0 left" in done.err


def test_job_whose_directory_cannot_be_created_does_not_stop_the_others(call_bisum, tmp_path):
    arguments = [*ARGUMENTS[:2], "evaluation.bootstrap_samples=100", "tracker=none", "hydra.sweep.dir=sweep"]
    subdirectory = "hydra.sweep.subdir=${model.prefix}"
    done = call_bisum("baseline", "-m", *arguments, f"model.prefix={'x' * 300},b", subdirectory)
    assert done.code == 1
    assert "File name too long" in done.err
    assert json.loads((tmp_path / "sweep/b/run.json").read_text("utf-8"))["status"] == "finished"
    assert re.search(r"^\d +lead-3 ", done.out.partition(" sweep ")[2], re.M)


def test_sweep_overwrites_no_files_and_follows_no_links(call_bisum, tmp_path):
    arguments = [
        "baseline",
        "-m",
        *ARGUMENTS[:2],
        "evaluation.bootstrap_samples=100",
        "tracker=none",
        "evaluation.lead=1,2",
    ]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "victim").write_text("precious", "utf-8")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/multirun.yaml").symlink_to(tmp_path / "victim")
    (tmp_path / "sweep/0").symlink_to(tmp_path / "elsewhere")
    done = call_bisum(*arguments, "hydra.sweep.dir=sweep")
    assert done.code == 1
    assert "hydra.sweep.subdir: 'sweep/0' is a link; replace it with a folder" in done.err
    assert (tmp_path / "victim").read_text("utf-8") == "precious"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert json.loads((tmp_path / "sweep/1/run.json").read_text("utf-8"))["status"] == "finished"


def test_locked_directory_is_refused(call_bisum, one_line, tmp_path):
    (tmp_path / "sweep").mkdir()
    with (tmp_path / "sweep/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = one_line(
            call_bisum("baseline", "-m", *ARGUMENTS[:2], "tracker=none", "seed=1,2", "hydra.sweep.dir=sweep")
        )
    assert line == "bisum: hydra.sweep.dir: 'sweep' is in use: another process has locked it"


def test_new_run_overwrites_nothing(call_bisum, one_line, tmp_path, write):
    arguments = ["baseline", *ARGUMENTS[:2], "tracker=none"]
    write(tmp_path / "app/config.yaml", "precious")
    line = one_line(call_bisum(*arguments, "hydra.run.dir=.", "hydra.output_subdir=app"))
    assert "hydra.output_subdir: 'app' already contains YAML files; choose another folder" in line
    write(tmp_path / "mine/metrics.jsonl", "precious")
    line = one_line(call_bisum(*arguments, "hydra.run.dir=mine"))
    assert line.startswith("bisum: hydra.run.dir: 'mine' already contains metrics.jsonl, which would be overwritten")
    assert (tmp_path / "app/config.yaml").read_text("utf-8") == (tmp_path / "mine/metrics.jsonl").read_text("utf-8")
