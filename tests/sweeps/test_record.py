"""`sweep.json`: resuming from it, and refusing edited ones."""

import json
import shutil

import pytest

FEW = ["corpus.max_eval_rows=20", "evaluation.bootstrap_samples=100", "tracker=none"]
ARGUMENTS = ["baseline", "-m", *FEW, "hydra/launcher=basic", "hydra.sweep.dir=sweep"]
ROWS = "id,document,summary,language\n" + "".join(
    f"{n},Reads the file {n} and prints its lines. It has an option.,Prints file {n}.,en\n" for n in range(40)
)


@pytest.fixture(scope="module")
def finished(run_bisum, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert run_bisum(*ARGUMENTS, "evaluation.lead=1,2", cwd=folder).code == 0
    return folder / "sweep"


@pytest.fixture
def sweep(finished, tmp_path):
    """A copy of a finished sweep of two baselines."""
    return shutil.copytree(finished, tmp_path / "sweep")


def load(path):
    return json.loads(path.read_text("utf-8"))


def change(path, edit):
    values = load(path)
    edit(values)
    path.write_text(json.dumps(values), "utf-8")


def reset(sweep, number):
    """Remove a job's run, as if it had never begun."""
    shutil.rmtree(sweep / str(number))
    change(sweep / "sweep.json", lambda values: values["jobs"][number].update(status="waiting"))


def test_only_a_missing_job_runs_again(call_bisum, sweep):
    finished = load(sweep / "0/run.json")["finished"]
    scores = load(sweep / "1/run.json")["baseline"]
    reset(sweep, 1)
    done = call_bisum("resume=sweep")
    assert done.code == 0, done.err
    assert load(sweep / "0/run.json")["finished"] == finished
    assert load(sweep / "1/run.json")["baseline"] == scores
    assert [entry["status"] for entry in load(sweep / "sweep.json")["jobs"]] == ["finished", "finished"]


def test_interrupted_baseline_starts_again(call_bisum, sweep):
    scores = load(sweep / "1/run.json")["baseline"]
    change(sweep / "1/run.json", lambda values: values.update(status="running", baseline=None))
    change(sweep / "sweep.json", lambda values: values["jobs"][1].update(status="running"))
    assert call_bisum(*ARGUMENTS, "evaluation.lead=1,2").code == 0
    assert load(sweep / "1/run.json")["baseline"] == scores


def test_different_jobs_in_the_same_directory_are_refused(call_bisum, one_line, sweep):
    line = one_line(call_bisum(*ARGUMENTS, "evaluation.lead=1,3"))
    assert line == (
        "bisum: hydra.sweep.dir: 'sweep' contains another sweep (job 1 differs in evaluation.lead); choose another "
        "directory, or continue that sweep with resume=sweep"
    )
    assert "(of 2 jobs, not 3)" in one_line(call_bisum(*ARGUMENTS, "evaluation.lead=1,2,3"))
    explore = ["explore", *ARGUMENTS[1:], "evaluation.lead=1,2"]
    assert "(of bisum baseline)" in one_line(call_bisum(*explore))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["evaluation.lead=3"],
            "'evaluation.lead=3': a resumed sweep keeps the settings of its jobs; only log, tracker, "
            "cache_dir, sweep, hub, adapter.merge, corpus.license, corpus.timeout, corpus.of.license, "
            "corpus.of.timeout, debug.profile, debug.profile_steps, hardware.data_loader_workers, "
            "hardware.pin_memory, model.base can change",
        ),
        (["-m"], "'resume=sweep': the sweep's record already lists its jobs; drop -m"),
        (["sweep.parallel=2"], "sweep.parallel: hydra/launcher=basic runs one job at a time, not 2; drop the setting"),
        (["tracker=nope"], "tracker=nope: no such option"),
    ],
)
def test_resumed_sweep_rejects_invalid_arguments(call_bisum, one_line, sweep, arguments, line):
    assert one_line(call_bisum("resume=sweep", *arguments)).startswith(f"bisum: {line}")


def first(**entries):
    return lambda values: values["jobs"][0].update(entries)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda values: values.pop("jobs"), "jobs is missing; restore the original value"),
        (lambda values: values.update(jobs=[]), "jobs must list at least one job"),
        (lambda values: values.update(jobs=[3]), "jobs[0] must be an object"),
        (lambda values: values.update(command="compare"), "bisum -m cannot run the command 'compare'"),
        (lambda values: values.update(arguments=["a", 1]), "arguments must be a list of texts"),
        (lambda values: values.update(threads=0), "threads must be a whole number from 1 to 512"),
        (first(folder="../x"), "jobs[0]: folder must be a folder inside the sweep's directory"),
        (first(folder="/tmp/x"), "jobs[0]: folder must be a folder inside the sweep's directory"),
        (first(folder="1"), "each with its own folder"),
        (first(status="done"), "jobs[0]: status must be waiting, running, interrupted, finished, pruned or failed"),
        (first(own={}), "jobs[0]: own.config is missing"),
        (first(folder="."), "jobs[0]: folder must be a folder inside the sweep's directory"),
        (first(folder="1/x"), "each with its own folder"),
        (first(signature="x"), "its jobs and their signatures do not match (job 0 differs)"),
        (lambda values: values["shared"].update(choices=[1]), "shared.choices must be an object"),
        (lambda values: values["shared"].update(masked=5), "shared.masked must be a list"),
        (lambda values: values["shared"]["choices"].update(model=3), "shared.choices.model must be text"),
        (lambda values: values["shared"]["config"].update(seed="x"), "sweep.json: seed: expected a whole number"),
    ],
)
def test_edited_record_is_refused(call_bisum, one_line, sweep, edit, problem):
    change(sweep / "sweep.json", edit)
    assert problem in one_line(call_bisum("resume=sweep"))


def test_different_run_in_the_folder_of_a_job_is_refused(call_bisum, one_line, sweep):
    change(sweep / "1/run.json", lambda values: values["config"].update(seed=7))
    line = one_line(call_bisum("resume=sweep"))
    assert line.startswith("bisum: 'sweep/1': contains a different run from job 1 of the sweep (")


def test_changed_rows_are_refused(call_bisum, tmp_path, write):
    write(tmp_path / "rows.csv", ROWS)
    arguments = ["languages=[en]", "corpus=files", "corpus.path=rows.csv", "filter=[]", "evaluation.lead=1,2"]
    assert call_bisum(*ARGUMENTS, *arguments).code == 0
    reset(tmp_path / "sweep", 1)
    write(tmp_path / "rows.csv", ROWS.replace("Prints", "Shows"))
    done = call_bisum("resume=sweep")
    assert done.code == 1
    assert "job 1 failed: corpus: another job of this sweep read different rows with the same corpus" in done.err
    write(tmp_path / "rows.csv", ROWS)
    assert call_bisum("resume=sweep").code == 0


def test_changed_yaml_file_does_not_affect_a_resumed_sweep(call_bisum, tmp_path, write):
    mine = tmp_path / "mine/experiment/mine.yaml"
    write(mine, "# @package _global_\nevaluation: {lead: 2}\n")
    assert call_bisum("--config-dir", "mine", *ARGUMENTS, "experiment=mine", "seed=1,2").code == 0
    reset(tmp_path / "sweep", 1)
    write(mine, "# @package _global_\nevaluation: {lead: 1}\n")
    assert call_bisum("resume=sweep").code == 0
    assert [load(tmp_path / f"sweep/{job}/run.json")["config"]["evaluation"]["lead"] for job in range(2)] == [2, 2]


def test_record_contains_no_secret(call_bisum, tmp_path, write, monkeypatch):
    write(tmp_path / "very-secret/rows.csv", ROWS)
    monkeypatch.setenv("PLACE", "very-secret")
    arguments = ["languages=[en]", "corpus=files", "corpus.path=${oc.env:PLACE}/rows.csv", "filter=[]"]
    assert call_bisum(*ARGUMENTS, *arguments, "evaluation.lead=1,2").code == 0
    reset(tmp_path / "sweep", 0)
    assert call_bisum("resume=sweep").code == 0
    assert load(tmp_path / "sweep/0/run.json")["status"] == "finished"
    files = [path for path in (tmp_path / "sweep").rglob("*") if path.is_file()]
    assert not [path for path in files if b"very-secret" in path.read_bytes()]


def test_repeated_job_is_reported(call_bisum):
    done = call_bisum(*ARGUMENTS, "evaluation.lead=1,2,1")
    assert "> 'evaluation.lead=1' is equivalent to job 0 and does not run again\n" in done.out
    assert done.out.count("finished in") == 2


def test_job_is_not_written_through_a_link(call_bisum, tmp_path, sweep):
    (tmp_path / "elsewhere").mkdir()
    (sweep / "link").symlink_to(tmp_path / "elsewhere")
    change(sweep / "sweep.json", first(folder="link/0", status="waiting"))
    done = call_bisum("resume=sweep")
    assert done.code == 1
    assert "job 0 failed: hydra.sweep.subdir: 'sweep/link' is a link; replace it with a folder" in done.err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_nested_folders_are_refused(call_bisum, one_line):
    arguments = ["model.prefix=a,a/b", "hydra.sweep.subdir=${model.prefix}"]
    line = one_line(call_bisum(*ARGUMENTS, *arguments))
    assert line == "bisum: hydra.sweep.subdir: 'a/b' is inside 'a', the folder of another job"


def test_masked_url_has_to_be_given_again(call_bisum, tmp_path, write, one_line):
    write(tmp_path / "rows.csv", ROWS)
    arguments = ["languages=[en]", "corpus=files", "corpus.path=rows.csv", "filter=[]", "evaluation.lead=1,2"]
    assert call_bisum(*ARGUMENTS, *arguments).code == 0

    def mask(values):
        values["shared"]["masked"] = [["tracker", "project"]]
        values["shared"]["config"]["tracker"]["project"] = "https://a.b/c?..."

    change(tmp_path / "sweep/sweep.json", mask)
    assert "tracker.project: sweep.json does not contain the secrets of" in one_line(call_bisum("resume=sweep"))
    assert call_bisum("resume=sweep", "tracker.project=x").code == 0


@pytest.mark.parametrize("value", ["null", "3", "[]"])
def test_sweep_node_that_is_not_a_mapping_is_refused(call_bisum, one_line, value):
    assert "sweep: expected a mapping" in one_line(call_bisum(*ARGUMENTS, "seed=1,2", f"sweep={value}"))


def test_single_run_refuses_settings_of_a_sweep(call_bisum, one_line, tmp_path, write):
    line = one_line(call_bisum("baseline", "sweep.parallel=2"))
    assert line == "bisum: 'sweep.parallel=2': has no effect on a single run; add -m for a sweep"
    write(tmp_path / "mine/experiment/mine.yaml", "# @package _global_\nsweep: {jobs: [[seed=1], [seed=2]]}\n")
    line = one_line(call_bisum("baseline", "--config-dir", "mine", "experiment=mine"))
    assert line.startswith("bisum: sweep.jobs: this configuration is a sweep; run it with -m: bisum baseline ")


def test_equal_values_make_one_job(call_bisum):
    done = call_bisum(*ARGUMENTS, "generation.length_penalty=1,1.0")
    assert done.code == 0
    assert "> 1 job in sweep\n" in done.out
