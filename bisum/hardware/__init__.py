"""The device that a run uses."""
