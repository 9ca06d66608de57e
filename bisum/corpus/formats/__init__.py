"""Files of rows in any common format, compressed or not, read into tables of the columns that are picked."""
