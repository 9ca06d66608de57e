"""Sources of rows, and the choice of the rows of an experiment."""
