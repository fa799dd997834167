"""The one exception that a user can cause, and the shape of its message."""


class WeightspaceError(Exception):
    """Something the caller can mend.

    The message is one line that names the thing (file, key, net, snapshot) and the remedy.
    The command line prints it without a traceback and exits with 2.
    """


class UsageError(WeightspaceError):
    """An argument, a space or a combination of the two that cannot work."""


class DataError(WeightspaceError):
    """A file or a set of files that is missing, damaged or not what it claims to be."""
