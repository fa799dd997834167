"""Torch files: a pickle, and the storages of its tensors, as torch.save writes them since 2016.

Since torch 1.6 they are members of a zip archive; TorchScript's archives have the same form, with
code that is never looked at. Before, and with `_use_new_zipfile_serialization=False`, the storages
follow five pickles. Tensors in a plain pickle hold such a file each.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.formats.archives import Member, listed, located, refused
from weightspace.checkpoints.messages import Refusal, damaged, unknown
from weightspace.checkpoints.pickling.machine import LIMIT, Ends, Machine
from weightspace.checkpoints.pickling.names import StorageType
from weightspace.checkpoints.pickling.opcodes import pickles
from weightspace.checkpoints.pickling.records import word
from weightspace.checkpoints.tensors import Checksum, Storage, Values, numbers, size_of
from weightspace.printable import printable

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ORDERS = {b"little": "little", b"big": "big"}


_OLD_PICKLE = re.compile(rb"c[\w.]+\n[\w.]+\n|\((dp|lp|i[\w.]+\n|c[\w.]+\n|S')|[\]}]q")
_OLD = "before 1.6, or saved in the format of then"
_SAVE = "save the weights as safetensors"
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors", ".h5", ".keras", ".onnx", ".npz")


_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".th", ".tar", ".pkl", ".pickle", ".model", ".net")


def _is_zipped(opened: Opened) -> bool:
    return opened.head[:4] == b"PK\x03\x04"


def _is_pickled(opened: Opened) -> bool:
    head = opened.head
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        # The length of a safetensors header may begin with the same bytes.
        return not (head[8:9] == b"{" and head[2:8].endswith(b"\0\0\0\0"))
    return _OLD_PICKLE.match(head) is not None


def _contents(pickled: Pickled) -> Contents:
    form = str(pickled.facts.get("form", "torch"))
    return Contents(
        form, pickled.content, pickled.values, foreign=pickled.foreign, facts=pickled.facts
    )


@dataclass(frozen=True)
class Pickled:
    """What the pickles of a file describe.

    Attributes
    ----------
    content : object
        Containers, text, numbers, tensors, and records of all else.
    values : Values
        Reads the tensors.
    foreign : dict of str to int
        Names of classes and functions that became records, and the bytes of the pickle where each
        is first named.
    facts : dict of str to object
        What the form of the file says: "saved_as", "version", "byteorder", "torch" (its era).
    """

    content: Any
    values: Values
    foreign: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)


class _Storages:
    """Storages by their keys, as a pickle describes them; their positions are found later."""

    def __init__(self) -> None:
        self.found: dict[str, Storage] = {}
        self.views: dict[str, tuple[Storage, Storage, int]] = {}  # view, its storage, its start

    def __call__(self, said: object) -> object:
        if type(said) is tuple and len(said) == 4 and said[0] == "module":
            return said[1]  # a class, and its source, which is not looked at
        if type(said) is not tuple or len(said) not in (5, 6) or said[0] != "storage":
            raise unknown("it refers to something outside that is not a storage")
        kind, key, device, count, *view = said[1:]
        if not isinstance(kind, StorageType) or type(key) is not str:
            raise damaged("a storage without a type or a key")
        (length,) = numbers((count,))
        storage = self.found.get(key)
        if storage is None:
            storage = self.found[key] = Storage(
                kind.dtype, length * kind.dtype.itemsize, device=word(device)[:60]
            )
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
            view.position, view.checksum = whole.position + start, whole.checksum


def zipped(file: BinaryIO) -> Pickled:
    """What the pickle of an archive describes, and where its values are."""
    size = size_of(file)
    listing = listed(file, size)
    _check(listing.members, size)
    named = located(file, listing)
    root = listing.members[0].name.partition("/")[0]
    if f"{root}/data.pkl" not in named:
        raise _no_torch_file(listing.members)
    storages = _Storages()
    machine = pickles(_content(file, named[f"{root}/data.pkl"]))
    content = machine.load(storages)
    for key, storage in storages.found.items():
        member = named.get(f"{root}/data/{key}") or named.get(f"{root}/{key}")
        if member is None:
            continue
        if not 0 <= member.size - storage.nbytes < storage.dtype.itemsize:
            raise damaged(
                f"storage {printable(key)} has {storage.nbytes:,} bytes by its pickle, and "
                f"{member.size:,} in the file"
            )
        storage.position = member.start
        storage.checksum = _checksum(member)
    storages.settle()
    order = _order(file, named.get(f"{root}/byteorder"))
    facts = _facts(file, root, named) | {"byteorder": order}
    return Pickled(content, Values(file, order), machine.foreign, facts)


def _facts(file: BinaryIO, root: str, named: dict[str, Member]) -> dict[str, Any]:
    """The name under which the file was saved, and what tells the version of torch."""
    scripted = f"{root}/constants.pkl" in named
    facts: dict[str, Any] = {"saved_as": root, "form": "TorchScript" if scripted else "torch"}
    if (version := named.get(f"{root}/version")) and version.size < 16:
        facts["version"] = _content(file, version).decode("ascii", "replace").strip()
    eras = ((".format_version", "2.6 or newer"), ("byteorder", "2.1 or newer"))
    era = next((era for name, era in eras if f"{root}/{name}" in named), "1.6 to 2.0")
    return facts | {"torch": era}


def _check(members: list[Member], size: int) -> None:
    """Refuse an archive of another kind, or with a pickle larger than any state dict's."""
    contents = [member for member in members if member.name.endswith("data.pkl")]
    if not contents:
        raise _no_torch_file(members)
    for member in members:
        if not member.stored and not _is_code(member.name):
            raise refused(f"{printable(member.name)} is compressed")
    for member in contents:
        if member.size > LIMIT:
            raise Refusal(
                f"refused; {printable(member.name)} has {member.size:,} bytes, at most {LIMIT:,} "
                "are read",
                "save model.state_dict() alone",
            )
    claimed = sum(member.packed for member in members)
    if claimed > size:  # the members overlap
        raise refused(f"its members claim {claimed:,} bytes of {size:,}")


def _is_code(name: str) -> bool:
    """Whether a member is TorchScript's code or the debugging data of its code."""
    return name.partition("/")[2].startswith("code/") or name.endswith(".debug_pkl")


def _no_torch_file(members: list[Member]) -> Refusal:
    """The refusal of another archive; the largest checkpoint in it is likely the net."""
    inner = [m for m in members if m.name.endswith(_CHECKPOINTS) and "optim" not in m.name]
    largest = max(inner, key=lambda member: member.size, default=None)
    remedy = f"unpack it, and name {printable(largest.name, 80)}" if largest else _SAVE
    return Refusal("a zip archive, but not a torch file", remedy)


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
    if (checksum := _checksum(member)) is not None:
        checksum.compare(zlib.crc32(data))
    return data


def _checksum(member: Member) -> Checksum | None:
    """The checksum of a member; None if torch was told to write none, and wrote 0."""
    return Checksum(member.crc, member.start, member.size, member.name) if member.crc else None


def legacy(file: BinaryIO) -> Pickled:
    """What the pickles of an older file, or a plain pickle, describe, and where its values are.

    The pickles of an older file are a magic number, the version, facts about the machine, the
    content, and the keys of the storages. The storages follow in the order of these keys, each
    after its number of values.
    """
    return _legacy_of(file, size_of(file))


def _legacy_of(file: BinaryIO, size: int) -> Pickled:
    file.seek(0)
    machine = pickles(file.read(min(size, LIMIT)))  # `read` takes room for all it is asked
    machine.nested = _nested
    storages = _Storages()
    try:
        first = machine.load()
        if first != _MAGIC:
            return _plain(machine, first, file)
        if (version := machine.load()) != _PROTOCOL:
            raise damaged(f"Invalid protocol version: {word(version)}")
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
    # The values are little-endian on every machine: torch swaps bytes when it writes.
    return Pickled(content, Values(file), machine.foreign, {"form": "torch", "torch": _OLD})


def _plain(machine: Machine, content: Any, file: BinaryIO) -> Pickled:
    """The content of one pickle, such as `pickle.dump` writes."""
    if isinstance(content, int):
        raise damaged("Invalid magic number; corrupt file?")
    return Pickled(content, Values(file), machine.foreign, {"form": "pickle"})


def _nested(arguments: object) -> object:
    """The storage in the bytes of a torch file, of which a plain pickle has one for each tensor."""
    if type(arguments) is not tuple or len(arguments) != 1 or type(arguments[0]) is not bytes:
        raise damaged("a storage that is not made of bytes")
    data = arguments[0]
    inner = io.BytesIO(data)
    storage = _legacy_of(inner, len(data)).content
    if not isinstance(storage, Storage) or storage.position < 0:
        raise unknown("a torch file in a pickle that is not one storage")
    storage.data = data[storage.position : storage.position + storage.nbytes]
    return storage


ZIPPED = Form("torch", _SUFFIXES, _is_zipped, lambda opened: _contents(zipped(opened.file)))
PICKLED = Form(
    "torch before 1.6", _SUFFIXES, _is_pickled, lambda opened: _contents(legacy(opened.file))
)
