"""Errors that a user can cause and mend."""


class UserError(Exception):
    """Wrong input from outside: a config value, a path, a file.

    The message is one line, names what is wrong and what would be valid. The command line prints it
    without a traceback and exits with code 2.
    """

    exit_code = 2
