"""The `starter` model and the scripts that make its corpus and tokenizer (see README.md here)."""
