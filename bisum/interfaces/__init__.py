"""What a user may extend."""
