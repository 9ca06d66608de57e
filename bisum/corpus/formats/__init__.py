"""Files of rows in any common format, compressed or not, read into tables of the picked columns."""
