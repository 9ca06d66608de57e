"""Short training runs on the sample, and the message of `compose` for invalid arguments."""

from collections.abc import Callable, Sequence

import pytest
from training_runs import read, small, start, trained, wait_for

from bisum import compose
from bisum.errors import UserError

__all__ = ["read", "small", "start", "trained", "wait_for"]


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Function that composes invalid arguments and returns the one-line error message."""

    def refusal(arguments: Sequence[str], **options: str) -> str:
        with pytest.raises(UserError) as raised:
            compose(arguments, **options)
        assert len(str(raised.value).splitlines()) == 1
        return str(raised.value)

    return refusal
