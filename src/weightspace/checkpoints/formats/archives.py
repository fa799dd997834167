"""Zip archives, as torch, NumPy and Keras write them: where each member lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from weightspace.checkpoints.messages import Refusal
from weightspace.printable import printable

_MOST_MEMBERS = 2**17
_LONGEST_DIRECTORY = 2**25  # bytes
_NEVER_SO = "no library writes such a file; fetch it again from its source"
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 2**16
_DEFLATED = 8
_ELSEWHERE = 0xFFFFFFFF  # the number is in the extra field instead


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of a member lie in the file; `header` is the place of its own header.

    `size` counts the bytes of its content, and `packed` those in the file. `method` is 0 for a
    content that is stored as it is, and 8 for a deflated one. `crc` is the CRC-32 of its content.
    """

    name: str
    header: int
    size: int
    packed: int
    method: int
    crc: int = 0
    encrypted: bool = False
    start: int = -1

    @property
    def stored(self) -> bool:
        """Whether the bytes are neither compressed nor encrypted."""
        return not self.method and self.packed == self.size and not self.encrypted

    @property
    def deflated(self) -> bool:
        """Whether the bytes are compressed as zip files usually are, and not encrypted."""
        return self.method == _DEFLATED and not self.encrypted


@dataclass(frozen=True, slots=True)
class Listing:
    """The members in the order of the archive's directory, and where the directory begins."""

    members: list[Member]
    start: int


def refused(what: str) -> Refusal:
    """The refusal of an archive that no library writes."""
    return Refusal(f"refused; {what}", _NEVER_SO)


def cut_short() -> Refusal:
    """The refusal of an archive without an end."""
    return Refusal("a zip archive that is cut short", "fetch it again")


def listed(file: BinaryIO, size: int) -> Listing:
    """The members in the archive's directory; their `start` is not known yet."""
    count, start, length = _directory(file, size)
    data = _at(file, start, length)
    members = []
    at = 0
    for _ in range(count):
        member, at = _entry(data, at)
        if member.header >= start:
            raise cut_short()
        members.append(member)
    if at != length:
        raise refused("it contains more than one archive")
    return Listing(members, start)


def located(file: BinaryIO, listing: Listing) -> dict[str, Member]:
    """The members by name; Refusal if two have the same name or share bytes."""
    found: dict[str, Member] = {}
    end, before = 0, ""
    for listed in sorted(listing.members, key=lambda member: member.header):
        if not found and listed.header:
            raise refused("it contains more than one archive")
        member = _located(file, listed)
        if member.name in found:
            raise refused(f"{printable(member.name)} is in it twice")
        if member.header < end:
            raise refused(f"{printable(before)} and {printable(member.name)} overlap")
        found[member.name] = member
        end, before = member.start + member.packed, member.name
    if end > listing.start:
        raise refused(f"{printable(before)} goes on into the archive's directory")
    return found


def _at(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    data = file.read(length)
    if len(data) < length:
        raise cut_short()
    return data


def _directory(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """The number of members, and start and length of the directory, checked with the end record."""
    end = size - _END.size
    if end < 0:
        raise cut_short()
    signature, disk, first_disk, _, count, length, start, comment = _END.unpack(
        _at(file, end, _END.size)
    )
    if signature != b"PK\5\6" or comment:
        tail = _at(file, max(end - _LONGEST_COMMENT, 0), min(end, _LONGEST_COMMENT) + _END.size)
        if b"PK\5\6" in tail:
            raise refused("it contains more than one archive")
        raise cut_short()
    if disk or first_disk:  # an archive of several files
        raise cut_short()
    locator = end - _LOCATOR.size
    if locator >= 0 and _at(file, locator, 4) == b"PK\6\7":
        end = locator - _END_64.size
        if end < 0:
            raise cut_short()
        signature, *_, count, length, start = _END_64.unpack(_at(file, end, _END_64.size))
        if signature != b"PK\6\6":
            raise refused("it contains more than one archive")
    if start + length != end:
        raise refused("it contains more than one archive")
    if count > _MOST_MEMBERS or length > _LONGEST_DIRECTORY:
        raise Refusal(
            f"refused; it has {count:,} members, listed in {length:,} bytes; at most "
            f"{_MOST_MEMBERS:,} in {_LONGEST_DIRECTORY:,} bytes are read",
            "save model.state_dict() alone",
        )
    return count, start, length


def _entry(data: bytes, at: int) -> tuple[Member, int]:
    """The member that an entry of the directory describes, and where the next entry begins."""
    if at + _ENTRY.size > len(data):
        raise cut_short()
    signature, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, header = (
        _ENTRY.unpack_from(data, at)
    )
    named, more, remark = lengths
    at += _ENTRY.size
    end = at + named + more + remark
    if signature != b"PK\1\2" or end > len(data):
        raise cut_short()
    name = data[at : at + named].decode("utf-8", "surrogateescape")
    size, packed, header = _large(data[at + named : at + named + more], size, packed, header)
    return Member(name, header, size, packed, method, crc, bool(flags & 1)), end


def _large(extra: bytes, *numbers: int) -> list[int]:
    """Replace numbers by the 64-bit numbers in an entry's extra field."""
    at = 0
    while _ELSEWHERE in numbers and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1:
            wanted = [i for i, number in enumerate(numbers) if number == _ELSEWHERE]
            if at + length > len(extra) or length < 8 * len(wanted):
                raise cut_short()
            large = list(numbers)
            for i, place in enumerate(wanted):
                (large[place],) = struct.unpack_from("<Q", extra, at + 8 * i)
            return large
        at += length
    return list(numbers)


def _located(file: BinaryIO, member: Member) -> Member:
    """The member with the position from its own header, which must have the same name."""
    name = member.name.encode("utf-8", "surrogateescape")
    raw = _at(file, member.header, _LOCAL.size + len(name))
    signature, _, _, method, *_, named, more = _LOCAL.unpack_from(raw)
    extra = file.read(more)
    sound = signature == b"PK\3\4" and method == member.method and _fields_fill(extra, more)
    if not sound or named != len(name) or raw[_LOCAL.size :] != name:
        raise refused(f"{printable(member.name)} is another member where it lies")
    return replace(member, start=member.header + _LOCAL.size + named + more)


def _fields_fill(extra: bytes, length: int) -> bool:
    """Whether the fields of a header take exactly the stated bytes, so that the values follow."""
    at = 0
    while at + 4 <= len(extra):
        at += 4 + int.from_bytes(extra[at + 2 : at + 4], "little")
    return at == len(extra) == length
