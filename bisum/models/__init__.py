"""Models: families, loading, decoding, loss."""
