"""The device a run asks for and the one that is there."""
