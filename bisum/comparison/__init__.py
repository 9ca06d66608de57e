"""Comparison of recorded runs: statistical tests between systems, tables and the report."""
