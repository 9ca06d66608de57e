"""Contents of a run directory (record, metrics, checkpoints), and signals that interrupt a run."""
