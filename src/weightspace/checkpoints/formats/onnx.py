"""ONNX models: the initialisers of the graph, in the order in which its nodes use them.

The file is a protocol buffer that is read where it lies; the package onnx is not needed. Values of
large models are in files beside the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.dtypes import DTYPES, UINT8, DType
from weightspace.checkpoints.formats.apart import overlap
from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.formats.neighbours import Neighbours
from weightspace.checkpoints.formats.onnxgraph import Node, by_nodes
from weightspace.checkpoints.formats.onnxways import Numbers
from weightspace.checkpoints.formats.protobuf import BYTES, VARINT, Budget, Field, Message, varints
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.selection.states import check_entries
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous
from weightspace.networks.roles import Note
from weightspace.printable import printable

_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64",
    15: "complex128", 16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz",
    19: "float8_e5m2", 20: "float8_e5m2fnuz", 24: "float8_e8m0fnu",
}  # fmt: skip
_OTHERS = {8: "text", 21: "uint4", 22: "int4", 23: "float4", 25: "uint2", 26: "int2"}
_MOST_FIELDS = 2**20
_MOST_NODES = 2**17
_LONGEST_NAME = 2**12
_LONGEST_NUMBERS = 2**22  # bytes of numbers of variable length
_SHORT_NUMBERS = 2**9  # bytes of the axes of a node
_MOST_DIMENSIONS, _LONGEST = 32, 2**48
_FIRST = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)  # fields that may follow the version


@dataclass
class _Model:
    """What a model says: its tensors, its nodes, and facts about the whole."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def _fits(opened: Opened) -> bool:
    head = opened.head
    if head[:1] != b"\x08" or len(head) < 3 or not 0 < head[1] < 64 or head[2] not in _FIRST:
        return False
    try:
        for one in Message(opened.file, 0, opened.size, Budget(64)).fields():
            if one.number == 7:
                return one.wire == BYTES
    except Refusal:
        return opened.place.suffix == ".onnx"
    return False


def _read(opened: Opened) -> Contents:
    files = Neighbours(opened.place, opened.closing)
    model = _Model()
    whole = Message(opened.file, 0, opened.size, Budget(_MOST_FIELDS))
    for one in whole.fields():
        if one.number == 7:
            _graph(whole.inner(one), model, files)
        elif one.number == 1 and one.wire == VARINT:
            model.facts["ir_version"] = one.value
        elif one.number in (2, 3) and one.end - one.start <= 200:
            name = {2: "producer", 3: "producer_version"}[one.number]
            model.facts[name] = printable(_text(whole, one))
    check_entries(model.tensors)
    _check_apart(model.tensors)
    values = Values(opened.file)
    numbers = _whole_numbers(model.tensors, values)
    tensors, facts, notes = by_nodes(model.tensors, model.nodes, numbers)
    return Contents(
        "ONNX",
        tensors,
        values,
        ordered=bool(model.nodes),
        notes=(*model.notes, *_made(model), *notes),
        facts=model.facts | facts,
        nbytes=opened.size + files.size,
    )


def _whole_numbers(tensors: dict[str, Tensor], values: Values) -> Numbers:
    """Reads short lists of whole numbers, such as axes and shapes."""

    def numbers(name: str) -> list[int] | None:
        found = tensors.get(name)
        if found is None or found.dtype_name != "int64" or found.size > _MOST_DIMENSIONS:
            return None
        return [int(number) for number in values.read(found).reshape(-1)]

    return numbers


def _check_apart(tensors: dict[str, Tensor]) -> None:
    """Refuse values that lie in those of another tensor of a file beside the model."""
    ranges: dict[int, list[tuple[int, int]]] = {}
    for tensor in tensors.values():
        if (storage := tensor.storage) is not None and storage.file is not None:
            place = storage.position, storage.position + storage.nbytes
            ranges.setdefault(id(storage.file), []).append(place)
    for places in ranges.values():
        if found := overlap(places):
            raise broken(f"the values at byte {found[0]:,} beside it are those of two tensors")


def _made(model: _Model) -> list[Note]:
    """Notes of the kernels of convolutions that are no tensors of the file."""
    reason = "a kernel that is not stored: an input, or made by other nodes"
    return [
        Note(node.inputs[1], (), node.kind, reason)
        for node in model.nodes
        if node.kind in ("Conv", "ConvTranspose")
        and len(node.inputs) > 1
        and node.inputs[1] not in model.tensors
    ]


def _graph(graph: Message, model: _Model, files: Neighbours) -> None:
    for one in graph.fields():
        if one.number == 5:
            _keep(model, graph.inner(one), files)
        elif one.number == 1:
            if len(model.nodes) >= _MOST_NODES:
                raise broken(f"more than {_MOST_NODES:,} nodes")
            _node(graph.inner(one), model, files)
        elif one.number == 15:
            model.notes.append(Note("", (), "sparse", "a sparse initialiser"))


def _node(message: Message, model: _Model, files: Neighbours) -> None:
    node = Node()
    constant: Message | None = None
    inner = 0
    for one in message.fields():
        if one.number == 1:
            node.inputs.append(_text(message, one))
        elif one.number == 2:
            node.outputs.append(_text(message, one))
        elif one.number == 4:
            node.kind = _text(message, one)
        elif one.number == 5:
            said = _attribute(message.inner(one))
            inner += said.graphs
            if said.tensor is not None and said.name == "value":
                constant = said.tensor
            elif said.name == "transB":
                node.transposed = bool(said.value)
            elif said.name in ("perm", "axes"):
                node.axes = said.numbers
            elif said.name == "axis":
                node.axis = said.value
            elif said.name == "group":
                node.groups = said.value
    if node.kind == "Constant" and constant is not None and node.outputs:
        _keep(model, constant, files, node.outputs[0])
    else:
        model.nodes.append(node)
    if inner:
        name = node.outputs[0] if node.outputs else node.kind
        reason = f"the tensors in {inner} graphs within a node are not read"
        model.notes.append(Note(name, (), node.kind[:60], reason))


@dataclass
class _Attribute:
    """An attribute of a node; `graphs` is how many it holds."""

    name: str = ""
    value: int = 0
    numbers: list[int] = field(default_factory=list)
    tensor: Message | None = None
    graphs: int = 0


def _attribute(message: Message) -> _Attribute:
    said = _Attribute()
    for one in message.fields():
        if one.number == 1:
            said.name = _text(message, one)
        elif one.number == 3:
            said.value = one.value
        elif one.number == 5:
            said.tensor = message.inner(one)
        elif one.number == 8 and (one.wire == VARINT or one.end - one.start <= _SHORT_NUMBERS):
            found = [one.value] if one.wire == VARINT else _numbers(message, one)
            said.numbers += [number - 2**64 if number >= 2**63 else number for number in found]
        elif one.number in (6, 11):
            said.graphs += 1
    return said


def _text(message: Message, one: Field) -> str:
    return message.content(one, _LONGEST_NAME).decode("utf-8", "replace")


@dataclass
class _Said:
    """What a TensorProto says."""

    dims: list[int] = field(default_factory=list)
    kind: int = 0
    name: str = ""
    typed: list[Field] = field(default_factory=list)
    raw: Field | None = None
    outside: dict[str, str] = field(default_factory=dict)
    is_outside: bool = False


def _keep(model: _Model, message: Message, files: Neighbours, name: str = "") -> None:
    said = _said(message)
    name = name or said.name
    if name in model.tensors:
        raise broken(f"{printable(name, 60)} is in it twice")
    shape = tuple(said.dims)
    dtype = DTYPES.get(_TYPES.get(said.kind, ""))
    if dtype is None:
        what = _OTHERS.get(said.kind, f"type {said.kind}")
        model.notes.append(Note(name, shape, what, "of a dtype that torch does not have"))
        return
    model.tensors[name] = _tensor(message, said, shape, dtype, files)


def _said(message: Message) -> _Said:
    said = _Said()
    for one in message.fields():
        if one.number == 1:
            packed = one.wire != VARINT
            sides = _numbers(message, one)[: _MOST_DIMENSIONS + 1].tolist() if packed else ()
            said.dims += sides if packed else [one.value]
        elif one.number == 2:
            said.kind = one.value
        elif one.number == 8:
            said.name = _text(message, one)
        elif one.number == 9:
            said.raw = one
        elif one.number in (4, 5, 7, 10, 11):
            said.typed.append(one)
        elif one.number == 13:
            entry = {e.number: _text(message, e) for e in message.inner(one).fields()}
            said.outside[entry.get(1, "")] = entry.get(2, "")
        elif one.number == 14:
            said.is_outside = one.value == 1
    if len(said.dims) > _MOST_DIMENSIONS or not all(0 <= side <= _LONGEST for side in said.dims):
        raise broken("the shape of a tensor is none")
    return said


def _numbers(message: Message, one: Field) -> NDArray[np.uint64]:
    return varints(message.content(one, _LONGEST_NUMBERS))


def _tensor(
    message: Message, said: _Said, shape: tuple[int, ...], dtype: DType, files: Neighbours
) -> Tensor:
    nbytes = math.prod(shape) * dtype.itemsize
    plain = Tensor(dtype, shape, contiguous(shape), 0)
    if said.is_outside:
        plain.storage = _outside(said, dtype, nbytes, files)
        return plain
    bulk = said.raw
    if bulk is None and len(said.typed) == 1 and said.typed[0].wire == BYTES:
        one = said.typed[0]
        if (one.number, dtype.name) in ((4, "float32"), (10, "float64"), (4, "complex64")):
            bulk = one
    if bulk is not None:
        if bulk.wire != BYTES or bulk.end - bulk.start != nbytes:
            raise broken(
                f"{printable(said.name, 60)} of shape {list(shape)[:8]} in "
                f"{bulk.end - bulk.start:,} bytes"
            )
        plain.storage = Storage(dtype, nbytes, bulk.start)
        return plain
    if nbytes and not said.typed:
        raise broken(f"{printable(said.name, 60)} has no values")
    if math.prod(shape) > sum(one.end - one.start for one in said.typed):
        raise broken(f"{printable(said.name, 60)} has fewer values than its shape")
    return Tensor(dtype, shape, contiguous(shape), compute=_typed(message, said, shape, dtype))


def _typed(
    message: Message, said: _Said, shape: tuple[int, ...], dtype: DType
) -> Callable[[], np.ndarray]:
    """Reads values that are fields of their own, or numbers of variable length."""

    def values() -> np.ndarray:
        pieces: list[np.ndarray] = []
        for one in said.typed:
            if one.wire == VARINT:
                pieces.append(np.array([one.value], np.uint64))
            elif one.number in (4, 10):
                form = "<f4" if one.number == 4 else "<f8"
                raw = message.content(
                    Field(one.number, BYTES, 0, one.start, one.end), _LONGEST_NUMBERS
                )
                if len(raw) % int(form[-1]):
                    raise broken("a part of a number")
                pieces.append(np.frombuffer(raw, form))
            else:
                pieces.append(_numbers(message, one))
        found = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        if found.size != math.prod(shape):
            raise broken(f"{printable(said.name, 60)} has {found.size:,} values")
        if found.dtype == np.uint64:
            width = np.dtype(f"<u{min(dtype.itemsize, 8)}")
            found = dtype.decode(found.astype(width).view(UINT8.code))
        return found.reshape(shape)

    return values


def _outside(said: _Said, dtype: DType, nbytes: int, files: Neighbours) -> Storage:
    """Where the values of a tensor are in a file beside the model."""
    file, size = files.beside(said.outside.get("location", ""))
    start, length = (_whole(said.outside.get(key, "")) for key in ("offset", "length"))
    if (length or nbytes) != nbytes or start + nbytes > size:
        raise Refusal(
            f"damaged ({printable(said.name, 60)} has {min(nbytes, 10**18):,} bytes, of which "
            f"{printable(said.outside.get('location', ''), 80)} does not have all)",
            "fetch both files again",
        )
    return Storage(dtype, nbytes, start, file=file)


def _whole(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise broken("an offset that is no number")
    return int(text)


FORM = Form("ONNX", (".onnx",), _fits, _read)
