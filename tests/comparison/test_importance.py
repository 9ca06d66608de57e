"""Importance of settings, against Optuna's evaluator and hand calculations; none if it would be uninformative."""

import itertools
import json
import math
import random
import re
import subprocess
import sys
import warnings

import numpy as np
import optuna
import pytest
from compared_runs import change, copied, record, rewrite, with_column
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bisum import compare
from bisum.comparison.comparing import compared
from bisum.comparison.details import report_data
from bisum.comparison.formats import as_csv, as_data, as_markdown
from bisum.comparison.importance import FEWEST_SYSTEMS, importance_of
from bisum.comparison.report import html_report
from bisum.comparison.tables import report
from bisum.config.checking import build
from bisum.config.options import CompareOptions
from bisum.display.console import Console
from bisum.interfaces.defaults import defaults_of

FEW = {"samples": 1000}
MISSING = "importance needs optuna: pip install 'bisum[search]'"
RATES, BEAMS = (0.001, 0.003, 0.01, 0.03), (1, 2, 4)


def importance(systems, values, higher=True, notes=None):
    keys = list(dict.fromkeys(key for settings in systems for key in settings))
    return importance_of(systems, values, keys, higher, [] if notes is None else notes)


def golden(distributions, systems, values, direction="maximize"):
    """Shares from a study built here, with the better half of its trials."""
    study = optuna.create_study(direction=direction)
    for params, value in zip(systems, values, strict=True):
        own = {key: distributions[key] for key in params}
        study.add_trial(optuna.create_trial(params=params, distributions=own, value=value))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.5)
    return optuna.importance.get_param_importances(study, evaluator=evaluator, params=[*distributions])


MIXED = [
    {"rate": 10 ** -(1 + at % 4), "beams": 1 + at % 3, "trainer": "ab"[at // 6], "penalty": 0.25 * (at % 5)}
    for at in range(12)
]
RANGES = {
    "rate": FloatDistribution(1e-4, 0.1, log=True),
    "beams": IntDistribution(1, 3),
    "trainer": CategoricalDistribution(["a", "b"]),
    "penalty": FloatDistribution(0, 1),
}
SCORES = [30.1, 22.5, 31.0, 19.7, 28.8, 25.0, 33.3, 21.2, 30.9, 18.1, 29.5, 26.6]


@pytest.mark.parametrize(("higher", "direction"), [(True, "maximize"), (False, "minimize")])
def test_shares_match_optuna(higher, direction):
    found = importance(MIXED, SCORES, higher)
    assert dict(found.shares) == pytest.approx(golden(RANGES, MIXED, SCORES, direction))
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert (found.systems, found.left_out) == (12, ())


def divergence(better: list[int], every: list[int]) -> float:
    """The Pearson divergence of two categorical distributions from their counts, as PED-ANOVA defines it.

    Each density is a mixture of a kernel for each observed value, weighted by its count, and of a uniform prior. A
    kernel is 1 at its value, plus a share of the prior everywhere, and is scaled to sum to 1.
    """

    def density(counts: list[int]) -> np.ndarray:
        observed = [value for value, count in enumerate(counts) if count]
        kernels = len(observed) + 1
        total = np.full(len(counts), 1 / len(counts))
        for value in observed:
            kernel = np.full(len(counts), 1 / kernels)
            kernel[value] += 1
            total += counts[value] * kernel / kernel.sum()
        return total / (sum(counts) + 1)

    top, all_ = density(better), density(every)
    return float((all_ * (top / all_ - 1) ** 2).sum())


def test_shares_match_a_hand_calculation():
    systems = [{"trainer": a, "model": b} for a, b in zip("aaabbbbb", "xyzxyzxy", strict=True)]
    values = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]  # the better half: aaab, xyzx
    trainer, model = divergence([3, 1], [3, 5]), divergence([2, 1, 1], [3, 3, 2])
    found = importance(systems, values)
    assert dict(found.shares) == pytest.approx(
        {"trainer": trainer / (trainer + model), "model": model / (trainer + model)}
    )


@pytest.mark.parametrize("decisive", ["rate", "beams", "trainer"])
def test_setting_that_determines_the_score_has_nearly_all_importance(decisive):
    values = {"rate": [1e-5, 1e-4, 1e-3, 1e-2], "beams": [1, 2, 4, 8], "trainer": ["a", "b", "c", "d"]}
    systems = [dict(zip(values, own, strict=True)) for own in itertools.product(*values.values())]
    noise = random.Random(0)
    scores = [10 * values[decisive].index(system[decisive]) + noise.random() for system in systems]
    assert importance(systems, scores).shares[decisive] > 0.9


def test_shares_are_independent_of_order_and_optuna_keeps_its_verbosity():
    verbosity = optuna.logging.get_verbosity()
    pairs = list(zip(MIXED, SCORES, strict=True))
    random.Random(1).shuffle(pairs)
    first = importance(MIXED, SCORES)
    assert importance(MIXED, SCORES) == first
    assert dict(importance(*zip(*pairs, strict=True)).shares) == pytest.approx(dict(first.shares))
    assert optuna.logging.get_verbosity() == verbosity


def test_optuna_logs_and_warns_nothing(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importance([{**system, "only": 0.5 + at} for at, system in enumerate(MIXED)], SCORES)
    assert capfd.readouterr() == ("", "")


UNINFORMATIVE = {
    "too few systems": (MIXED[: FEWEST_SYSTEMS - 1], SCORES[: FEWEST_SYSTEMS - 1], True),
    "too few for their settings": ([{**s, "x": at, "y": -at} for at, s in enumerate(MIXED[:11])], SCORES[:11], True),
    "one setting": ([{"rate": system["rate"]} for system in MIXED], SCORES, True),
    "no direction": (MIXED, SCORES, None),
    "equal scores": (MIXED, [1.0] * 12, True),
    "a better half of all": (MIXED, [1.0] * 11 + [0.0], False),
    "one setting and names": ([{"rate": s["rate"], "run": f"runs/{at}"} for at, s in enumerate(MIXED)], SCORES, True),
}


@pytest.mark.parametrize("name", UNINFORMATIVE)
def test_uninformative_systems_have_no_importance_and_no_note(name, monkeypatch):
    notes = []
    assert importance(*UNINFORMATIVE[name], notes) is None
    assert notes == []


def test_eight_systems_have_an_importance():
    systems = [{key: system[key] for key in ("rate", "beams", "trainer")} for system in MIXED]
    assert importance(systems[:FEWEST_SYSTEMS], SCORES[:FEWEST_SYSTEMS]).systems == FEWEST_SYSTEMS


def test_mostly_unique_names_are_omitted():
    systems = [{**system, "run": f"runs/{at}", "prefix": f"{at}: "} for at, system in enumerate(MIXED)]
    found = importance(systems, SCORES)
    assert found.left_out == ("run", "prefix")
    assert found.shares == importance(MIXED, SCORES).shares


def test_missing_counts_as_a_value_if_values_repeat():
    systems = [{**system, "clip": (None, 1.0, 5)[at % 3]} for at, system in enumerate(MIXED)]
    for system in systems[::3]:
        del system["beams"]
    columns = [{**s, "clip": str(s["clip"]), "beams": str(s.get("beams"))} for s in systems]
    ranges = RANGES | {
        "clip": CategoricalDistribution(sorted({s["clip"] for s in columns})),
        "beams": CategoricalDistribution(sorted({s["beams"] for s in columns})),
    }
    assert dict(importance(systems, SCORES).shares) == pytest.approx(golden(ranges, columns, SCORES))


def test_partly_missing_number_is_compared_where_present():
    systems = [{**system, "rank": 1.5 * at} for at, system in enumerate(MIXED)]
    for system in systems[:4]:
        del system["rank"]
    ranges = RANGES | {"rank": FloatDistribution(6.0, 16.5)}
    assert dict(importance(systems, SCORES).shares) == pytest.approx(golden(ranges, systems, SCORES))


@pytest.mark.parametrize(
    "values",
    [
        [math.nan, math.inf], [-1e308, 1e308], [10**400, 1], [2**62, -(2**62)], [True, False], [[1, 2], [2, 1]],
        [5e-324, 1e-323], [1.0, 1.0 + 2**-52], ["\ud800", ""], [None, {}],
    ],
    ids=repr,
)  # fmt: skip
def test_unusual_values_are_accepted(values):
    systems = [{**system, "strange": values[at % 2]} for at, system in enumerate(MIXED)]
    found = importance(systems, SCORES)
    assert "strange" in found.shares
    assert all(math.isfinite(share) for share in found.shares.values())
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.fixture(scope="module")
def many(sweep, tmp_path_factory):
    """Twelve systems whose learning rate determines the score; the first has two seeds."""
    folder = tmp_path_factory.mktemp("many")
    grid = [(rate, beams, 1) for rate in RATES for beams in BEAMS]
    for at, (rate, beams, seed) in enumerate([*grid, (RATES[0], BEAMS[0], 2)]):
        run = change(
            copied(sweep / "0", folder / str(at)),
            config__trainer__learning_rate=rate,
            config__generation__num_beams=beams,
            config__seed=seed,
        )
        set_score(run, (10 + 10 * RATES.index(rate) + 0.1 * beams) if seed == 1 else 60)
    return folder


def set_score(run, score):
    """Set the score of a run and of each of its rows."""
    entries = record(run)
    entries["test"]["test/rougeL"] = score
    (run / "run.json").write_text(json.dumps(entries), "utf-8")
    rewrite(run, with_column("rougeL", [score / 100] * 40))


def means(rate, beams):
    """The score of a system: the mean of its seeds."""
    score = 10 + 10 * RATES.index(rate) + 0.1 * beams
    return (score + 60) / 2 if (rate, beams) == (RATES[0], BEAMS[0]) else score


def test_importance_uses_means_over_seeds(many):
    (group,) = compare(many, **FEW).groups
    systems = [{"rate": rate, "beams": beams} for rate in RATES for beams in BEAMS]
    ranges = {"rate": FloatDistribution(RATES[0], RATES[-1], log=True), "beams": IntDistribution(1, 4)}
    shares = golden(ranges, systems, [means(**system) for system in systems])
    keys = {"trainer.learning_rate": "rate", "generation.num_beams": "beams"}
    assert {keys[key]: share for key, share in group.importance.shares.items()} == pytest.approx(shares)
    assert group.importance.systems == 12  # without lead-2
    assert group.importance.shares["trainer.learning_rate"] > 0.8


def test_runs_without_a_value_and_other_groups_are_ignored(many, sweep, evaluations, tmp_path):
    alone = change(copied(many / "5", tmp_path / "alone"), test={"checkpoint": "epoch-2"})
    comparison = compare(many, alone, evaluations / "fewer", **FEW)
    first, second = comparison.groups
    assert first.importance == compare(many, **FEW).groups[0].importance
    assert second.importance is None
    assert [group["importance"] is None for group in comparison.to_dict()["groups"]] == [False, True]


def test_importance_of_few_systems_is_null(sweep):
    assert json.loads(as_data(compare(sweep, **FEW), None))["groups"][0]["importance"] is None


def shown(comparison, monkeypatch, capfd, width=100) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    capfd.readouterr()
    Console().print(*report(comparison), sep="\n")
    return capfd.readouterr().out


@pytest.mark.parametrize("width", [60, 100])
def test_terminal_shows_a_line_per_setting(many, monkeypatch, capfd, width):
    comparison = compare(many, **FEW)
    text = shown(comparison, monkeypatch, capfd, width)
    for key, share in comparison.groups[0].importance.shares.items():
        line = re.search(rf"^{key.partition('.')[2]} +(\d+)% +(━*) *$", text, re.MULTILINE)
        assert int(line[1]) == round(100 * share)
        assert len(line[2]) == round(20 * share)
    joined = " ".join(text.split())
    assert "Importance by PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) over 12 systems" in joined
    assert "rough with few runs" in joined
    assert max(map(len, text.splitlines())) <= width


def test_markdown_json_and_report_contain_importance(many):
    comparison = compare(many, **FEW)
    found = comparison.groups[0].importance
    share = found.shares["trainer.learning_rate"]
    markdown = as_markdown(comparison, None)
    assert f"| trainer.learning\\_rate | {100 * share:.0f}% |" in markdown
    assert "over 12 systems" in markdown
    data = json.loads(as_data(comparison, None))["groups"][0]["importance"]
    assert data == {
        "method": "PED-ANOVA",
        "source": "Watanabe et al. 2023, arXiv:2304.10255",
        "systems": 12,
        "shares": dict(found.shares),
        "left_out": [],
    }
    group = report_data(comparison, None, "many", "")["groups"][0]
    assert group["importance"] == data
    assert "over 12 systems" in group["importance_explanations"][0]
    html_report(report_data(comparison, None, "many", ""))
    assert "importance" not in as_csv(comparison)


def test_missing_optuna_is_noted_only_if_importance_would_be_shown(many, sweep, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "optuna", None)
    comparison = compare(many, **FEW)
    assert comparison.groups[0].importance is None
    assert comparison.notes == (MISSING,)
    assert f"> {MISSING}" in shown(comparison, monkeypatch, capfd)
    assert compare(sweep, **FEW).notes == ()
    options = build(CompareOptions, {**defaults_of("compare"), **FEW})
    assert compared([many], options, importance=False).notes == ()


def test_optuna_is_imported_only_for_importance(many, sweep):
    code = (
        "import sys, bisum\n"
        f"bisum.compare({str(sweep)!r}, samples=1000); print('optuna' in sys.modules)\n"
        f"bisum.compare({str(many)!r}, samples=1000); print('optuna' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
    assert done.stderr == ""
