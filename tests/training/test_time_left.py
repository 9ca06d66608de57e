"""The time until a run ends is estimated from the steps and evaluations that are done."""

import pytest

from bisum import compose
from bisum.training.time_left import TimeLeft, duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


class Screen:
    def __init__(self):
        self.lines = []

    def print(self, line):
        self.lines.append(line)


def begun(*arguments, evaluated=40, tested=80):
    clock = Clock()
    settings = compose(arguments).trainer
    left = TimeLeft(settings, 100, 200, 4, evaluated, tested, clock)
    left.begin()
    return left, clock, Screen()


def test_the_first_estimate_assumes_that_an_evaluated_row_takes_as_long_as_a_training_row():
    left, clock, screen = begun()
    found = []
    for step, seconds in enumerate([9.0, 2.0, 2.0, 2.0], start=1):  # the first step is slow, and does not count
        clock.wait(seconds)
        found.append(left.end_step(step, screen))
    # 196 steps of 2 s; 2 evaluations of 40 rows and a test of 80, each row 0.5 s
    assert found == [None, None, None, pytest.approx(196 * 2 + 2 * 20 + 40)]
    assert screen.lines == ["about 8 minutes left, evaluations and the test included"]


def test_an_evaluation_and_its_checkpoint_refine_the_estimate():
    left, clock, screen = begun()
    for step in range(1, 101):
        clock.wait(2.0)
        left.end_step(step, screen)
    clock.wait(50.0)
    left.end_evaluation()
    clock.wait(2.0)
    # 99 steps of 2 s; an evaluation of 50 s, and a test of twice the rows
    assert left.end_step(101, screen) == pytest.approx(99 * 2 + 50 + 100)
    assert len(screen.lines) == 1


def test_extra_checkpoints_are_not_steps_and_refine_the_estimate():
    left, clock, screen = begun("trainer.save_every=5")
    for step in range(1, 6):
        clock.wait(2.0)
        left.end_step(step, screen)
    clock.wait(30.0)
    left.end_save()
    clock.wait(2.0)
    # 194 steps of 2 s; 2 evaluations of 20 s and a test of 40 s; 37 checkpoints of 30 s that no evaluation saves
    assert left.end_step(6, screen) == pytest.approx(194 * 2 + 2 * 20 + 40 + 37 * 30)


def test_a_run_that_can_stop_early_may_take_less_than_the_estimate():
    left, clock, screen = begun("trainer.patience=2")
    for step in range(1, 5):
        clock.wait(2.0)
        left.end_step(step, screen)
    assert screen.lines == ["about 8 minutes left, evaluations and the test included; less if it stops early"]


def test_a_step_that_compiles_the_model_does_not_count():
    left, clock, screen = begun("trainer.compile=true")
    for step, seconds in enumerate([90.0, 2.0, 60.0, 2.0, 20.0, *[2.0] * 6], start=1):
        clock.wait(seconds)
        found = left.end_step(step, screen)
    assert found == pytest.approx(189 * 2 + 2 * 20 + 40)
    assert len(screen.lines) == 1


def test_the_mean_of_steps_of_different_lengths_counts():
    left, clock, screen = begun()
    for step, seconds in enumerate([2.0, 1.0, 1.0, 4.0], start=1):
        clock.wait(seconds)
        found = left.end_step(step, screen)
    assert found == pytest.approx(196 * 2 + 2 * 20 + 40)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "10 seconds"), (44, "40 seconds"), (100, "2 minutes"), (720, "12 minutes"), (9000, "2.5 hours")],
)
def test_durations_are_rounded(seconds, text):
    assert duration(seconds) == text
