"""Optimizer groups and schedules compared with torch, transformers and hand calculations."""

import math
from dataclasses import replace

import pytest
import torch
from torch.optim import AdamW
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from transformers.optimization import Adafactor

from bisum import compose
from bisum.training.optimization import build_optimizer, build_schedule


@pytest.fixture(scope="module")
def settings():
    return compose(["trainer.learning_rate=1e-2", "trainer.weight_decay=0.1"]).trainer


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(11, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 4))


def step(model, optimizer, clip=None):
    torch.manual_seed(1)
    model(torch.randint(0, 11, (5,))).square().sum().backward()
    optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_adamw_is_fused_on_a_cpu_and_torchs_default_elsewhere(settings):
    assert all(group["fused"] for group in build_optimizer(make(), settings).param_groups)
    assert not any(group["fused"] for group in build_optimizer(make().to("meta"), settings).param_groups)


def test_only_matrices_decay(settings):
    model = make()
    decayed, others = build_optimizer(model, settings).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(11, 6), (4, 6)]
    assert [tuple(p.shape) for p in others["params"]] == [(6,), (6,), (4,)]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    (everything,) = build_optimizer(make(), replace(settings, decay_all_parameters=True)).param_groups
    assert len(everything["params"]) == 5
    assert everything["weight_decay"] == 0.1


def test_frozen_parameters_are_left_alone(settings):
    model = make()
    model[0].weight.requires_grad_(False)
    optimizer = build_optimizer(model, settings)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


def test_accelerate_recipe_is_plain_adamw():
    settings = compose(["experiment=course_accelerate", "corpus.path=anywhere"]).trainer
    assert settings.max_gradient_norm is None
    one, other = make(), make()
    got = step(one, build_optimizer(one, settings))
    expected = step(other, AdamW(other.parameters(), lr=2e-5))
    assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(got, make().parameters(), strict=True))


def test_trainer_recipe_has_the_settings_of_the_course():
    settings = compose(["experiment=course_trainer", "corpus.path=anywhere"]).trainer
    got = (settings.batch_size, settings.learning_rate, settings.weight_decay, settings.epochs)
    assert got == (8, 5.6e-5, 0.01, 8)
    assert settings.keep_checkpoints == 3
    assert (settings.optimizer, settings.schedule, settings.warmup) == ("adamw", "linear", 0)


def test_adafactor_uses_the_unscaled_learning_rate(settings):
    one, other = make(), make()
    got = step(one, build_optimizer(one, replace(settings, optimizer="adafactor", weight_decay=0.0)))
    plain = Adafactor(
        other.parameters(), lr=1e-2, scale_parameter=False, relative_step=False, warmup_init=False, weight_decay=0.0
    )
    assert all(torch.equal(*pair) for pair in zip(got, step(other, plain), strict=True))


@pytest.mark.parametrize(("warmup", "warmup_steps"), [(0, 0), (0.1, 5), (0.25, 13), (7, 7), (1, 1), (7.9, 7)])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_schedules_match_transformers_and_hand_calculation(schedule, warmup, warmup_steps, settings):
    """Of 50 steps, a tenth, a quarter (12.5, rounded up) or a number warm up."""
    total = 50
    optimizer, plain = (AdamW([torch.nn.Parameter(torch.ones(1))], lr=1e-2) for _ in range(2))
    scheduler = build_schedule(optimizer, replace(settings, schedule=schedule, warmup=float(warmup)), total)
    theirs = {
        "linear": lambda: get_linear_schedule_with_warmup(plain, warmup_steps, total),
        "cosine": lambda: get_cosine_schedule_with_warmup(plain, warmup_steps, total),
        "constant": lambda: get_constant_schedule_with_warmup(plain, warmup_steps),
    }[schedule]()
    for at in range(total):
        share = (at - warmup_steps) / (total - warmup_steps)
        by_hand = {"linear": 1 - share, "cosine": (1 + math.cos(math.pi * share)) / 2, "constant": 1.0}[schedule]
        expected = 1e-2 * (at / warmup_steps if at < warmup_steps else by_hand)
        assert scheduler.get_last_lr()[0] == pytest.approx(expected, abs=1e-12)
        assert scheduler.get_last_lr() == theirs.get_last_lr()
        for o, s in ((optimizer, scheduler), (plain, theirs)):
            o.step()
            s.step()
    if schedule != "constant":
        assert scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("warmup", "steps"), [("16", 16), ("1000", "1,000"), ("0.95", 16), ("15", None), ("0.9", None), ("0", None)]
)
def test_warmup_that_lasts_as_long_as_training_is_reported(warmup, steps, trained):
    """Training has 16 steps."""
    run = trained("trainer=accelerate", "trainer.epochs=1", f"trainer.warmup={warmup}")
    log = (run / "train.log").read_text("utf-8").splitlines()
    warnings = [line.partition(" > ")[2] for line in log if "trainer.warmup:" in line]
    line = f"warning: trainer.warmup: {steps} steps, but training has 16, so the learning rate never reaches 0.02"
    assert warnings == ([line] if steps else [])
