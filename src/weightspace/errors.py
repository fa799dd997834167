"""The exceptions that a user can cause, and the form of their messages."""


class WeightspaceError(Exception):
    """An error that the caller can correct.

    The message is one line, "thing: what is wrong; remedy", where the thing is a file, key, net or
    snapshot. The command line prints it without a traceback and exits with status 2.

    Examples
    --------
    >>> from weightspace import preset
    >>> try:
    ...     preset("unheard-of")
    ... except WeightspaceError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    unheard-of: no such space; presets are demo, ...
    """


class UsageError(WeightspaceError):
    """An argument, a space, or a combination of arguments that cannot work."""


class DataError(WeightspaceError):
    """A file or a set of files that is missing, damaged, or not of the expected kind."""
