"""What is asked of a file at a URL, and what is said where the answer is another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from weightspace.errors import DataError
from weightspace.printable import printable

AT_ONCE = 32  # requests on their way

Data = bytes | bytearray


@dataclass(frozen=True)
class Wanted:
    """Bytes start..stop of a file; if `whole`, all of it, where it has no more than `stop`."""

    name: str
    start: int
    stop: int
    whole: bool = False

    @property
    def most(self) -> int:
        """Bytes that the answer may have."""
        return self.stop - self.start


class Files(Protocol):
    """Files below a URL, in one process. All raise DataError, and name the file in it."""

    def fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """What is wanted, many at a time, cut nowhere; None for whole files that are too long."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, where the server lists it; not all need to be names of files."""


@contextmanager
def explained(file: str) -> Iterator[None]:
    """Every failure of a file system, which have errors of their own, as a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{file}: cannot be read ({reason(error)}); check the address, the "
            "network and your permissions"
        ) from None


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).splitlines()
    return printable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, 200)


def other_length(file: str, wanted: Wanted, given: int | str) -> DataError:
    """An answer that is shorter or longer than what was asked for."""
    count = f"{given:,}" if isinstance(given, int) else given
    return DataError(
        f"{file}: the server gave {count} bytes where {wanted.most:,} were asked for; "
        "it must know ranges and hold the whole file"
    )
