"""The one error family: what a user can mend, told in one line."""


class UserError(Exception):
    """Bad input of any kind: a key, a file, a row, a device that is not there.

    The message is one line that names the key, file or row and says what would be right. The command line
    prints it without a traceback and exits with code 2.
    """
