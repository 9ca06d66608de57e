"""The open run: what writes a run directory."""
