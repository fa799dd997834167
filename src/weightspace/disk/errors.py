"""Errors of the operating system as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from weightspace.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CHANGED = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ESTALE)


@contextmanager
def explained(thing: object, needed: int = 0) -> Iterator[None]:
    """Turn the system's errors of writing `thing` into a DataError with a remedy.

    Use it in a `with` statement.

    Parameters
    ----------
    thing : object
        What is written, as messages name it.
    needed : int
        The bytes that are needed, for the message that the disk is full; 0 if unknown.

    Yields
    ------
    None

    Raises
    ------
    DataError
        One line, if the system raises OSError within the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            what = f", {needed:,} bytes are needed" if needed else ""
            raise DataError(
                thing,
                f"the disk is full{what}",
                "free space there or choose another folder, then run the same command again",
            ) from None
        if error.errno == errno.EFBIG:
            raise DataError(
                thing,
                f"{needed:,} bytes are more than a file may have here",
                "raise the limit (`ulimit -f`) or choose another folder, then run the same "
                "command again",
            ) from None
        if error.errno in _CHANGED:
            raise DataError(
                thing,
                f"was changed by another process meanwhile ({error.strerror})",
                "run the same command again",
            ) from None
        raise DataError(
            thing,
            f"cannot be written ({error.strerror or error})",
            "check the folder's permissions or choose another folder",
        ) from None


def leads_out(folder: object) -> DataError:
    """The error for a folder on a path that is a link, or not a folder."""
    return DataError(
        folder,
        "is a link or not a folder, so it is not followed",
        "put the folder itself there, or remove the link",
    )


def not_regular(thing: object) -> DataError:
    """The error for something that is not a regular file."""
    return DataError(
        thing,
        "is not a regular file (a folder, a device, a pipe or a link to one)",
        "put a file there, or remove it",
    )
