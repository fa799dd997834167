"""Requests for bytes of files at a URL, and the errors for wrong answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from weightspace.errors import DataError
from weightspace.printable import printable

AT_ONCE = 32  # requests at a time

Data = bytes | bytearray


@dataclass(frozen=True)
class Wanted:
    """Bytes start..stop of a file; with `whole`, the whole file if it has at most `stop` bytes."""

    name: str
    start: int
    stop: int
    whole: bool = False

    @property
    def most(self) -> int:
        """The most bytes that the answer may have."""
        return self.stop - self.start


class Files(Protocol):
    """Files below a URL, in one process. All methods raise DataError with the name of the file."""

    def fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """Fetch many requests at a time; None for whole files that are too long."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder if the server lists it; some may be no names of files."""


@contextmanager
def explained(file: str) -> Iterator[None]:
    """Turn every failure of a file system, which may have errors of its own, into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            file,
            f"cannot be read ({reason(error)})",
            "check the address, the network and your permissions",
        ) from None


def reason(error: BaseException) -> str:
    """An error as one line."""
    lines = str(error).splitlines()
    return printable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, 200)


def other_length(file: str, wanted: Wanted, given: int | str) -> DataError:
    """The error for an answer that is shorter or longer than the request."""
    count = f"{given:,}" if isinstance(given, int) else given
    return DataError(
        file,
        f"the server gave {count} bytes instead of {wanted.most:,}",
        "use a server that supports byte ranges and has the whole file",
    )
