"""Output for the user: the screen, progress, tables and plots."""
