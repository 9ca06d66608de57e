"""The error family: what a user can mend, and what broke."""


class UserError(Exception):
    """Bad input of any kind: a key, a file, a row, a device that is not there.

    The message is one line that names the key, file or row and says what would be right. The command line
    prints it without a traceback and exits with code 2.
    """


class Failed(Exception):
    """A run ended with an error that is not bad input; its traceback is in the run's `train.log`. Exit code 1."""
