"""Finished models on the hub: their cards and uploads."""
