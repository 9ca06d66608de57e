"""The sample corpus that comes with bisum, and the script that makes it (see README.md here)."""
