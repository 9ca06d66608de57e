"""Trackers: the client in the run, the tracker's own process, Weights & Biases and trackio."""
