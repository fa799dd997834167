"""What the system says of files, in one line that says what is to be done."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from weightspace.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CHANGED = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ESTALE)


@contextmanager
def explained(thing: object, needed: int = 0) -> Iterator[None]:
    """Turn the system's refusal to write `thing` into one line that says what is to be done.

    `needed` bytes are named where the disk is full, if it is not 0.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            what = f", {needed:,} bytes are needed" if needed else ""
            raise DataError(
                f"{thing}: the disk is full{what}; free space there or choose another --out, "
                "then run the same command again"
            ) from None
        if error.errno == errno.EFBIG:
            raise DataError(
                f"{thing}: {needed:,} bytes are more than a file may have here; raise the limit "
                "(`ulimit -f`) or choose another --out, then run the same command again"
            ) from None
        if error.errno in _CHANGED:
            raise DataError(
                f"{thing}: was changed by another process meanwhile ({error.strerror}); "
                "run the same command again"
            ) from None
        raise DataError(
            f"{thing}: cannot be written ({error.strerror or error}); "
            "check the folder's permissions or choose another --out"
        ) from None


def leads_out(folder: object) -> DataError:
    """A folder inside another that is a link, or no folder at all."""
    return DataError(
        f"{folder}: is a link or no folder, which is not followed; put the folder itself there, or "
        "remove the link"
    )


def not_regular(thing: object) -> DataError:
    """Something that is no file with an end."""
    return DataError(
        f"{thing}: is no regular file (a folder, a device, a pipe or a link to one); "
        "put a file there, or remove it"
    )
