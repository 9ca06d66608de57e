"""Fixtures of the sweep tests: a short training and a Slurm cluster."""

from slurm_cluster import slurm
from trained_model import trained

__all__ = ["slurm", "trained"]
