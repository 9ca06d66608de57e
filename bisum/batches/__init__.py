"""Batches from rows: tokenization, shapes, collation, sampling."""
