"""The interfaces that a user may implement."""
