"""Generation, ROUGE, intervals and baselines."""
