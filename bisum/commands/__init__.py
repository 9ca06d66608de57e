"""The commands, each the story of one word of the command line."""
