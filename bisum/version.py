"""The version of bisum; the package metadata is read from it."""

__version__ = "0.1.0"
