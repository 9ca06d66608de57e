"""Generation, metrics, confidence intervals and baselines."""
