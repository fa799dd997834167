"""The files of image sets, opened: whatever lies under their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from weightspace.disk import open_file

MOST_BYTES = 2**30
"""Of one published file, packed or not; the largest there is has 221 MB."""


@contextmanager
def opened(path: Path, most: int = MOST_BYTES) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file, or the one that a link leads to, and how many bytes it has.

    The folder is the user's, and so are its links. Raises DataError for a device, a pipe, a folder
    or a file of more than `most` bytes, and OSError as the system does.
    """
    with open_file(path, most) as file:
        yield file, os.fstat(file.fileno()).st_size
