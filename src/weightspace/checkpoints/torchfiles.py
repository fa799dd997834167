"""Torch files: a pickle, and the storages of its tensors, as torch.save writes them since 2016.

Since torch 1.6 they are members of a zip archive. Before, and with
`_use_new_zipfile_serialization=False`, the storages follow five pickles.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from weightspace.checkpoints.archives import Member, listed, located, refused
from weightspace.checkpoints.machine import LIMIT, Ends
from weightspace.checkpoints.messages import Refusal, damaged, unknown
from weightspace.checkpoints.names import StorageType
from weightspace.checkpoints.pickles import pickles
from weightspace.checkpoints.tensors import Storage, Values, numbers
from weightspace.printable import printable

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ORDERS = {b"little": "little", b"big": "big"}


class _Storages:
    """Storages by their keys, as a pickle describes them; their positions are found later."""

    def __init__(self) -> None:
        self.found: dict[str, Storage] = {}
        self.views: dict[str, tuple[Storage, Storage, int]] = {}  # view, its storage, its start

    def __call__(self, said: object) -> Storage:
        if type(said) is not tuple or len(said) not in (5, 6) or said[0] != "storage":
            raise unknown("it refers to something outside that is not a storage")
        kind, key, _, count, *view = said[1:]
        if not isinstance(kind, StorageType) or type(key) is not str:
            raise damaged("a storage without a type or a key")
        (length,) = numbers((count,))
        storage = self.found.get(key)
        if storage is None:
            storage = self.found[key] = Storage(kind.dtype, length * kind.dtype.itemsize)
        return self._view(storage, *view) if view and view[0] is not None else storage

    def _view(self, whole: Storage, said: object) -> Storage:
        """A part of a storage, which torch before 0.4 kept as a storage of its own."""
        if type(said) is not tuple or len(said) != 3 or type(said[0]) is not str:
            raise damaged("a view of a storage without a key")
        key, width = said[0], whole.dtype.itemsize
        start, count = numbers(said[1:])
        if (start + count) * width > whole.nbytes:
            raise damaged(f"a view goes beyond the {whole.nbytes:,} bytes of its storage")
        if key not in self.views:
            self.views[key] = (Storage(whole.dtype, count * width), whole, start * width)
        return self.views[key][0]

    def settle(self) -> None:
        """Set the positions of the views; Refusal if a storage has none."""
        for key, storage in self.found.items():
            if storage.position < 0 and storage.nbytes:
                raise damaged(f"the values of storage {printable(key)} are not in the file")
        for view, whole, start in self.views.values():
            view.position = whole.position + start


def zipped(file: BinaryIO) -> tuple[Any, Values]:
    """What the pickle of an archive describes, and where its values are."""
    size = os.fstat(file.fileno()).st_size
    listing = listed(file, size)
    _check(listing.members, size)
    named = located(file, listing)
    root = listing.members[0].name.partition("/")[0]
    if f"{root}/data.pkl" not in named:
        raise _no_torch_file()
    storages = _Storages()
    content = pickles(_content(file, named[f"{root}/data.pkl"])).load(storages)
    for key, storage in storages.found.items():
        member = named.get(f"{root}/data/{key}")
        if member is None:
            continue
        if not 0 <= member.size - storage.nbytes < storage.dtype.itemsize:
            raise damaged(
                f"storage {printable(key)} has {storage.nbytes:,} bytes by its pickle, and "
                f"{member.size:,} in the file"
            )
        storage.position = member.start
    storages.settle()
    return content, Values(file, _order(file, named.get(f"{root}/byteorder")))


def _check(members: list[Member], size: int) -> None:
    """Refuse an archive of another kind, or with a pickle larger than any state dict's."""
    if any(member.name.endswith("/constants.pkl") for member in members):
        raise Refusal(
            "refused; a TorchScript archive holds code; save the state dict as safetensors"
        )
    contents = [member for member in members if member.name.endswith("data.pkl")]
    if not contents:
        raise _no_torch_file()
    for member in members:
        if not member.stored:
            raise refused(f"{printable(member.name)} is compressed")
    for member in contents:
        if member.size > LIMIT:
            raise Refusal(
                f"refused; {printable(member.name)} has {member.size:,} bytes, "
                f"at most {LIMIT:,} are read; save model.state_dict() alone"
            )
    claimed = sum(member.size for member in members)
    if claimed > size:  # the members overlap
        raise refused(f"its members claim {claimed:,} bytes of {size:,}")


def _no_torch_file() -> Refusal:
    return Refusal("a zip archive, but not a torch file; save the weights as safetensors")


def _order(file: BinaryIO, member: Member | None) -> str:
    if member is None:
        return "little"
    mark = _content(file, member) if member.size < 16 else b""
    if mark not in _ORDERS:
        raise damaged(f"an unknown order of bytes, {mark!r}")
    return _ORDERS[mark]


def _content(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.start)
    data = file.read(member.size)
    if len(data) < member.size:
        raise damaged(f"{printable(member.name)} is cut short")
    return data


def legacy(file: BinaryIO) -> tuple[Any, Values]:
    """What the pickles of an older file describe, and where its values are.

    The pickles are a magic number, the version, facts about the machine, the content, and the keys
    of the storages. The storages follow in the order of these keys, each after its number of
    values.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    machine = pickles(file.read(LIMIT))
    storages = _Storages()
    try:
        if machine.load() != _MAGIC:
            raise damaged("Invalid magic number; corrupt file?")
        if (version := machine.load()) != _PROTOCOL:
            raise damaged(f"Invalid protocol version: {version!r}")
        machine.load()
        content = machine.load(storages)
        keys = machine.load()
    except Ends:
        if size <= LIMIT:
            raise
        raise unknown(f"it has more than {LIMIT:,} bytes") from None
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise damaged("its list of storages is not valid")
    at = machine.at
    for key in keys:
        storage = storages.found.get(key)
        if storage is None or storage.position >= 0:
            raise damaged(f"storage {printable(key)} is unknown or in it twice")
        file.seek(at)
        count = int.from_bytes(file.read(8), "little")
        if count * storage.dtype.itemsize != storage.nbytes or at + 8 + storage.nbytes > size:
            raise damaged(
                f"storage {printable(key)} has {storage.nbytes:,} bytes by its pickle; there are "
                f"{count:,} values from byte {at + 8:,} of {size:,}"
            )
        storage.position = at + 8
        at += 8 + storage.nbytes
    storages.settle()
    return content, Values(file)  # little-endian on every machine: torch swaps bytes when it writes
