"""Runs logged to W&B, read from the transaction log: every value of `metrics.jsonl`, tables, charts and summary."""

import json
import os
import re
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest
import yaml
from pages import ROOT, blocks_of

import bisum
from bisum.runs.metrics import read_metrics

TRACKED = ["tracker=wandb", "tracker.mode=offline", "tracker.table_rows=6"]


def log_folder(directory):
    """The only transaction log of a run."""
    (folder,) = (directory / "wandb").glob("offline-run-*")
    return folder


def records(directory):
    """The records of a run's transaction log by type, read with W&B's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log_folder(directory))]
    found = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        record = json.loads(line)
        found.setdefault(record["type"], []).append(record[record["type"]])
    return found


def summary(found):
    """The final summary."""
    values = {}
    for record in found["summary"]:
        values |= record["update"]
    return values


def check_history(found, directory):
    """Check that the history has every value of every line, and otherwise only media of the line."""
    lines = read_metrics(directory)
    rows = found["history"]
    assert [row["step"].get("num", 0) for row in rows] == list(range(len(lines)))
    (baseline,) = (line for line in lines if "baseline/rouge1" in line)
    for line, row in zip(lines, rows, strict=True):
        item = row["item"]
        expected = {**{name: value for name, value in baseline.items() if name.startswith("baseline/")}, **line}
        expected = expected if "eval/loss" in line else line
        assert {name: item.get(name) for name in expected} == expected
        other = {name for name in item if name not in expected}
        assert all(name.startswith(("_", "predictions/", "histograms/", "charts/")) for name in other), other


@pytest.fixture(scope="module")
def sweep(command, small, tmp_path_factory):
    """A tracked sweep: two systems with two seeds."""
    directory = tmp_path_factory.mktemp("sweeps") / "rates"
    arguments = ["-m", *small, *TRACKED, "trainer.learning_rate=1e-3,2e-2", "seed=1,2", "hydra/launcher=basic"]
    arguments.append(f"hydra.sweep.dir={directory}")
    assert command(*arguments) == 0
    return directory


@pytest.fixture(scope="module")
def other_backend(command, small, tmp_path_factory):
    """A run inside a git repository, with its checkpoint logged as an artifact."""
    repository = tmp_path_factory.mktemp("repository")
    directory = repository / "run"
    for arguments in ("init", "-c user.name=a -c user.email=a@b.c commit --allow-empty -m first"):
        subprocess.run(["git", *arguments.split()], cwd=repository, check=True, capture_output=True)
    arguments = [
        *small,
        *TRACKED,
        "trainer=seq2seq_trainer",
        "seed=1",
        "tracker.tags=[a,b]",
        "tracker.checkpoints=best",
    ]
    assert command(*arguments, "hydra.run.dir=run", cwd=repository) == 0
    return directory


@pytest.fixture(scope="module")
def found(other_backend):
    return records(other_backend)


def test_sweep_jobs_are_runs_of_one_group(sweep, read):
    ids, systems = set(), []
    for job, (rate, seed) in enumerate(product(("0.001", "0.02"), (1, 2))):
        directory = sweep / str(job)
        found = records(directory)
        check_history(found, directory)
        (run,) = found["run"]
        assert (run["run_group"], run["project"], run["job_type"]) == ("rates", "bisum", "train")
        assert run["display_name"].startswith("tiny-")
        config = run["config"]["update"]
        assert (str(config["trainer"]["learning_rate"]), config["seed"]) == (rate, seed)
        assert f"-lr{rate}" in config["system"]
        assert run["display_name"].replace(f"-s{seed}", "") == config["system"]
        systems.append(config["system"])
        assert read.record(directory)["tracker"]["id"] == run["run_id"]
        ids.add(run["run_id"])
    assert len(ids) == 4
    assert systems[0] == systems[1] != systems[2] == systems[3]
    files = {"multirun.yaml", "sweep.json", ".lock", ".state"}
    assert {path.name for path in sweep.iterdir()} == {"0", "1", "2", "3", *files}


def test_other_backend_logs_the_full_history(found, other_backend):
    check_history(found, other_backend)


def test_run_and_configuration_are_logged(found, other_backend, read):
    (run,) = found["run"]
    record = read.record(other_backend)
    config = {name: value for name, value in run["config"]["update"].items() if name != "_wandb"}
    assert config.pop("choices") == {
        "corpus": "sample", "model": "tiny", "adapter": "none", "trainer": "seq2seq_trainer", "hardware": "cpu",
        "tracker": "wandb",
    }  # fmt: skip
    assert config.pop("system") == run["display_name"].removesuffix("-s1")
    assert config == record["config"]
    assert run["tags"] == ["a", "b"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=other_backend, capture_output=True, text=True, check=True)
    assert run["git"]["commit"] == record["commit"] == head.stdout.strip()
    assert run["display_name"].endswith("-seq2seq_trainer-s1")
    assert [end["exit_code"] for end in found["exit"]] == [0]


def test_metrics_are_plotted_against_their_axes(found):
    axes = {record["glob_name"]: record["step_metric"] for record in found["metric"] if "glob_name" in record}
    assert axes["train/*"] == "step"
    assert {axes[f"{prefix}/*"] for prefix in ("eval", "test", "baseline")} == {"epoch"}


def panels(found):
    """The logged names that the default workspace shows, and those it hides; media count once."""
    logged = set()
    for row in found["history"]:
        logged |= {re.sub(r"\.[a-z_\d]+$", "", name).removesuffix("._type") for name in row["item"]}
    hidden = {record["name"] for record in found["metric"] if record["options"].get("hidden") and "name" in record}
    logged = {name for name in logged if not name.startswith("_")}
    return logged - hidden, logged & hidden


def rouges(*prefixes, profile=""):
    """The names of ROUGE F1 for all rows and per language."""
    return {
        f"{prefix}/{profile}{language}{rouge}"
        for prefix in prefixes
        for language in ("", "en/", "es/")
        for rouge in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    }


def test_default_workspace_is_curated(found):
    shown, hidden = panels(found)
    curves = {"train/loss", "train/learning_rate", "train/grad_norm", "train/examples_per_second"}
    lengths = {f"{prefix}/{name}" for prefix in ("eval", "test") for name in ("loss", "gen_len")}
    tables = {f"predictions/{name}" for name in ("validation", "validation_lead3", "test", "test_lead3")}
    assert shown == curves | lengths | tables | rouges("eval", "test")
    assert (len(shown), len(hidden)) == (36, 347)
    assert {"step", "epoch", "eval/es/rougeL_low", "histograms/eval/rougeL", "charts/rougeL_table"} <= hidden
    assert rouges("baseline") | rouges("eval", "test", "baseline", profile="unicode/") <= hidden


def test_hidden_metrics_are_defined_once_and_keep_their_axis(found):
    hidden = {record["name"]: record for record in found["metric"] if "name" in record}
    assert {record.get("step_metric") for name, record in hidden.items() if name.startswith("eval/")} == {"epoch"}
    assert len(hidden) == sum("name" in record for record in found["metric"])  # no duplicates


def test_charts_show_the_run_and_its_baseline(found, other_backend, read):
    name, lines = found["run"][0]["display_name"], read_metrics(other_backend)
    for rouge in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        expected = [
            [line["epoch"], f"{system} {language}".strip(), line[metric]]
            for system, prefix in (("lead-3", "baseline"), (name, "eval"))
            for language in ("", "en", "es")
            for line in lines
            for metric in [f"{prefix}/{language}/{rouge}".replace("//", "/")]
            if metric in line
        ]
        charts = [row["item"] for row in found["history"] if f"charts/{rouge}_table.path" in row["item"]]
        assert [item["epoch"] for item in charts] == [1, 2]
        table = json.loads(
            (log_folder(other_backend) / "files" / charts[-1][f"charts/{rouge}_table.path"]).read_text("utf-8")
        )
        drawn = [row for row in table["data"] if row[1].partition(" ")[0] != "lead-3" or row[0] == 0]
        assert sorted(drawn) == sorted(expected)
        for language in ("", " en", " es"):  # the baseline is drawn over all epochs
            values = {row[0]: row[2] for row in table["data"] if row[1] == f"lead-3{language}"}
            assert list(values) == [0, 1, 2]
            assert len(set(values.values())) == 1
    charts = {name for record in found["config"] for name in record["update"] if "visualize" in name}
    assert {f"_wandb.visualize.charts/{rouge}" for rouge in ("rouge1", "rouge2", "rougeL", "rougeLsum")} <= charts


def test_differences_from_the_baseline_are_in_the_summary(found, other_backend, read):
    record, values = read.record(other_backend), summary(found)
    for name, prefix, of in (("test", "", "test"), ("best", "best/", "eval")):
        scores = record[name] | ({} if name == "test" else record["baseline"])
        for rouge in (f"{language}{rouge}" for language in ("", "es/") for rouge in ("rouge1", "rougeL")):
            own = scores[f"{of}/{rouge}"] - scores[f"baseline/{rouge}"]
            assert values[f"{prefix}difference/{rouge}"] == pytest.approx(own, abs=1e-9)
            for end in ("_low", "_high", "_better"):
                assert values[f"{prefix}difference/{rouge}{end}"] == record[name][f"difference/{rouge}{end}"]


def test_best_and_last_are_in_the_summary(found, other_backend, read):
    record, values = read.record(other_backend), summary(found)
    assert values["status"] == "finished"
    assert {f"best/{name}": values[f"best/{name}"] for name in record["best"]} == {
        f"best/{name}": value for name, value in record["best"].items()
    }
    for name, value in (record["last"] | {n: v for n, v in record["test"].items() if n.startswith("test/")}).items():
        assert name in ("step", "epoch") or name.startswith("difference/") or values[name] == value


def test_every_table_has_the_same_rows(found, other_backend, read):
    """Tables are read from the logged files."""
    ids = {}
    for row in found["history"]:
        for name, path in row["item"].items():
            if name.startswith("predictions/") and name.endswith(".path"):
                key = name.removesuffix(".path")
                table = json.loads((log_folder(other_backend) / "files" / path).read_text("utf-8"))
                assert table["columns"] == ["id", "language", "category", "document", "reference", "prediction"]
                assert len(table["data"]) == 6
                assert [cells[1] for cells in table["data"]].count("es") == 3
                ids.setdefault(key, []).append([cells[0] for cells in table["data"]])
                epoch = row["item"]["epoch"]
                best = read.record(other_backend)["test"]["checkpoint"]
                file = {
                    "predictions/validation": f"validation-epoch-{epoch}",
                    "predictions/validation_lead3": "validation-lead3",
                    "predictions/test": f"test-{best}",
                    "predictions/test_lead3": "test-lead3",
                }[key]
                rows = {tuple(line.values()) for line in read.lines(other_backend / f"predictions/{file}.jsonl")}
                assert {tuple(cells) for cells in table["data"]} <= rows
    assert {key: len(found) for key, found in ids.items()} == {
        "predictions/validation": 2, "predictions/validation_lead3": 1, "predictions/test": 1,
        "predictions/test_lead3": 1,
    }  # fmt: skip
    assert ids["predictions/validation"] == 2 * ids["predictions/validation_lead3"]
    assert ids["predictions/test"] == ids["predictions/test_lead3"]


def test_histograms_count_every_row(found, other_backend, read):
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rows = read.lines(other_backend / "predictions/validation-lead3.jsonl")
    scores = [100 * scorer.score(row["reference"], row["prediction"])["rougeL"].fmeasure for row in rows]
    counts = [sum(5 * bin <= score < 5 * bin + 5 for score in scores) for bin in range(20)]
    item = found["history"][0]["item"]
    assert item["histograms/baseline/rougeL.values"] == counts
    assert item["histograms/baseline/rougeL.bins"] == [5 * edge for edge in range(21)]
    for row in found["history"]:
        if "eval/gen_len" in row["item"]:
            counts, edges = (row["item"][f"histograms/eval/gen_len.{part}"] for part in ("values", "bins"))
            assert sum(counts) == 8
            # Bins are one token wide; the last one contains the two largest lengths.
            assert edges == list(range(13))
            low = sum(count * edge for count, edge in zip(counts, edges, strict=False)) / 8
            assert low <= row["item"]["eval/gen_len"] <= low + counts[-1] / 8


def test_best_checkpoint_is_an_artifact(found, other_backend, read):
    (artifact,) = (artifact for artifact in found["artifact"] if artifact["type"] == "model")
    best = read.record(other_backend)["test"]["checkpoint"]
    assert {best, "best"} <= set(artifact["aliases"])
    files = {entry["path"]: entry["local_path"] for entry in artifact["manifest"]["contents"]}
    assert files["model.safetensors"] == str(other_backend / "checkpoints" / best / "model.safetensors")


def test_all_files_are_in_the_run_directory(found, other_backend):
    for artifact in found["artifact"]:
        for entry in artifact["manifest"]["contents"]:
            assert entry["local_path"].startswith(str(other_backend))


def test_displayed_commands_work(other_backend, read):
    view = read.record(other_backend)["tracker"]["view"]
    folder = "run/wandb"
    assert view.endswith("View: wandb leet run/wandb  Upload: wandb sync run/wandb")
    dry = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", "--dry-run", folder],
        cwd=other_backend.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Would sync 1 run(s)" in dry.stdout + dry.stderr


@pytest.fixture(scope="module")
def resumed(command, small, tmp_path_factory, read):
    """A run that was killed in its second epoch and resumed, with the record and log of the killed one."""
    directory = tmp_path_factory.mktemp("killed") / "run"
    arguments = [*small, *TRACKED, "corpus.max_train_rows=128", "trainer.save_every=4", "seed=3"]
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "bisum", *arguments, f"hydra.run.dir={directory}"],
        env=environment, cwd=directory.parent, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while (read_metrics(directory) or [{"step": 0}])[-1]["step"] < 42:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    killed = read.record(directory)["tracker"]
    for _ in range(300):  # until the tracker's process ends
        first = records(directory)
        if "exit" in first:
            break
        time.sleep(0.1)
    assert read_metrics(directory)[-1]["step"] < 64
    assert command(f"resume={directory}") == 0
    return directory, killed, first


def test_killed_run_is_marked_as_crashed(resumed):
    _, killed, first = resumed
    assert first["exit"][0]["exit_code"] == 1
    assert first["run"][0]["run_id"] == killed["id"]


def test_resumed_run_has_a_single_complete_log(resumed, read):
    directory, killed, _ = resumed
    found = records(directory)
    check_history(found, directory)
    (run,) = found["run"]
    assert (run["run_id"], run["display_name"]) == (killed["id"], killed["name"])
    assert found["exit"][0].get("exit_code", 0) == 0
    for name in ("predictions/validation.path", "histograms/eval/rougeL.values", "histograms/eval/gen_len.values"):
        assert [row["item"]["epoch"] for row in found["history"] if name in row["item"]] == [1, 2]
    assert run["config"]["update"]["choices"]["model"] == "tiny"


def test_exploration_is_tracked_with_its_plots(command, tmp_path):
    arguments = [*TRACKED, "corpus.max_train_rows=24", "corpus.max_eval_rows=8", f"hydra.run.dir={tmp_path / 'run'}"]
    assert command("explore", *arguments) == 0
    (line,) = read_metrics(tmp_path / "run")
    found = records(tmp_path / "run")
    row = {name: value for record in found["history"] for name, value in record["item"].items()}
    assert {name: row.get(name) for name in line} == line
    for plot in ("categories", "words", "tokens"):
        drawn = (tmp_path / "run/plots" / f"{plot}.png").read_bytes()
        path = row.get(f"explore/{plot}.path") or row[f"explore/{plot}"]["path"]
        assert (log_folder(tmp_path / "run") / "files" / path).read_bytes() == drawn
    assert found["run"][0]["job_type"] == "explore"


def test_documented_sweep_composes_with_the_agents_arguments():
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    (block,) = (block for block in blocks_of(ROOT / "docs/how-to/wandb.md") if block.file == "sweep.yaml")
    sweep = yaml.safe_load("\n".join(block.lines))
    for end in ("min", "max"):
        chosen = {
            name: {"value": given.get("value", given.get(end, given.get("values", [None])[-1]))}
            for name, given in sweep["parameters"].items()
        }
        arguments = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
        program, *fixed, macro = sweep["command"]
        assert (program, macro) == ("bisum", "${args_no_hyphens}")
        config = bisum.compose([*fixed, *arguments])
        rate = sweep["parameters"]["trainer.learning_rate"][end]
        assert (config.trainer.learning_rate, config.seed, config.tracker.mode) == (rate, 3, "online")
        assert config.provenance.choices["model"] == "mt5_small"
    assert sweep["metric"] == {"name": "best/eval/rougeL", "goal": "maximize"}


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("pruned", 0), ("failed", 1), ("interrupted", 1)])
def test_pruned_run_is_not_shown_as_failed(tmp_path, status, code):
    script = (
        "from pathlib import Path; import wandb\n"
        "from bisum.trackers.wandb_tracker import WandbRun\n"
        "run = WandbRun.__new__(WandbRun); Path('wandb').mkdir()\n"
        "run._run = wandb.init(project='pruning', mode='offline', dir='.')\n"
        f"run.finish({status!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert records(tmp_path)["exit"][0].get("exit_code", 0) == code
