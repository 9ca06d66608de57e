"""What the commands that use a trained model and those that run jobs need: a training of seconds, and a Slurm."""

from slurm_cluster import slurm
from trained_model import trained

__all__ = ["slurm", "trained"]
