"""From a source to the rows of an experiment."""
