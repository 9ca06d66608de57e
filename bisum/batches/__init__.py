"""From rows to batches: token ids, shapes, collation, sampling."""
