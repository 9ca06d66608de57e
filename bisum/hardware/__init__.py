"""The device of a run: selection, threads, and support for XLA."""
