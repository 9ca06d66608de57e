"""Contents of a run directory (record, metrics, checkpoints), and the signals that interrupt a run."""
