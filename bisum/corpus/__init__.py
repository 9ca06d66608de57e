"""From a source of rows to the filtered, sampled and tokenized splits of an experiment."""
