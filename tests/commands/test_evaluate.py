"""`bisum evaluate` reproduces the recorded scores of a training run, and rouge_score's difference to lead-k."""

import json
import random
import statistics

import punkt
import pytest
from rouge_score.rouge_scorer import RougeScorer

from bisum.commands import evaluate
from bisum.config.composition import Composer
from bisum.config.jobs import configure


def record(directory):
    return json.loads((directory / "run.json").read_text("utf-8"))


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def under(prefix, metrics):
    return {name: value for name, value in metrics.items() if name.startswith(f"{prefix}/")}


@pytest.fixture
def evaluated(call_bisum, trained, tmp_path):
    """Evaluate the trained run, as `evaluated(*arguments)`; returns the finished command and its run directory."""

    def run(*arguments):
        done = call_bisum("evaluate", str(trained), "hydra.run.dir=evaluated", *arguments)
        assert done.code == 0, done.err
        return done, tmp_path / "evaluated"

    return run


def test_scores_of_the_test_split_match_training(evaluated, trained):
    done, directory = evaluated()
    recorded, training = record(directory), record(trained)
    evaluation, best = recorded["evaluation"], training["test"]["checkpoint"]
    assert (recorded["status"], recorded["job"]) == ("finished", "evaluate")
    assert evaluation["run"] == str(trained)
    assert evaluation["checkpoint"] == str(trained / "checkpoints" / best)
    assert (evaluation["split"], evaluation["rows"]) == ("test", 40)
    assert len(under("test", evaluation)) > 100
    assert evaluation["test/rougeL"] > 0
    assert under("test", evaluation) == under("test", training["test"])
    assert under("baseline", recorded["baseline"]) == under("baseline", training["test"])
    assert under("difference", evaluation) == under("difference", training["test"])
    assert len(under("difference", evaluation)) == 96
    for name in (f"test-{best}.jsonl", "test-lead2.jsonl"):
        assert lines(directory / "predictions" / name) == lines(trained / "predictions" / name)

    (line,) = lines(directory / "metrics.jsonl")
    for prefix, of in (("test", evaluation), ("difference", evaluation), ("baseline", recorded["baseline"])):
        assert under(prefix, line) == under(prefix, of)
    assert all(len(shown) <= 80 for shown in done.out.partition("\nrun directory  ")[0].splitlines())
    assert done.out.count("reference ") == 2  # evaluation.shown_summaries: one row of each language


@pytest.mark.parametrize("checkpoint", ["epoch-1", "epoch-2"])
def test_validation_scores_of_a_checkpoint_match_its_epoch(call_bisum, trained, tmp_path, checkpoint):
    run = trained / "checkpoints" / checkpoint
    done = call_bisum("evaluate", str(run), "split=validation", "hydra.run.dir=evaluated")
    assert done.code == 0, done.err
    epoch = float(checkpoint.removeprefix("epoch-"))
    (line,) = (line for line in lines(trained / "metrics.jsonl") if "eval/loss" in line and line["epoch"] == epoch)
    evaluation = record(tmp_path / "evaluated")["evaluation"]
    assert under("eval", evaluation) == under("eval", line)
    for kept in ("best", "last"):
        training = record(trained)[kept]
        assert training["epoch"] != epoch or under("difference", evaluation) == under("difference", training)
    assert not under("test", evaluation)


def test_difference_from_lead_k_matches_rouge_score(evaluated):
    done, directory = evaluated()
    evaluation = record(directory)["evaluation"]
    checkpoint = evaluation["checkpoint"].rpartition("/")[2]
    files = [directory / "predictions" / name for name in (f"test-{checkpoint}.jsonl", "test-lead2.jsonl")]
    scorer, names = RougeScorer(["rougeL"], use_stemmer=True), {"en": "english", "es": "spanish"}

    def rouge(row):
        texts = [
            "\n".join(punkt.sent_tokenize(row[key], names[row["language"]])) for key in ("reference", "prediction")
        ]
        return 100 * scorer.score(*texts)["rougeL"].fmeasure

    apart = {
        (ours["id"], ours["language"]): rouge(ours) - rouge(theirs)
        for ours, theirs in zip(*map(lines, files), strict=True)
        if ours["id"] == theirs["id"]
    }
    assert len(apart) == 40
    for infix, rows in {
        "": list(apart.values()),
        "en/": [value for (_, language), value in apart.items() if language == "en"],
    }.items():
        key = f"difference/{infix}rougeL"
        assert evaluation[key] == pytest.approx(statistics.fmean(rows))
        generator = random.Random(7)
        means = [statistics.fmean(generator.choices(rows, k=len(rows))) for _ in range(2000)]
        cuts = statistics.quantiles(means, n=40)
        width = cuts[-1] - cuts[0]
        assert evaluation[f"{key}_low"] == pytest.approx(cuts[0], abs=0.1 * width)
        assert evaluation[f"{key}_high"] == pytest.approx(cuts[-1], abs=0.1 * width)
    low, high = (f"{evaluation[f'difference/rougeL_{end}']:.2f}" for end in ("low", "high"))
    below = f"{abs(evaluation['difference/rougeL']):.2f}"
    assert f"\nall: ROUGE-L is {below} below lead-2 (95% interval {low} to {high}): worse\n" in done.out


def test_function_accepts_a_configuration_and_returns_rouge_l(trained, tmp_path):
    arguments = [f"run={trained}", "languages=[es]", "tracker=none", "corpus.max_eval_rows=10"]
    rouge = evaluate.run(configure(Composer("evaluate"), arguments), tmp_path / "evaluated")
    evaluation = record(tmp_path / "evaluated")["evaluation"]
    assert rouge == evaluation["test/rougeL"] == evaluation["test/es/rougeL"]
    assert evaluation["rows"] == 10


def test_file_of_test_rows_is_enough(evaluated, tmp_path):
    rows = [
        {"document": f"Un juego de cartas número {n}.", "summary": "juego de cartas", "lang": "es"} for n in range(12)
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done, directory = evaluated("corpus=files", "corpus.test=test.jsonl", "languages=[es]", "filter=[]")
    evaluation = record(directory)["evaluation"]
    assert (evaluation["split"], evaluation["rows"]) == ("test", 12)
    assert record(directory)["data"]["rows"].keys() == {"test"}
    assert "train es" not in done.out


def test_training_rows_are_scored_on_demand(evaluated, trained):
    _, directory = evaluated("split=train", "corpus.max_train_rows=16")
    evaluation = record(directory)["evaluation"]
    assert (evaluation["split"], evaluation["rows"]) == ("train", 16)
    assert under("eval", evaluation)["eval/loss"] < record(trained)["test"]["test/loss"]


def test_quiet_shows_only_the_scores(evaluated):
    done, _ = evaluated("log=quiet")
    assert done.out.startswith("\ntest, 40 rows: epoch-")
    assert done.out.count("ROUGE-L is") == 3


def test_without_a_run_the_starter_is_scored(call_bisum, tmp_path):
    done = call_bisum("evaluate", "corpus.max_eval_rows=8", "evaluation.bootstrap_samples=100", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert "starter (pkg://bisum.assets.starter), 2.7 M parameters" in done.out
    recorded = record(tmp_path / "run")
    evaluation = recorded["evaluation"]
    assert (evaluation["checkpoint"], evaluation["run"]) == ("pkg://bisum.assets.starter", None)
    assert (evaluation["model"], evaluation["rows"]) == ("starter, t5, 2.7 M", 8)
    assert recorded["choices"]["model"] == "starter"
    assert len(lines(tmp_path / "run/predictions/test-starter.jsonl")) == 8
