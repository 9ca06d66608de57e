"""The metrics that come with bisum, besides ROUGE."""
