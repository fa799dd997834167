"""One-line errors for lack of memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from weightspace.errors import DataError

_SAID = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
"""Texts of errors for lack of memory that torch and the system raise without a class of its own."""


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Raise a `DataError` that says what the memory was for, if memory runs out in the block."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not _is_of_memory(error):
            raise
        raise DataError(
            what,
            "out of memory",
            "finished nets are kept, run the same command to continue, with fewer `workers=` or "
            "with more memory",
        ) from None


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return getattr(error, "errno", None) == errno.ENOMEM or any(text in said for text in _SAID)
