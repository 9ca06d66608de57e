"""`bisum evaluate` reproduces the recorded scores of a training run, and rouge_score's difference to lead-k."""

import json
import random
import shutil
import statistics

import punkt
import pytest
from rouge_score.rouge_scorer import RougeScorer

from bisum import Summarizer
from bisum.commands import evaluate
from bisum.config.composition import Composer
from bisum.config.jobs import configure
from bisum.evaluation.generation import encode_texts, generate
from bisum.evaluation.windows import split_documents


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
    assert "starter (pkg://bisum.assets.starter), 5.4 M parameters" in done.out
    recorded = record(tmp_path / "run")
    evaluation = recorded["evaluation"]
    assert (evaluation["checkpoint"], evaluation["run"]) == ("pkg://bisum.assets.starter", None)
    assert (evaluation["model"], evaluation["rows"]) == ("starter, t5, 5.4 M", 8)
    assert recorded["choices"]["model"] == "starter"
    assert len(lines(tmp_path / "run/predictions/test-starter.jsonl")) == 8


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("null", "no sequence of 3 tokens is repeated in a summary (set by the checkpoint)"),
        ("2", "> generation.no_repeat_ngram_size: 2 replaces the checkpoint's own 3"),
        ("0", "> generation.no_repeat_ngram_size: 0 replaces the checkpoint's own 3"),
        ("3", None),
    ],
)
def test_the_checkpoints_ban_of_ngrams_is_shown(size, line, call_bisum):
    rows = ["corpus.max_eval_rows=2", "evaluation.bootstrap_samples=100", "tracker=none", "hydra.run.dir=run"]
    out = call_bisum("evaluate", *rows, f"generation.no_repeat_ngram_size={size}").out
    shown = [text for text in out.splitlines() if "no_repeat_ngram_size" in text or "no sequence" in text]
    assert shown == ([line] if line else [])


LIMIT = "model.max_document_tokens=48"
CHUNK = "model.long_documents=chunk"


@pytest.mark.parametrize("combined", ["summarize", "join"])
def test_long_documents_are_summarized_in_windows(evaluated, trained, combined):
    arguments = [LIMIT, CHUNK, f"model.chunk_summaries={combined}"]
    done, directory = evaluated(*arguments)
    recorded = record(directory)
    rows = lines(directory / "predictions" / f"{recorded['evaluation']['predictions']}.jsonl")
    (original,) = (trained / "predictions").glob("test-epoch-*.jsonl")
    assert [{**row, "prediction": ""} for row in rows] == [{**row, "prediction": ""} for row in lines(original)]
    texts, languages = [row["document"] for row in rows], [row["language"] for row in rows]
    summarizer = Summarizer(trained, arguments)
    assert [row["prediction"] for row in rows] == summarizer(texts, languages)

    windows = [of.texts for of in split_documents(summarizer.loaded, texts, languages)]
    long = [of for of in windows if len(of) > 1]
    counts = {"documents": len(long), "windows": sum(map(len, long)), "rows": 40}
    assert 0 < counts["documents"] < 40
    assert recorded["split"] == {"test": counts}
    assert recorded["cut"]["test"]["documents"] == 0
    share = f"{len(long) / 40:.1%}"
    shown = f"split: {len(long)} of 40 documents into {counts['windows']} windows of up to 48 tokens ({share})"
    assert shown in done.out.splitlines()
    assert "documents at" not in done.out

    if combined == "join":
        flat = [text for of in windows for text in of]
        codes = [code for of, code in zip(windows, languages, strict=True) for _ in of]
        split = encode_texts(summarizer.loaded, flat, codes)
        batches = generate(summarizer.loaded, split, summarizer.config.generation, 7, scored=False)
        tokens = sum(length for batch in batches for length in batch.lengths)
        assert recorded["evaluation"]["test/gen_len"] == pytest.approx(tokens / 40)
    else:
        assert recorded["evaluation"]["test/gen_len"] <= 12


def test_loss_of_long_documents_is_that_of_their_beginnings(call_bisum, trained, tmp_path):
    for name in ("truncate", "chunk"):
        arguments = [LIMIT, f"model.long_documents={name}", f"hydra.run.dir={name}"]
        assert call_bisum("evaluate", str(trained), *arguments).code == 0
    truncated, chunked = (record(tmp_path / name)["evaluation"] for name in ("truncate", "chunk"))
    assert chunked["test/loss"] == pytest.approx(truncated["test/loss"], rel=1e-5)
    assert chunked["test/rouge1"] != truncated["test/rouge1"]
    assert "split" not in record(tmp_path / "truncate")
    compared = json.loads(call_bisum("compare", "truncate", "chunk", "format=json").out)
    assert compared["keys"] == ["model.long_documents"]
    labels = {system["label"] for system in compared["groups"][0]["systems"]}
    assert labels == {"long_documents=truncate", "long_documents=chunk", "lead-2"}


def test_windows_and_fixed_shapes_are_refused_together(call_bisum, trained, tmp_path):
    done = call_bisum("evaluate", str(trained), CHUNK, "hardware.length_buckets=2", "hydra.run.dir=run")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("bisum: model.long_documents: chunk does not support fixed shapes; use hardware=cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("job", ["train", "evaluate"])
def test_records_from_before_the_key_are_runs_that_cut_documents(call_bisum, trained, tmp_path, job):
    shutil.copytree(trained, tmp_path / "run")
    if job == "evaluate":
        assert call_bisum("evaluate", "run", "hydra.run.dir=old").code == 0
    older = tmp_path / ("run" if job == "train" else "old")
    kept = record(older)
    for key in ("long_documents", "chunk_summaries", "trim_vocabulary"):
        del kept["config"]["model"][key]
    for key in ("engine", "quantization"):
        del kept["config"]["generation"][key]
    (older / "run.json").write_text(json.dumps(kept), "utf-8")
    done = call_bisum("evaluate", "run", CHUNK, LIMIT, "hydra.run.dir=chunked")
    assert done.code == 0, done.err
    assert call_bisum("evaluate", "run", LIMIT, "hydra.run.dir=truncated").code == 0
    assert record(tmp_path / "truncated")["config"]["model"]["long_documents"] == "truncate"
    if job == "evaluate":
        compared = json.loads(call_bisum("compare", "old", "chunked", "truncated", "format=json").out)
        assert set(compared["keys"]) == {"model.max_document_tokens", "model.long_documents"}
    else:
        done = call_bisum("resume=run")
        assert (done.code, done.err) == (0, "")
        assert "this run is finished" in done.out
