"""Trainings of seconds on the sample, and the line in which `compose` refuses arguments."""

from collections.abc import Callable, Sequence

import pytest
from training_runs import read, small, start, trained, wait_for

from bisum import compose
from bisum.errors import UserError

__all__ = ["read", "small", "start", "trained", "wait_for"]


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Compose arguments that must be refused in one line; the fixture's value returns that line."""

    def refusal(arguments: Sequence[str], **options: str) -> str:
        with pytest.raises(UserError) as raised:
            compose(arguments, **options)
        assert len(str(raised.value).splitlines()) == 1
        return str(raised.value)

    return refusal
