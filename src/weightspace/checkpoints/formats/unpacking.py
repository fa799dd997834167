"""Members of zip archives: read where they lie, or unpacked when they are needed, within limits."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from weightspace.checkpoints.formats.archives import Member
from weightspace.checkpoints.formats.cursor import broken, cut_short
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.tensors import Checksum
from weightspace.printable import printable

MOST_OFTEN = 64  # times the packed bytes; trained weights hardly become smaller
_ALWAYS = 2**26  # bytes that may be unpacked in any case
_PIECE = 2**18


def check_unpacked(claimed: int, packed: int) -> None:
    """Refuse to unpack far more than the packed bytes: weights cannot be made so small."""
    if claimed > max(_ALWAYS, MOST_OFTEN * packed):
        raise Refusal(
            f"refused; {packed:,} packed bytes claim to hold {claimed:,}",
            "fetch it again from its source, or save it without compression",
        )


def check_members(members: Iterable[Member]) -> int:
    """The bytes of all members, unpacked; Refusal if there are too many or one is encrypted."""
    claimed = packed = 0
    for member in members:
        if not member.stored and not member.deflated:
            how = "encrypted" if member.encrypted else "compressed in an unusual way"
            raise Refusal(f"{printable(member.name, 60)} is {how}", "write the archive again")
        claimed += member.size
        packed += member.packed
    check_unpacked(claimed, packed)
    return claimed


def start_of(file: BinaryIO, member: Member, most: int) -> bytes:
    """The first bytes of a member, at most `most`."""
    length = min(most, member.size)
    return bytes(content_of(file, member, length).data)


def content_of(file: BinaryIO, member: Member, length: int | None = None) -> np.ndarray:
    """The bytes of a member, uint8 [size], or its first `length` bytes.

    Refusal if it is cut short, or if all of it is asked for and its checksum is another one.
    """
    out = np.empty(member.size if length is None else length, np.uint8)
    target = memoryview(out.data)
    if member.stored:
        file.seek(member.start)
        data = file.read(len(target))
        if len(data) < len(target):
            raise cut_short()
        target[:] = data
        return _checked(member, out, length)
    engine = zlib.decompressobj(-15)
    at, done, left = member.start, 0, member.packed
    waiting = b""
    while done < len(target):
        if not waiting:
            if not left or engine.eof:
                raise broken(f"{printable(member.name, 60)} is shorter than it claims")
            file.seek(at)
            waiting = file.read(min(_PIECE, left))
            if not waiting:
                raise cut_short()
            at, left = at + len(waiting), left - len(waiting)
        try:
            piece = engine.decompress(waiting, min(_PIECE, len(target) - done))
        except zlib.error:
            raise broken(f"{printable(member.name, 60)} cannot be unpacked") from None
        target[done : done + len(piece)] = piece
        done += len(piece)
        waiting = engine.unconsumed_tail
    return _checked(member, out, length)


def _checked(member: Member, out: np.ndarray, length: int | None) -> np.ndarray:
    if length is None:
        checksum = Checksum(member.crc, member.start, member.size, member.name)
        checksum.compare(zlib.crc32(out.data))
    return out
