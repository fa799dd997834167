"""The zoo of one stack as a tar file, and back. Others may have changed the file in between."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from typing import IO, Any

from weightspace.disk import InnerPath, Temporary, make_folder, open_file, walk

_CHUNK = 2**24
_HEADERS = 2**20
"""The most bytes of a tar file outside the contents of the wanted files."""


def write(zoo: InnerPath, into: IO[bytes]) -> None:
    """Write all files of a zoo as a tar file, without owners and times."""
    with tarfile.open(fileobj=into, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for place in walk(zoo):
            with open_file(place) as file:
                member = tarfile.TarInfo(place.thing)
                member.size = file.seek(0, 2)
                file.seek(0)
                tar.addfile(member, file)


def unpack(remote: IO[bytes], zoo: InnerPath, wanted: Mapping[str, int]) -> None:
    """Write the wanted files of a tar file into an empty folder.

    `wanted` has the path of each file with the most bytes that it may have. Other members are
    skipped if they are short. No more is read or written than the wanted files may have. Raises
    ValueError for a tar file that is longer, and for a wanted file that is too large, sparse or
    there twice. An invalid header raises the exceptions of tarfile.
    """
    metered: Any = _Metered(remote)
    taken = set()
    # One call of `next` reads headers of any length and skips any member, but `metered` limits it.
    with tarfile.open(fileobj=metered, mode="r|") as tar:
        while member := tar.next():
            if member.name not in wanted:
                continue
            if not member.isreg() or member.issparse():
                raise ValueError(f"{member.name} in it is no plain file")
            if member.name in taken:
                raise ValueError(f"{member.name} is in it twice")
            if not 0 <= member.size <= wanted[member.name]:
                raise ValueError(
                    f"{member.name} in it has {member.size:,} bytes, {wanted[member.name]:,} are "
                    "the most it can have"
                )
            taken.add(member.name)
            metered.allow(member.size)
            _copy(tar, member, zoo)


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, zoo: InnerPath) -> None:
    content = tar.extractfile(member)
    assert content is not None  # it is a regular file
    place = zoo
    for name in member.name.split("/"):
        place /= name
    make_folder(place.parent)
    file = Temporary(place, member.size)
    try:
        for offset in range(0, member.size, _CHUNK):
            file.write(content.read(min(_CHUNK, member.size - offset)), offset)
        file.publish()
    finally:
        file.discard()


class _Metered:
    """A stream that raises an error if more is read than was allowed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _HEADERS

    def allow(self, size: int) -> None:
        """Allow so many more bytes to be read."""
        self._left += size

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        self._left -= size
        if self._left < 0:
            raise ValueError("it has more in it than such a file has")
        return self._stream.read(size)
