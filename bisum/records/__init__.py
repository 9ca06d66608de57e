"""Recording of a run in its run directory."""
