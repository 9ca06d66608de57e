"""Runs read back and compared: statistics between systems, the table and the report."""
