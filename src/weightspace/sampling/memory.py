"""Out of memory, said in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from weightspace.errors import DataError

_SAID = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
"""How torch and the system put it, whose exceptions are of no kind of their own."""


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Turn every way in which memory runs out into a `DataError` that names what it was for."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not _is_of_memory(error):
            raise
        raise DataError(
            f"{what}: out of memory; what is finished is kept, run the same command to continue, "
            "with fewer --workers or with more memory"
        ) from None


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return getattr(error, "errno", None) == errno.ENOMEM or any(text in said for text in _SAID)
