"""MessagePack as `flax.serialization.to_bytes` writes it: trees of dicts with arrays in them.

Read where it lies, by the description of the format; the packages msgpack and flax are not needed.
Arrays are extensions of type 1: their shape, the name of their type, and their bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.dtypes import DTYPES, UINT8
from weightspace.checkpoints.formats.cursor import Cursor, broken
from weightspace.checkpoints.formats.turning import TURNED, in_torch_order, running, says_order
from weightspace.checkpoints.selection.optax import is_optax
from weightspace.checkpoints.selection.states import MOST_ENTRIES
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous
from weightspace.printable import printable

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_MOST_OBJECTS = 2**19
_DEEPEST = 32
_LONGEST_TEXT = 2**20
_MOST_DIMENSIONS, _LONGEST = 32, 2**48
_SIZES = {  # first byte -> what it is, and how its length or number is written
    0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I"),
    0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I"),
    0xCA: ("number", ">f"), 0xCB: ("number", ">d"),
    0xCC: ("number", ">B"), 0xCD: ("number", ">H"), 0xCE: ("number", ">I"), 0xCF: ("number", ">Q"),
    0xD0: ("number", ">b"), 0xD1: ("number", ">h"), 0xD2: ("number", ">i"), 0xD3: ("number", ">q"),
    0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_STATISTICS = "batch_stats"


def _fits(opened: Opened) -> bool:
    head = opened.head
    if not head or not (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return False
    at = {0xDE: 3, 0xDF: 5}.get(head[0], 1)
    if len(head) < at + 4:
        return False
    if 0xA1 <= head[at] <= 0xBF:
        first, length = at + 1, head[at] & 31
    elif head[at] == 0xD9:
        first, length = at + 2, head[at + 1]
    else:
        return False
    name = head[first : first + length]
    return bool(name) and all(byte >= 32 for byte in name)


def _read(opened: Opened) -> Contents:
    reader = _Reader(opened.file, opened.size)
    tree = reader.value(0)
    if reader.left:
        raise broken(f"{reader.left:,} bytes follow its content")
    if not isinstance(tree, Mapping):
        raise broken("no tree of parameters")
    content, ordered = _collections(tree)
    facts = {"transposed": TURNED, "collections": [printable(key, 60) for key in list(tree)[:20]]}
    return Contents("flax", content, reader.values, ordered, facts=facts)


def _collections(tree: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The parameters and their statistics as one dict of torch's order, beside the rest.

    The parameters are under "params", perhaps of a train state's own "params", or the whole tree.
    """
    outer = tree
    inner = tree.get("params")
    if isinstance(inner, Mapping) and isinstance(inner.get("params"), Mapping):
        outer, inner = inner, inner["params"]
    if not isinstance(inner, Mapping):
        return _without_params(tree)
    found = _flat(inner)
    for name, tensor in _flat(_statistics(outer, tree)).items():
        module, _, leaf = name.rpartition(".")
        found.setdefault(f"{module}.{running(leaf)}", tensor)
    turned = in_torch_order(found)
    known = ("params", _STATISTICS)
    rest = {key: value for key, value in tree.items() if key not in known}
    return {"params": turned, **rest}, says_order(_flat(inner))


def _without_params(tree: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A whole tree of a net, as flax.nnx has it, or several trees of which one is an optimizer."""
    rest = {key: value for key, value in tree.items() if _has_optimizer(key, value)}
    if not rest:
        found = in_torch_order(_with_statistics(_flat(tree)))
        return dict(found), says_order(found)
    nets = {
        key: in_torch_order(_with_statistics(_flat(value))) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if key not in rest
    }
    return {**nets, **rest}, all(says_order(net) for net in nets.values() if isinstance(net, dict))


def _has_optimizer(key: str, node: Any) -> bool:
    """Whether a tree is the state of an optimizer, or has it as a part."""
    inner = node.items() if isinstance(node, Mapping) else ()
    return is_optax(key, node) or any(is_optax(name, value) for name, value in inner)


def _with_statistics(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with torch's names for the mean and variance that are both in a module."""
    named: dict[str, Tensor] = {}
    for name, tensor in found.items():
        module, dot, leaf = name.rpartition(".")
        both = f"{module}{dot}mean" in found and f"{module}{dot}var" in found
        named[f"{module}{dot}{running(leaf)}" if both else name] = tensor
    return named if len(named) == len(found) else found


def _statistics(*trees: Mapping[str, Any]) -> Mapping[str, Any]:
    for tree in trees:
        if isinstance(found := tree.get(_STATISTICS), Mapping):
            return found
    return {}


def _flat(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors in dicts within dicts, with the keys joined by dots."""
    found: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, Tensor):
            found[name] = node
        elif isinstance(node, Mapping):
            prefix = f"{name}." if name else ""
            waiting += [(f"{prefix}{key}", value) for key, value in reversed(list(node.items()))]
    if len(found) > MOST_ENTRIES:
        raise broken(f"{len(found):,} arrays")
    return found


class _Reader:
    """Reads values one after another, and leaves the bytes of arrays where they are."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._cursor = Cursor(file, 0, size)
        self._objects = _MOST_OBJECTS
        self._keys: dict[str, str] = {}
        self.values = Values(file)

    @property
    def left(self) -> int:
        """The bytes that are not read."""
        return self._cursor.left

    def value(self, depth: int) -> Any:
        """The next value; arrays become tensors."""
        self._spend()
        if depth > _DEEPEST:
            raise broken("a tree that is nested without end")
        what, length = self._head()
        if what == "map":
            return self._map(length, depth)
        if what == "list":
            self._spend(length)
            return [self.value(depth + 1) for _ in range(length)]
        if what == "text":
            return self._text(length)
        if what == "bytes":
            self._cursor.skip(length)
            return f"{length:,} bytes"
        if what == "extension":
            return self._extension(length)
        return length

    def _spend(self, objects: int = 1) -> None:
        self._objects -= objects
        if self._objects < 0:
            raise broken(f"more than {_MOST_OBJECTS:,} values")

    def _head(self) -> tuple[str, Any]:
        """What comes next, and its length, or the number or constant itself."""
        first = self._cursor.take(1)[0]
        if first < 0x80 or first >= 0xE0:
            return "number", first if first < 0x80 else first - 256
        if first < 0x90:
            return "map", first & 15
        if first < 0xA0:
            return "list", first & 15
        if first < 0xC0:
            return "text", first & 31
        if first in _CONSTANTS:
            return "constant", _CONSTANTS[first]
        if 0xD4 <= first <= 0xD8:
            return "extension", 1 << (first - 0xD4)
        if first not in _SIZES:
            raise broken("no MessagePack")
        what, form = _SIZES[first]
        return what, self._cursor.numbers(form)[0]

    def _text(self, length: int) -> str:
        if length > _LONGEST_TEXT:
            raise broken(f"a text of {length:,} bytes")
        return self._cursor.take(length).decode("utf-8", "replace")

    def _map(self, length: int, depth: int) -> Any:
        found: dict[str, Any] = {}
        for _ in range(length):
            what, size = self._head()
            key = self._text(size) if what == "text" else str(size)
            if what not in ("text", "number"):
                raise broken("a key that is no text")
            if key in found:
                raise broken(f"{printable(key, 60)} is in it twice")
            found[key] = self.value(depth + 1)
        return self._whole(found) if found.get(_CHUNKED) is True else found

    def _extension(self, length: int) -> Any:
        kind = self._cursor.numbers("b")[0]
        end = self._cursor.at + length
        if kind not in (_ARRAY, _SCALAR):
            self._cursor.skip(length)
            return "a complex number" if kind == _COMPLEX else f"an extension of type {kind}"
        tensor = self._array()
        if self._cursor.at != end:
            raise broken("an array that is longer or shorter than it says")
        return tensor

    def _array(self) -> Tensor:
        """The tensor of an array: a list of its shape, the name of its type, and its bytes."""
        if self._head() != ("list", 3):
            raise broken("an array without shape, type or bytes")
        what, count = self._head()
        if what != "list" or count > _MOST_DIMENSIONS:
            raise broken("the shape of an array is none")
        self._spend(count)
        shape = _shape([self._head() for _ in range(count)])
        what, size = self._head()
        name = self._text(size) if what == "text" else ""
        what, length = self._head()
        if what != "bytes":
            raise broken("an array without bytes")
        position = self._cursor.skip(length)
        dtype = DTYPES.get("bool" if name == "bool_" else name)
        if dtype is None:
            return Tensor(UINT8, shape, kind=printable(name, 60))
        if math.prod(shape) * dtype.itemsize != length:
            raise broken(f"an array of shape {list(shape)[:8]} and {name} in {length:,} bytes")
        storage = Storage(dtype, length, position)
        return Tensor(dtype, shape, contiguous(shape), 0, storage)

    def _whole(self, said: dict[str, Any]) -> Tensor:
        """An array that flax has cut into pieces of at most a gigabyte."""
        sides, pieces = said.get("shape"), said.get("chunks")
        if not isinstance(sides, dict) or not isinstance(pieces, dict) or not pieces:
            raise broken("an array in pieces, without them")
        shape = _shape([("number", side) for side in sides.values()])
        parts = list(pieces.values())
        if not all(isinstance(part, Tensor) and not part.kind for part in parts):
            raise broken("a piece of an array is none")
        if sum(part.size for part in parts) != math.prod(shape):
            raise broken("the pieces of an array are not the whole")
        compute = _joined(self.values, parts, shape)
        return Tensor(parts[0].dtype, shape, contiguous(shape), compute=compute)


def _shape(said: list[tuple[str, Any]]) -> tuple[int, ...]:
    for what, side in said:
        if what != "number" or type(side) is not int or not 0 <= side <= _LONGEST:
            raise broken("the shape of an array is none")
    return tuple(side for _, side in said)


def _joined(
    values: Values, parts: list[Tensor], shape: tuple[int, ...]
) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        out = np.empty(math.prod(shape), np.float32)
        at = 0
        for part in parts:
            values.into(part, out[at : at + part.size])
            at += part.size
        return out.reshape(shape)

    return read


FORM = Form("flax", (".msgpack",), _fits, _read)
