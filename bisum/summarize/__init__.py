"""Summarization: the `Summarizer` and the sources of its documents."""
