"""Runs side by side: the saved W&B workspace of a comparison."""
