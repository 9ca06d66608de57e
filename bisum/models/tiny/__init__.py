"""The tokenizer of the `tiny` model, and the script that trains it."""
