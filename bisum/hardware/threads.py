"""The threads that torch computes with on a CPU; sums of floats depend on their number."""

from __future__ import annotations

import torch


def settle_threads(recorded: int | None) -> tuple[int, int]:
    """Use as many threads as a run began with, if it has begun; return that number and the process's own."""
    own = torch.get_num_threads()
    if recorded is not None and recorded != own:
        torch.set_num_threads(recorded)
    return recorded or own, own
