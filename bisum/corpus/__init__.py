"""Sources of rows, and the selection of an experiment's rows."""
