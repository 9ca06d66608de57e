"""The command line: taken apart once, dispatched; its help and its completion."""
