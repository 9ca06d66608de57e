"""One module for each command: its story on one page."""
