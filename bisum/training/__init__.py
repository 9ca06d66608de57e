"""The backends behind one interface, and what happens between their steps."""
