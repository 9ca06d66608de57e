"""Number of torch threads on a CPU; sums of floats depend on it."""

from __future__ import annotations

import torch


def settle_threads(recorded: int | None) -> tuple[int, int]:
    """Use the number of threads that a run began with, if recorded; return it and the process's own number."""
    own = torch.get_num_threads()
    if recorded is not None and recorded != own:
        torch.set_num_threads(recorded)
    return recorded or own, own
