"""Training: the session around the optimizer steps, and the two backends that run them."""
