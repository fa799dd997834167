"""Open the files of image sets, whatever kind of file has their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from weightspace.disk import open_file

MOST_BYTES = 2**30
"""The most bytes of one published file, packed or not; the largest known has 221 MB."""


@contextmanager
def opened(path: Path, most: int = MOST_BYTES) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file, following links, and tell how many bytes it has.

    Links are followed because the folder belongs to the user. Raises DataError for a device, a
    pipe, a folder or a file of more than `most` bytes, and OSError as the system does.
    """
    with open_file(path, most) as file:
        yield file, os.fstat(file.fileno()).st_size
