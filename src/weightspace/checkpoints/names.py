"""What the names in a pickle mean: torch's own names become data, all others are refused."""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from weightspace.checkpoints.keys import fit
from weightspace.checkpoints.messages import damaged, foreign, unknown
from weightspace.checkpoints.tensors import Tensor, numbers, view

_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "QInt8": torch.qint8,
    "QInt32": torch.qint32,
    "QUInt8": torch.quint8,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}
_QUANTISED = {dtype for name, dtype in _STORAGES.items() if name.startswith("Q")}
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

    dtype: torch.dtype


def meaning(name: str) -> object:
    """What the full name `module.name` stands for: a constant, a `StorageType` or a `Name`.

    Only this function decides which names are accepted. Nothing is imported or looked up. Raises
    Refusal for every name that torch's state dicts do not need.
    """
    found = _known().get(name)
    if found is None:
        raise foreign(name.removeprefix("builtins."))
    return found


@functools.cache
def _known() -> dict[str, object]:
    calls = [
        Name("collections.OrderedDict", _ordered_dict, copies=True),
        Name("collections.Counter", _counter, copies=True),
        Name("builtins.set", _set, copies=True),
        Name("builtins.bytearray", _bytearray, copies=True),
        Name("builtins.complex", _complex),
        Name("_codecs.encode", _encode, copies=True),
        Name("torch.Size", _size, copies=True),
        Name("torch.device", _device),
        Name("torch.serialization._get_layout", _layout),
        Name("torch.storage.TypedStorage", _no_call),
        Name("torch.nn.parameter.Parameter", _parameter),
        Name("torch.Tensor", _empty),
        Name("torch._tensor._rebuild_from_type_v2", _typed),
        *(Name(f"torch._utils.{name}", call) for name, call in _REBUILDS.items()),
        *(Name(f"torch.{kind}Tensor", _empty) for kind in _TENSORS),
        *(Name(f"torch.cuda.{kind}Tensor", _empty) for kind in _TENSORS),
        *(Name(f"torch.sparse.{kind}Tensor", _old_sparse) for kind in _TENSORS),
        *(Name(f"torch.cuda.sparse.{kind}Tensor", _old_sparse) for kind in _TENSORS),
    ]
    types: dict[str, object] = {"torch.storage.UntypedStorage": StorageType(torch.uint8)}
    for kind, dtype in _STORAGES.items():
        types[f"torch.{kind}Storage"] = types[f"torch.cuda.{kind}Storage"] = StorageType(dtype)
    inert = {
        str(value): value
        for value in vars(torch).values()
        if isinstance(value, torch.dtype | torch.qscheme)
    }
    return {name.name: name for name in calls} | types | inert


# ---- containers and scalars, made of data that was read before


def _items(found: object) -> Any:
    if type(found) not in (tuple, list, dict, OrderedDict, set):
        raise damaged(f"a container made of a {type(found).__name__}")
    return found


def _ordered_dict(pairs: object = ()) -> OrderedDict[Any, Any]:
    made: OrderedDict[Any, Any] = OrderedDict()
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


def _set(members: object = ()) -> set[Any]:
    return {fit(member) for member in _items(members)}


def _encode(text: object, codec: object = "") -> bytes:
    """Bytes, which pickles of protocol 2 store as text; other codecs could take very long."""
    if type(text) is not str or codec not in _LATIN:
        raise unknown(f"text encoded as {codec!r}")
    return text.encode("latin1")


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


def _size(sides: object = ()) -> torch.Size:
    return torch.Size(numbers(tuple(_items(sides))))


def _device(kind: object, index: object = None) -> torch.device:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise damaged("a device without a name")
    try:
        return torch.device(kind if index is None else f"{kind}:{index}")
    except RuntimeError:
        raise damaged(f"{kind!r} is not a device") from None


def _layout(name: object) -> torch.layout:
    found = vars(torch).get(str(name).removeprefix("torch."))
    if not isinstance(found, torch.layout):
        raise damaged(f"{name!r} is not a layout of tensors")
    return found


def _no_call(*_: object) -> object:
    raise unknown("a storage whose values are not in the file")


# ---- tensors


def _empty(*arguments: object) -> Tensor:
    """A tensor that old pickles fill by BUILD; with arguments, torch would use unset memory."""
    if arguments:
        raise unknown("a tensor whose values are not in the file")
    return Tensor(torch.float32, (0,), (1,))


def _v1(storage: object, offset: object, shape: object, stride: object) -> Tensor:
    tensor = view(storage, offset, shape, stride)
    if tensor.dtype in _QUANTISED:
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
    if metadata.get("conj") and not tensor.dtype.is_complex:
        raise damaged("a tensor of real numbers that are conjugated")
    # The values of complex tensors are never read, so their conjugation is not needed.
    tensor.negative = bool(metadata.get("neg"))
    return tensor


def _dtype(found: object) -> torch.dtype:
    if not isinstance(found, torch.dtype):
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


def _from_numpy(*_: object) -> Tensor:
    raise unknown("a tensor made of a NumPy array")


def _quantised(storage: object, offset: object, shape: object, *_: object) -> Tensor:
    return Tensor(_dtype(getattr(storage, "dtype", None)), numbers(shape), kind="quantised")


def _sparse(layout: object, data: object) -> Tensor:
    coordinates = layout is torch.sparse_coo
    if type(data) is not tuple or len(data) < 3 + (not coordinates):
        raise damaged("a sparse tensor without its parts")
    values, shape = data[1:3] if coordinates else data[2:4]
    return Tensor(_copy(values).dtype, numbers(shape), kind="sparse")


def _old_sparse(indices: object, values: object, shape: object) -> Tensor:
    return _sparse(torch.sparse_coo, (indices, values, shape))


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
    """What torch before 0.4 puts into an empty tensor by BUILD."""
    if type(state) is not tuple or len(state) not in (3, 4, 5):
        raise damaged("a tensor filled with an invalid state")
    if len(state) == 4:
        return _v1(*state)
    return tensor if len(state) == 3 else _copy(state[0])
