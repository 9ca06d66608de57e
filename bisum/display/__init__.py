"""What a person sees: the screen, progress, tables, plots."""
