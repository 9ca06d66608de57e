"""Building of batches from rows: tokenization, shapes, collation, sampling."""
