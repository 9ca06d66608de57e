"""The interfaces that users can implement."""
