"""The best evaluation is chosen in the metric's direction, and its loss decides between equal values."""

import math

import pytest

from bisum.training.progress import Progress


@pytest.mark.parametrize("sign", [1, -1])
def test_best_evaluation_and_the_number_since(sign):
    progress = Progress()
    values = [(math.nan, 1.0), (2.0, 5.0), (2.0, 5.0), (2.0, 4.0), (1.0, 1.0), (math.inf, 1.0), (3.0, 9.0)]
    best = [progress.count_evaluation(f"{n}", sign * value, loss, sign == 1) for n, (value, loss) in enumerate(values)]
    assert best == [False, True, False, True, False, False, True]
    assert (progress.best, progress.best_loss, progress.best_checkpoint) == (sign * 3.0, 9.0, "6")
    assert progress.evaluations_since_best == 0


def test_mean_loss_includes_logged_and_unlogged_steps():
    assert Progress(epoch_loss_sum=6.0, epoch_loss_steps=2, loss_steps=1).mean_loss(3.0) == 3.0
