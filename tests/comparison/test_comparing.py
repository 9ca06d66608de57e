"""Comparison of real runs: numbers match their predictions, and runs without scores are listed with a reason."""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compared_runs import RATES, SEEDS, all_found, change, copied, record, rewrite, scores_path, texts_of, with_column
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF
from statsmodels.stats.multitest import multipletests

from bisum import compare
from bisum.comparison.result import BEST, SAME, UNTESTED, WORSE
from bisum.errors import UserError
from bisum.runs.lock import lock

FEW = {"samples": 1000}
ROUGE = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)


def rouge_of(path: Path, language: str = "", kind: str = "rougeL") -> float:
    """The mean of rouge_score over a file of predictions, in percent."""
    rows = [row for row in texts_of(path) if row["language"] == (language or row["language"])]
    return 100 * statistics.fmean(ROUGE.score(row["reference"], row["prediction"])[kind].fmeasure for row in rows)


def runs_of(folder: Path, rate: float) -> list[Path]:
    """The runs of a learning rate, by seed."""
    runs = [run for run in map(Path, sorted(map(str, folder.iterdir()))) if (run / "run.json").exists()]
    return [run for run in runs if record(run)["config"]["trainer"]["learning_rate"] == rate]


def models(comparison) -> dict:
    """The systems of all groups except baselines, by learning rate."""
    return {s.settings.get("trainer.learning_rate"): s for s in all_found(comparison) if not s.is_baseline}


@pytest.fixture(scope="module")
def compared(sweep):
    return compare(sweep, metrics=["rouge1", "words"], **FEW)


def test_runs_that_differ_in_their_seed_form_a_system_with_the_mean_rouge_score(sweep, compared):
    assert set(models(compared)) == set(RATES)
    for rate, system in models(compared).items():
        files = [scores_path(run, ".jsonl") for run in runs_of(sweep, rate)]
        assert system.seeds == SEEDS
        assert [run.run.directory for run in system.runs] == runs_of(sweep, rate)
        assert system.seed_values == pytest.approx([rouge_of(path) for path in files], abs=1e-9)
        assert system.value == pytest.approx(statistics.fmean(map(rouge_of, files)), abs=1e-9)
        assert system.metrics["rouge1"] == pytest.approx(statistics.fmean(rouge_of(p, "", "rouge1") for p in files))
        words = [len(row["prediction"].split()) for path in files for row in texts_of(path)]
        assert system.metrics["words"] == pytest.approx(
            statistics.fmean(words), rel=0.2
        )  # tokens, not blank-separated words
        for language in ("en", "es"):
            assert system.by_language[language] == pytest.approx(statistics.fmean(rouge_of(p, language) for p in files))
    lead = next(system for system in compared.systems if system.is_baseline)
    assert lead.label == "lead-2"
    assert lead.value == pytest.approx(rouge_of(sweep / "0/predictions/test-lead2.jsonl"))
    assert lead.seeds == ()


def test_best_system_is_first_and_others_are_worse_or_not_distinguishable(compared):
    values = [system.value for system in compared.systems]
    assert values == sorted(values, reverse=True)
    assert [system.number for system in compared.systems] == [1, 2, 3]
    assert compared.best is compared.systems[0]
    assert compared.best.verdict == BEST
    for system in compared.systems[1:]:
        pair = compared.groups[0].pair(1, system.number)
        assert system.verdict == (SAME if pair.p_adjusted > 0.05 else WORSE)
        assert pair.difference == pytest.approx(compared.systems[0].value - system.value)
        assert pair.low <= pair.difference <= pair.high
        assert pair.rows == 40


def test_all_pairs_are_tested_and_jointly_adjusted(compared):
    pairs = compared.groups[0].pairs
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 2), (1, 3), (2, 3)]
    adjusted = multipletests([pair.p for pair in pairs], method="holm")[1]
    assert [pair.p_adjusted for pair in pairs] == pytest.approx(adjusted)


@pytest.mark.parametrize("by", ["rougeL", "rouge1", "unicode/rougeL", "chrf", "words"])
def test_interval_of_one_seed_matches_its_run(sweep, by):
    systems = all_found(compare(sweep / "0", sweep / "2", by=by, **FEW))
    assert len(systems) == 3
    for system in systems:
        own = record(system.runs[0].run.directory)["test" if not system.is_baseline else "baseline"]
        if system.is_baseline:  # its `baseline` entry covers validation, not test
            continue
        ends = (own[f"test/{by}_low"], own[f"test/{by}_high"])
        assert (system.low, system.high) == pytest.approx(ends)


def test_chrf_matches_sacrebleu(sweep):
    comparison = compare(sweep, by="chrf", **FEW)
    for rate, system in models(comparison).items():
        rows = [texts_of(scores_path(run, ".jsonl")) for run in runs_of(sweep, rate)]
        golden = [
            CHRF().corpus_score([row["prediction"] for row in own], [[row["reference"] for row in own]]).score
            for own in rows
        ]
        assert system.seed_values == pytest.approx(golden, abs=1e-6)
    for pair in comparison.groups[0].pairs:
        first, second = (comparison.systems[number - 1] for number in (pair.first, pair.second))
        assert pair.difference == pytest.approx(first.value - second.value)


def without_runs(comparison) -> dict:
    data = comparison.to_dict()
    for system in (system for group in data["groups"] for system in group["systems"]):
        del system["runs"]
    return data


def test_copied_directories_compare_equal_in_any_order(sweep, runs, compared):
    options = {"metrics": ["rouge1", "words"], **FEW}
    assert without_runs(compare(runs, **options)) == without_runs(compared)
    (runs / "elsewhere/deep").mkdir(parents=True)
    (runs / "0").rename(runs / "elsewhere/deep/another name")
    assert without_runs(compare(runs, **options)) == without_runs(compared)
    assert without_runs(compare(*(sweep / at for at in "3120"), **options)) == without_runs(compared)
    assert without_runs(compare(str(runs), sweep / "..", **options)) != without_runs(compared)  # each run twice


def test_comparison_is_deterministic(sweep, compared):
    assert compare(sweep, metrics=["rouge1", "words"], **FEW).to_dict() == compared.to_dict()


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        ("failed", "FloatingPointError: the loss is nan", "FloatingPointError: the loss is nan"),
        ("failed", None, "no reason is recorded."),
        ("interrupted", "Ctrl-C", "Ctrl-C"),
    ],
)
def test_unfinished_run_is_listed_with_its_reason(runs, status, reason, line):
    best = record(change(runs / "1", status=status, reason=reason))["best"]
    comparison = compare(runs, **FEW)
    (other,) = comparison.others
    assert (other.directory, other.status) == (runs / "1", status)
    assert other.reason == f"{line} Best so far: eval/rougeL {best['eval/rougeL']:.2f} at epoch {best['epoch']:g}."
    assert models(comparison)[RATES[0]].seeds == (1,)


def test_lock_distinguishes_running_from_killed_runs(runs):
    for at in "01":
        change(runs / at, status="running", best=None)
    held = lock(runs / "0", "")
    try:
        others = compare(runs, **FEW).others
    finally:
        held.close()
    assert [(other.directory.name, other.status, other.reason) for other in others] == [
        ("0", "running", "the run is in progress."),
        ("1", "killed", "no process on this machine is running it."),
    ]


def test_comparison_of_unfinished_runs_has_no_systems(runs):
    for at in "0123":
        change(runs / at, status="failed", reason="why")
    comparison = compare(runs, metrics=["rouge1"], **FEW)
    assert comparison.systems == ()
    assert comparison.best is None
    assert len(comparison.others) == 4
    assert comparison.to_arrow().num_rows == 0


def test_runs_on_different_rows_form_a_separate_group_with_the_reason(sweep, evaluations):
    comparison = compare(sweep, evaluations / "fewer", **FEW)
    first, second = comparison.groups
    few = {row["id"] for row in texts_of(sorted((evaluations / "fewer/0/predictions").glob("test-epoch*.jsonl"))[0])}
    many = {row["id"] for row in texts_of(scores_path(sweep / "0", ".jsonl"))}
    assert second.why == f"20 rows were scored instead of 40 ({len(few & many)} in common)"
    assert (first.rows, second.rows) == (40, 20)
    assert {len(system.seeds) for system in second.systems if not system.is_baseline} == {1}
    assert first.why == ""


def test_same_ids_with_different_references_form_a_separate_group(runs):
    path = scores_path(runs / "0")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"bisum.rows": "0" * 64}), path)
    comparison = compare(runs, **FEW)
    assert [group.why for group in comparison.groups] == [
        "",
        "the row ids match, but the documents or references differ",
    ]
    (alone,) = [system for system in comparison.groups[1].systems if not system.is_baseline]
    assert alone.runs[0].run.directory == runs / "0"


def test_different_metric_settings_separate_groups_only_for_its_score(runs):
    for at in "01":
        metric = record(runs / at)["config"]["metric"]["chrf"]
        change(runs / at, config__metric__chrf={**metric, "beta": 1})
    assert [group.why for group in compare(runs, by="chrf", **FEW).groups] == [
        "",
        "the score was computed with different settings",
    ]
    assert len(compare(runs, by="rougeL", **FEW).groups) == 1


def test_rows_of_one_language_are_compared(sweep):
    comparison = compare(sweep, language="es", **FEW)
    for rate, system in models(comparison).items():
        files = [scores_path(run, ".jsonl") for run in runs_of(sweep, rate)]
        assert system.value == pytest.approx(statistics.fmean(rouge_of(path, "es") for path in files))
    assert {pair.rows for pair in comparison.groups[0].pairs} == {20}
    assert comparison.groups[0].languages == {"es": 20}


def test_validation_scores_are_compared_on_request(sweep, runs):
    comparison = compare(sweep, split="validation", **FEW)
    for rate, system in models(comparison).items():
        best = [record(run)["best"]["eval/rougeL"] for run in runs_of(sweep, rate)]
        assert system.seed_values == tuple(best)
    assert comparison.notes == ()
    with pytest.raises(UserError, match="split: "):
        compare(sweep, split="dev")


def test_lowest_loss_ranks_first_and_is_not_tested(sweep):
    comparison = compare(sweep, by="loss", **FEW)
    golden = {
        rate: statistics.fmean(record(run)["test"]["test/loss"] for run in runs_of(sweep, rate)) for rate in RATES
    }
    assert [system.value for system in comparison.systems] == sorted(golden.values())
    assert [system.verdict for system in comparison.systems] == [BEST, UNTESTED]
    assert comparison.groups[0].pairs == ()
    assert comparison.best.settings["trainer.learning_rate"] == min(golden, key=golden.get)


def test_score_without_a_direction_has_no_best(sweep):
    comparison = compare(sweep, by="words", **FEW)
    assert comparison.best is None
    assert BEST not in {system.verdict for system in comparison.systems}


def test_score_missing_for_lead_k_ranks_only_models(sweep):
    comparison = compare(sweep, by="at_limit", **FEW)
    assert {system.is_baseline for system in comparison.systems} == {False}
    assert len(comparison.groups[0].pairs) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "rougel"}, "by: no run has the score 'rougel', did you mean 'rougeL'? (valid: "),
        ({"by": "test/rougeL"}, "by: 'test/rougeL' includes a split or a language; use by=rougeL"),
        ({"by": "eval/es/chrf"}, "by: 'eval/es/chrf' includes a split or a language; use by=chrf language=es"),
        ({"metrics": ["rougeL", "bleu"]}, "metrics: no run has the score 'bleu'"),
        ({"language": "fr"}, "language: no run has scored rows in 'fr' (valid: en, es)"),
        ({"samples": 10}, "samples: expected a whole number >= 1000, not 10"),
    ],
)
def test_invalid_option_is_reported_with_valid_values(sweep, options, message):
    with pytest.raises(UserError) as raised:
        compare(sweep, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_paths_are_reported():
    with pytest.raises(UserError, match="compare: give run directories"):
        compare()


def test_repeated_seed_becomes_a_separate_system_labelled_by_its_run(runs):
    copied(runs / "0", runs / "again")
    change(runs / "again", started="2099-01-01T00:00:00+00:00")
    comparison = compare(runs, **FEW)
    assert set(comparison.keys) == {"run", "trainer.learning_rate"}
    by_runs = {tuple(run.run.directory.name for run in system.runs): system for system in comparison.systems}
    assert by_runs["0", "1"].seeds == (1, 2)
    assert by_runs[("again",)].seeds == (1,)
    assert by_runs[("again",)].label.endswith("run=runs/again")
    assert "run" not in by_runs["2", "3"].settings


def test_equal_systems_are_noted(runs):
    shutil.rmtree(runs / "1")
    copied(runs / "0", runs / "other")
    change(runs / "other", config__trainer__learning_rate=0.5)
    comparison = compare(runs, **FEW)
    equal = sorted(models(comparison)[rate].number for rate in (RATES[0], 0.5))
    assert comparison.groups[0].equal == (tuple(equal),)
    pair = comparison.groups[0].pair(*equal)
    assert (pair.difference, pair.low, pair.high, pair.p) == (0, 0, 0, 1)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    match how:
        case "empty":
            path.touch()
        case "truncated":
            path.write_bytes(content[:-200])
        case "other bytes":
            path.write_bytes(content[:4] + b"\xff" * 3000 + content[3004:])
        case "text":
            path.write_text("id,language\n", "utf-8")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)


@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "other bytes", "text", "folder", "pipe"])
def test_run_without_readable_row_scores_is_shown_but_not_tested(runs, how):
    damaged(scores_path(runs / "3"), how)
    comparison = compare(runs, **FEW)
    (note,) = comparison.notes
    assert str(scores_path(runs / "3")) in note
    assert note.endswith("the recorded score is shown but not tested")
    first, second = comparison.groups
    assert second.why == "row scores are missing"
    (alone,) = [system for system in second.systems if not system.is_baseline]
    assert alone.value == record(runs / "3")["test"]["test/rougeL"]
    assert (alone.low, alone.rows) == (None, 0)
    assert sorted(len(system.seeds) for system in first.systems) == [0, 1, 2]
    assert len(first.pairs) == 3


EDITS = {
    "fewer rows": lambda table: table.slice(0, 20),
    "rows twice": lambda table: pa.concat_tables([table, table]),
    "another order": lambda table: table.take(list(range(39, -1, -1))),
    "other ids": with_column("id", [str(at) for at in range(40)]),
    "repeated ids": with_column("id", ["a"] * 40),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_rows_are_paired_only_with_identical_rows(runs, edit):
    rewrite(runs / "0", edit)  # the fingerprint stays the same
    comparison = compare(runs, **FEW)
    alone = next(
        s for s in all_found(comparison) if [run.run.directory for run in s.runs] == [runs / "0"] and not s.is_baseline
    )
    assert alone not in comparison.systems
    assert comparison.groups[1].why
    intact = models(compare(runs / "1", runs / "2", runs / "3", **FEW))
    assert [s.value for s in comparison.systems if not s.is_baseline] == [s.value for s in intact.values()]


UNFIT = {
    "no ids": lambda table: table.drop(["id"]),
    "no languages": lambda table: table.drop(["language"]),
    "numbers as ids": with_column("id", list(range(40))),
    "null as an id": with_column("id", [None] * 40),
    "null as a language": with_column("language", pa.nulls(40, pa.string())),
    "texts as scores": with_column("rougeL", ["40.0"] * 40),
    "lists as scores": with_column("rougeL", [[0.5, 0.5]] * 40),
    "flags as scores": with_column("rougeL", [True] * 40),
    "a column twice": lambda table: table.append_column("rougeL", table["rougeL"]),
    "no rows": lambda table: table.slice(0, 0),
}


@pytest.mark.parametrize("edit", UNFIT.values(), ids=UNFIT)
def test_malformed_table_is_noted(runs, edit):
    rewrite(runs / "0", edit)
    comparison = compare(runs, **FEW)
    assert [str(scores_path(runs / "0")) in note for note in comparison.notes] == [True]
    assert comparison.groups[1].why == "row scores are missing"


COUNTS = {
    "unequal": [[1.0]] * 20 + [[1.0, 2.0]] * 20,
    "fewer": [[1.0]] * 40,
    "none": pa.array([[]] * 40, pa.list_(pa.float64())),
    "texts": [["a"]] * 40,
    "lists": [[[1.0]]] * 40,
    "numbers": [1.0] * 40,
}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_malformed_counts_are_noted_and_other_runs_are_compared(runs, counts):
    rewrite(runs / "3", with_column("chrf", counts))
    comparison = compare(runs, by="chrf", **FEW)
    assert any(str(runs / "3") in note and note.endswith("not tested") for note in comparison.notes)
    assert models(comparison)[RATES[0]].low is not None


def recorded(run, name, value):
    """Change a recorded score of the test split."""
    entries = record(run)
    entries["test"][name] = value
    (run / "run.json").write_text(json.dumps(entries), "utf-8")


def test_recorded_score_that_contradicts_its_rows_is_noted_and_not_tested(runs):
    recorded(runs / "0", "test/rougeL", 99.0)
    comparison = compare(runs, **FEW)
    edited = models(comparison)[RATES[0]]
    assert edited.verdict in (BEST, UNTESTED)
    assert not any(edited.number in (pair.first, pair.second) for pair in comparison.groups[0].pairs)
    assert any("the recorded rougeL is 99, but its rows give" in note for note in comparison.notes)


def test_rows_without_a_number_are_excluded_from_tests(runs):
    values = pq.read_table(scores_path(runs / "0"))["rougeL"].to_pylist()
    rewrite(runs / "0", with_column("rougeL", [math.nan, math.inf, -math.inf, None, *values[4:]]))
    recorded(runs / "0", "test/rougeL", 100 * statistics.fmean(values[4:]))
    comparison = compare(runs, **FEW)
    edited, other = models(comparison)[RATES[0]], models(comparison)[RATES[1]]
    assert (edited.rows, other.rows) == (36, 40)
    group = comparison.groups[0]
    assert group.pair(edited.number, other.number).rows == 36
    lead = next(system for system in group.systems if system.is_baseline)
    assert group.pair(lead.number, other.number).rows == 40
    numbers = [number for pair in group.pairs for number in (pair.difference, pair.low, pair.high, pair.p)]
    assert np.isfinite(numbers).all()


def test_non_numeric_counts_exclude_their_row(runs):
    counts = pq.read_table(scores_path(runs / "0"))["chrf"].to_pylist()
    rest = CHRF(eps_smoothing=False)._compute_f_score(np.sum(counts[3:], axis=0).tolist())
    recorded(runs / "0", "test/chrf", rest)
    counts[0][0], counts[1][3], counts[2] = None, math.inf, None
    rewrite(runs / "0", with_column("chrf", counts))
    comparison = compare(runs, by="chrf", **FEW)
    edited = models(comparison)[RATES[0]]
    assert edited.rows == 37
    assert {pair.rows for pair in comparison.groups[0].pairs if edited.number in (pair.first, pair.second)} == {37}
    assert 0 <= edited.low <= edited.high <= 100


def test_run_without_any_numeric_row_is_not_tested(runs):
    for at in "01":
        rewrite(runs / at, with_column("rougeL", [math.nan] * 40))
    comparison = compare(runs, **FEW)
    assert models(comparison)[RATES[0]].verdict == UNTESTED
    assert models(comparison)[RATES[0]].value == pytest.approx(
        statistics.fmean(record(runs / at)["test"]["test/rougeL"] for at in "01")
    )
    assert len(comparison.groups[0].pairs) == 1


def test_many_systems_are_tested_only_against_the_best(sweep, tmp_path):
    generator = np.random.default_rng(0)
    lead = pq.read_table(sweep / "0/predictions/test-lead2.scores.parquet")["rougeL"].to_numpy()
    for at in range(25):
        run = change(copied(sweep / "0", tmp_path / f"many/{at}"), config__trainer__learning_rate=at + 1.0)
        values = np.clip(lead * (0.5 + at / 50) + generator.normal(0, 0.02, 40), 0, 1)
        rewrite(run, with_column("rougeL", values))
        recorded(run, "test/rougeL", 100 * float(values.mean()))
    (group,) = compare(tmp_path / "many", **FEW).groups
    assert len(group.systems) == 26
    assert [(pair.first, pair.second) for pair in group.pairs] == [(1, second) for second in range(2, 27)]
    # The best is selected by these scores, so pairs without it count too.
    every = [*(pair.p for pair in group.pairs), *[1.0] * (26 * 25 // 2 - 25)]
    assert [pair.p_adjusted for pair in group.pairs] == pytest.approx(multipletests(every, method="holm")[1][:25])
    assert group.tests == 26 * 25 // 2
    assert group.systems[-1].verdict == WORSE
    assert group.systems[0].verdict == BEST


def test_too_few_rows_are_not_tested(runs):
    for at in "0123":
        rewrite(runs / at, lambda table: table.slice(0, 9))
    for at in "0123":
        rewrite(runs / at, lambda table: table.slice(0, 9), runs / at / "predictions/test-lead2.scores.parquet")
    comparison = compare(runs, **FEW)
    (group,) = comparison.groups
    assert group.rows == 9
    assert group.pairs == ()
    assert {system.low for system in group.systems} == {None}
    assert [system.verdict for system in group.systems] == [BEST, UNTESTED, UNTESTED]
    assert [system.value for system in group.systems] == [s.value for s in compare(runs, by="rougeL", **FEW).systems]


def test_single_system_is_not_tested(baseline, sweep):
    comparison = compare(baseline, **FEW)
    (system,) = comparison.systems
    assert system.label == "lead-1"
    assert system.value == pytest.approx(rouge_of(baseline / "predictions/test-lead1.jsonl"))
    assert comparison.groups[0].pairs == ()
    recorded = record(baseline)["baseline"]
    assert (system.low, system.high) == pytest.approx(
        (recorded["baseline/rougeL_low"], recorded["baseline/rougeL_high"])
    )


def test_baseline_runs_are_compared_with_training_runs(baseline, sweep):
    comparison = compare(baseline, sweep, **FEW)
    assert len(comparison.groups) == 1
    assert {system.label for system in comparison.systems if system.is_baseline} == {"lead-1", "lead-2"}
    assert len(comparison.groups[0].pairs) == 6


def test_evaluation_of_a_run_matches_its_training_scores(sweep, evaluations):
    comparison = compare(sweep / "0", sweep / "2", evaluations / "same", **FEW)
    by_job = {
        (s.settings["job"], s.settings["trainer.learning_rate"]): s for s in all_found(comparison) if not s.is_baseline
    }
    for rate in RATES:
        assert by_job["evaluate", rate].value == by_job["train", rate].value
        first, second = sorted((by_job["evaluate", rate].number, by_job["train", rate].number))
        assert (first, second) in comparison.groups[0].equal


def test_explorations_are_skipped_with_a_note(runs):
    change(runs / "0", job="explore")
    comparison = compare(runs, **FEW)
    assert comparison.notes[0] == "1 bisum explore run skipped"
    assert models(comparison)[RATES[0]].seeds == (2,)


@pytest.mark.parametrize("by", ["rougeL", "chrf"])
def test_no_heavy_library_is_imported(sweep, by):
    heavy = {"torch", "transformers", "datasets", "accelerate", "wandb", "jinja2", "optuna", "bisum.config.composition"}
    code = (
        f"import sys, bisum; bisum.compare({str(sweep)!r}, by={by!r}, samples=1000); "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_result_converts_to_plain_data_and_tables(compared):
    data = json.loads(json.dumps(compared.to_dict(), allow_nan=False))
    assert data == compared.to_dict()
    table = compared.to_arrow()
    assert table.num_rows == len(compared.systems)
    assert table["number"].to_pylist() == [1, 2, 3]
    assert table["value"].to_pylist() == [system.value for system in compared.systems]
    assert table["rougeL es"].to_pylist() == [system.by_language["es"] for system in compared.systems]
    assert table["rouge1"].to_pylist() == [system.metrics["rouge1"] for system in compared.systems]
    assert table["trainer.learning_rate"].to_pylist().count(None) == 1
    pairs = compared.pairs_to_arrow()
    assert pairs["p"].to_pylist() == [pair.p for pair in compared.groups[0].pairs]


def test_table_has_the_languages_of_all_groups(sweep, runs):
    only = runs / "0"
    rewrite(only, with_column("language", ["fr"] * 40))
    entries = record(only)
    entries["test"] |= {"test/fr/rougeL": 12.5, "test/fr/rouge1": 1.0}
    (only / "run.json").write_text(json.dumps(entries), "utf-8")
    table = compare(runs, **FEW).to_arrow()
    assert table["rougeL fr"].to_pylist().count(12.5) == 1
    assert table["rougeL es"].null_count < table.num_rows


@pytest.mark.parametrize(
    "entries",
    [
        {"test": {"checkpoint": "epoch-2", "test/rougeL": math.nan}},
        {"test": {"checkpoint": "epoch-2", "test/rougeL": 10**400}},
        {"test": {"checkpoint": "epoch-2"}},
        {"scores": {}},
    ],
    ids=["nan", "huge", "none", "no descriptions"],
)
def test_run_without_a_score_is_listed(runs, entries):
    change(runs / "0", **entries)
    comparison = compare(runs, **FEW)
    assert [(other.directory, other.reason) for other in comparison.others] == [
        (runs / "0", "has no rougeL score on test")
    ]


def test_record_without_score_descriptions_does_not_stop_the_comparison(runs):
    entries = record(runs / "0")
    del entries["scores"]
    (runs / "0/run.json").write_text(json.dumps(entries), "utf-8")
    assert len(compare(runs, **FEW).others) == 1


def test_unusual_settings_are_accepted(runs):
    nested: object = 1
    for _ in range(300):
        nested = {"a": nested}
    change(runs / "0", config__seed=10**30, config__model__prefix="\ud800", config__x=nested)
    change(runs / "1", config__trainer__learning_rate=math.nan, config__evaluation__lead="../../x")
    comparison = compare(runs, **FEW)
    assert len(all_found(comparison)) >= 4
    assert comparison.to_arrow().num_rows == len(all_found(comparison))


def test_folder_with_a_non_utf_8_name_is_compared(runs):
    (runs / "0").rename(runs / os.fsdecode(b"se\xf1al"))
    comparison = compare(runs, **FEW)
    assert models(comparison)[RATES[0]].seeds == SEEDS
    assert comparison.notes == ()
    assert any(run.endswith("se\\udcf1al") for own in comparison.to_arrow()["runs"].to_pylist() for run in own)


def test_files_outside_the_run_directory_are_not_read(runs):
    path = scores_path(runs / "0")
    path.rename(runs / "elsewhere.parquet")
    path.symlink_to(runs / "elsewhere.parquet")
    comparison = compare(runs, **FEW)
    assert comparison.notes == (
        f"'{path}' links outside the run directory; the recorded score is shown but not tested",
    )
    # A value in the record becomes part of a path.
    shutil.copytree(runs / "1/predictions", runs / "secret")
    change(runs / "2", config__evaluation__lead="/../../../secret/test-lead2")
    assert not any("secret" in run.lead for system in compare(runs, **FEW).systems for run in system.runs)


def test_baseline_on_different_rows_is_not_tested(runs):
    path = runs / "0/predictions/test-lead2.scores.parquet"
    rewrite(runs / "0", lambda table: table.slice(0, 30), path)
    comparison = compare(runs / "0", runs / "1", runs / "2", **FEW)
    assert comparison.notes == (f"lead-2 of '{runs / '0'}' was scored on different rows; it is shown but not tested",)
    (lead,) = (system for system in comparison.systems if system.is_baseline)
    assert lead.runs[0].run.directory == runs / "1"  # it scored lead-2 on the same rows
    alone = compare(runs / "0", **FEW)
    assert [system.low for system in alone.systems if system.is_baseline] == [None]
    assert alone.groups[0].pairs == ()
