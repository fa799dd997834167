"""What torch's and Python's own names in a pickle become: containers, dtypes and tensors."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from weightspace.checkpoints.dtypes import DTYPES, FLOAT32, UINT8, DType
from weightspace.checkpoints.messages import damaged, unknown
from weightspace.checkpoints.pickling import arrays
from weightspace.checkpoints.pickling.keys import fit
from weightspace.checkpoints.pickling.records import Foreign, Ordered, Record, word
from weightspace.checkpoints.tensors import Tensor, numbers, view

_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "QInt8": "qint8",
    "QInt32": "qint32",
    "QUInt8": "quint8",
    "QUInt4x2": "quint4x2",
    "QUInt2x4": "quint2x4",
}
_TENSORS = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_LATIN = ("latin1", "latin-1")


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A name that a pickle may call, and what the result of the call becomes.

    `copies` says that a call makes a copy of what its arguments contain.
    """

    name: str
    call: Callable[..., object]
    copies: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StorageType:
    """The type of a storage, which determines the type of its values."""

    dtype: DType


def meaning(name: str) -> object:
    """What the full name `module.name` stands for: a constant, a `StorageType`, a `Name`.

    Only this function decides which names become more than a record. Nothing is imported or looked
    up. A name that is not known becomes `Foreign`.
    """
    return _known().get(name) or Foreign(name)


@functools.cache
def _known() -> dict[str, object]:
    calls = [
        Name("collections.OrderedDict", _ordered_dict, copies=True),
        Name("collections.Counter", _counter, copies=True),
        Name("collections.defaultdict", _default_dict, copies=True),
        Name("collections.deque", _deque, copies=True),
        Name("copyreg._reconstructor", _reconstructed),
        Name("copyreg.__newobj__", _made),
        Name("builtins.set", _set, copies=True),
        Name("builtins.bytearray", _bytearray, copies=True),
        Name("builtins.bytes", _no_bytes),
        Name("builtins.complex", _complex),
        Name("_codecs.encode", _encode, copies=True),
        Name("torch.Size", _size, copies=True),
        Name("torch.device", _device),
        Name("torch.serialization._get_layout", _layout),
        Name("torch.storage.TypedStorage", _no_call),
        Name("torch.nn.parameter.Parameter", _parameter),
        Name("torch.Tensor", _empty),
        Name("torch._tensor._rebuild_from_type_v2", _typed),
        *(Name(name, call, copies=True) for name, call in arrays.CALLS.items()),
        *(Name(f"torch._utils.{name}", call) for name, call in _REBUILDS.items()),
        *(Name(f"torch.{kind}Tensor", _empty) for kind in _TENSORS),
        *(Name(f"torch.cuda.{kind}Tensor", _empty) for kind in _TENSORS),
        *(Name(f"torch.sparse.{kind}Tensor", _old_sparse) for kind in _TENSORS),
        *(Name(f"torch.cuda.sparse.{kind}Tensor", _old_sparse) for kind in _TENSORS),
    ]
    types: dict[str, object] = {"torch.storage.UntypedStorage": StorageType(UINT8)}
    for kind, dtype in _STORAGES.items():
        made = StorageType(DTYPES[dtype])
        types[f"torch.{kind}Storage"] = types[f"torch.cuda.{kind}Storage"] = made
    dtypes = {f"torch.{name}": dtype for name, dtype in DTYPES.items()}
    return {name.name: name for name in calls} | types | dtypes


# ---- containers and scalars, made of data that was read before


def _items(found: object) -> Any:
    if type(found) not in (tuple, list, dict, Ordered, set):
        raise damaged(f"a container made of a {type(found).__name__}")
    return found


def _ordered_dict(pairs: object = ()) -> Ordered:
    made = Ordered()
    for pair in _items(pairs):  # as Python 2 writes them
        if type(pair) not in (tuple, list) or len(pair) != 2:
            raise damaged("an OrderedDict that is not made of pairs")
        made[fit(pair[0])] = pair[1]
    return made


def _counter(counts: object = None) -> Counter[Any]:
    if counts is not None and type(counts) is not dict:
        raise damaged(f"a Counter of a {type(counts).__name__}")
    made: Counter[Any] = Counter()
    dict.update(made, counts or {})  # without adding counts
    return made


def _default_dict(factory: object = None, content: object = ()) -> dict[Any, Any]:
    """A dict; what the factory would make for missing keys is not needed."""
    return dict(content) if isinstance(content, dict) else dict(_ordered_dict(content))


def _deque(members: object = (), longest: object = None) -> list[Any]:
    return list(_items(members))


def _reconstructed(kind: object, base: object = None, content: object = None) -> Record:
    """An object of a class, as protocols 0 and 1 make it."""
    return Record(_name_of(kind), () if content is None else (content,))


def _made(kind: object, *arguments: object) -> object:
    """An object of a class, as protocol 2 makes it by its own function."""
    return kind.call(*arguments) if isinstance(kind, Name) else Record(_name_of(kind), arguments)


def _name_of(kind: object) -> str:
    if isinstance(kind, Foreign | Name | Record):
        return kind.name
    raise damaged(f"an object of a {type(kind).__name__}")


def _set(members: object = ()) -> set[Any]:
    return {fit(member) for member in _items(members)}


def _encode(text: object, codec: object = "") -> bytes:
    """Bytes, which pickles of protocol 2 store as text; other codecs could take very long."""
    if type(text) is not str or type(codec) is not str or codec not in _LATIN:
        raise unknown(f"text encoded as {word(codec)!r}")
    return text.encode("latin1")


def _no_bytes(*arguments: object) -> bytes:
    """Bytes of length 0, which protocol 2 stores as a call."""
    if arguments:
        raise unknown("bytes that are made by a call")
    return b""


def _bytearray(content: object = b"", codec: object = "latin1") -> bytearray:
    if type(content) is str:
        content = _encode(content, codec)
    if type(content) is not bytes:
        raise unknown(f"a bytearray of a {type(content).__name__}")
    return bytearray(content)


def _complex(real: object, imaginary: object) -> complex:
    if not isinstance(real, int | float) or not isinstance(imaginary, int | float):
        raise damaged("a complex number that is not made of numbers")
    return complex(real, imaginary)


def _size(sides: object = ()) -> tuple[int, ...]:
    return numbers(tuple(_items(sides)))


def _device(kind: object, index: object = None) -> str:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise damaged("a device without a name")
    return kind if index is None else f"{kind}:{index}"


def _layout(name: object) -> str:
    return word(name).removeprefix("torch.")


def _no_call(*_: object) -> object:
    raise unknown("a storage whose values are not in the file")


# ---- tensors


def _empty(*arguments: object) -> Tensor:
    """A tensor that old pickles fill by BUILD; with arguments, torch would use unset memory."""
    if arguments:
        raise unknown("a tensor whose values are not in the file")
    return Tensor(FLOAT32, (0,), (1,))


def _v1(storage: object, offset: object, shape: object, stride: object) -> Tensor:
    tensor = view(storage, offset, shape, stride)
    if tensor.dtype.quantised:
        tensor.kind = "quantised"
    return tensor


def _v2(
    storage: object,
    offset: object,
    shape: object,
    stride: object,
    requires_grad: object,
    hooks: object,
    metadata: object = None,
) -> Tensor:
    return _with_metadata(_v1(storage, offset, shape, stride), metadata)


def _v3(
    storage: object,
    offset: object,
    shape: object,
    stride: object,
    requires_grad: object,
    hooks: object,
    dtype: object,
    metadata: object = None,
) -> Tensor:
    """A tensor with a dtype that has no storage type of its own."""
    return _with_metadata(view(storage, offset, shape, stride, _dtype(dtype)), metadata)


def _with_metadata(tensor: Tensor, metadata: object) -> Tensor:
    if not metadata:
        return tensor
    if type(metadata) is not dict or not all(type(bit) is bool for bit in metadata.values()):
        raise damaged("tensor metadata that are not flags")
    if metadata.get("conj") and not tensor.dtype.complex:
        raise damaged("a tensor of real numbers that are conjugated")
    # The values of complex tensors are never read, so their conjugation is not needed.
    tensor.negative = bool(metadata.get("neg"))
    return tensor


def _dtype(found: object) -> DType:
    if not isinstance(found, DType):
        raise damaged(f"a {type(found).__name__} as a dtype")
    return found


def _copy(data: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise damaged(f"a parameter of a {type(data).__name__}")
    return replace(data)


def _parameter(data: object = None, *_: object) -> Tensor:
    """A tensor; the attributes and hooks of a parameter are not needed."""
    return _empty() if data is None else _copy(data)


def _typed(rebuild: object, kind: object, arguments: object, state: object) -> Tensor:
    """A tensor of another class, or with attributes, which are dropped."""
    calls = tuple(_REBUILDS.values())
    if not isinstance(rebuild, Name) or rebuild.call not in calls or type(arguments) is not tuple:
        raise damaged("a tensor that is not rebuilt by a function of torch")
    return _copy(rebuild.call(*arguments))


def _from_cpu(data: object, dtype: object, device: object, requires_grad: object) -> Tensor:
    tensor = _copy(data)
    if tensor.dtype != dtype:
        raise unknown("a tensor that changes its dtype when it is read")
    return tensor


def _from_numpy(data: object, dtype: object = None, *_: object) -> Tensor:
    tensor = _copy(data)
    if tensor.dtype != dtype:
        raise unknown("a tensor that changes its dtype when it is read")
    return tensor


def _quantised(storage: object, offset: object, shape: object, *_: object) -> Tensor:
    return Tensor(_dtype(getattr(storage, "dtype", None)), numbers(shape), kind="quantised")


def _sparse(layout: object, data: object) -> Tensor:
    coordinates = layout == "sparse_coo"
    if type(data) is not tuple or len(data) < 3 + (not coordinates):
        raise damaged("a sparse tensor without its parts")
    values, shape = data[1:3] if coordinates else data[2:4]
    return Tensor(_copy(values).dtype, numbers(shape), kind="sparse")


def _old_sparse(indices: object, values: object, shape: object) -> Tensor:
    return _sparse("sparse_coo", (indices, values, shape))


def _meta(dtype: object, shape: object, stride: object, requires_grad: object) -> Tensor:
    return Tensor(_dtype(dtype), numbers(shape), kind="meta")


def _nested(buffer: object, *_: object) -> Tensor:
    return Tensor(_copy(buffer).dtype, (), kind="nested")


def _wrapper(kind: object, dtype: object, shape: object, *_: object) -> Tensor:
    return Tensor(_dtype(dtype), numbers(shape), kind="wrapper")


_REBUILDS: dict[str, Callable[..., Tensor]] = {
    "_rebuild_tensor": _v1,
    "_rebuild_tensor_v2": _v2,
    "_rebuild_tensor_v3": _v3,
    "_rebuild_parameter": _parameter,
    "_rebuild_parameter_with_state": _parameter,
    "_rebuild_device_tensor_from_cpu_tensor": _from_cpu,
    "_rebuild_device_tensor_from_numpy": _from_numpy,
    "_rebuild_qtensor": _quantised,
    "_rebuild_sparse_tensor": _sparse,
    "_rebuild_meta_tensor_no_storage": _meta,
    "_rebuild_nested_tensor": _nested,
    "_rebuild_wrapper_subclass": _wrapper,
}


def fill(tensor: Tensor, state: object) -> Tensor:
    """What NumPy, and torch before 0.4, put into an empty tensor by BUILD."""
    if arrays.describes(state):
        return arrays.filled(state)
    if type(state) is not tuple or len(state) not in (3, 4, 5):
        raise damaged("a tensor filled with an invalid state")
    if len(state) == 4:
        return _v1(*state)
    return tensor if len(state) == 3 else _copy(state[0])
