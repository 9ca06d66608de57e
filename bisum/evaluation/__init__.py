"""Generation, sentences, ROUGE, intervals and baselines."""
