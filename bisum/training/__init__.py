"""The session between the optimizer's steps, and the two backends that take them."""
