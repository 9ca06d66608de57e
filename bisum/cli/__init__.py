"""The command line: parsing, dispatch, help and completion."""
