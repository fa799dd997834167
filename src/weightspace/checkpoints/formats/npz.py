"""NumPy's archives of arrays (.npz), stored or deflated; arrays of Python objects are not read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.formats.archives import Member, listed, located
from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.formats.npy import LONGEST_HEADER, Header, header
from weightspace.checkpoints.formats.turning import TURNED, in_torch_order, says_order
from weightspace.checkpoints.formats.unpacking import check_members, content_of, start_of
from weightspace.checkpoints.selection.states import check_entries
from weightspace.checkpoints.tensors import Checksum, Tensor, Values
from weightspace.networks.roles import Note
from weightspace.printable import printable

_END = ".npy"


def first_name(head: bytes) -> bytes:
    """The name of the first member of a zip archive; empty if it is none."""
    if head[:4] != b"PK\x03\x04":
        return b""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")]


def _read(opened: Opened) -> Contents:
    file = opened.file
    members = located(file, listed(file, opened.size))
    check_entries(members)
    nbytes = check_members(members.values())
    tensors: dict[str, Tensor] = {}
    notes: list[Note] = []
    for name, member in members.items():
        if not name.endswith(_END):
            notes.append(Note(name, (), "file", "not an array"))
            continue
        said = header(start_of(file, member, LONGEST_HEADER))
        if said.dtype is None:
            reason = "Python objects, which are never unpickled" if said.code[:1] == "O" else ""
            notes.append(Note(name[:-4], said.shape, said.what, reason or "not numbers"))
            continue
        if said.length + said.nbytes != member.size:
            raise broken(
                f"{printable(name, 60)} has {member.size:,} bytes, and "
                f"{min(said.length + said.nbytes, 10**18):,} by its header"
            )
        tensors[name[: -len(_END)]] = _tensor(file, member, said)
    facts: dict[str, object] = {"arrays": len(tensors)}
    if any(name.endswith("/kernel") for name in tensors):  # as JAX's libraries call them
        facts["transposed"] = TURNED
        tensors = in_torch_order(tensors)
    ordered = says_order(tensors)
    return Contents("npz", tensors, Values(file), ordered, tuple(notes), facts=facts, nbytes=nbytes)


def _tensor(file: BinaryIO, member: Member, said: Header) -> Tensor:
    if member.stored:
        tensor, begin = said.tensor(member.start + said.length), member.start + said.length
        if tensor.storage is not None:
            begun = zlib.crc32(content_of(file, member, said.length).data)
            tensor.storage.checksum = Checksum(
                member.crc, begin, member.size - said.length, member.name, begun
            )
        return tensor
    assert said.dtype is not None
    return Tensor(said.dtype, said.shape, said.stride, compute=_unpacked(file, member, said))


def _unpacked(file: BinaryIO, member: Member, said: Header) -> Callable[[], np.ndarray]:
    def values() -> np.ndarray:
        dtype = said.dtype
        assert dtype is not None
        if not math.prod(said.shape):
            return np.zeros(said.shape, np.float32)
        raw = content_of(file, member)[said.length :]
        found = raw.view(np.dtype(dtype.code).newbyteorder(">" if said.order == "big" else "<"))
        steps = tuple(stride * dtype.itemsize for stride in said.stride)
        return as_strided(found, said.shape, steps, writeable=False)

    return values


FORM = Form(
    "NumPy archive", (".npz",), lambda opened: first_name(opened.head).endswith(b".npy"), _read
)
