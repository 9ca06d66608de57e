"""Experiment trackers: Weights & Biases, trackio, the tracker's process and its client in the run."""
