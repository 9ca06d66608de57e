"""Summaries of texts: the Summarizer, and where documents come from."""
