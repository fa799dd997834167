"""What other libraries read of a file; some are not installed where the tests usually run."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

Arrays = dict[str, tuple[str, np.ndarray]]  # by name: the type, and the values as float32


@dataclass(frozen=True)
class Reader:
    """A library: how it reads a file, and in what two readings differ."""

    read: Callable[[Path], Arrays]
    wrong: Callable[[Arrays, Arrays], str]


def wrong(found: Arrays, right: Arrays) -> str:
    """In which tensor two readings differ; empty where in none."""
    if sorted(found) != sorted(right):
        return f"names {sorted(found)} and {sorted(right)}"
    for name, (dtype, values) in found.items():
        if dtype != right[name][0] or values.shape != right[name][1].shape:
            return f"{name}: {dtype} {values.shape}, {right[name][0]} {right[name][1].shape}"
        if not dtype.startswith("complex"):
            with np.errstate(all="ignore"):
                if not np.array_equal(values, right[name][1].astype(np.float32), equal_nan=True):
                    return f"{name}: other values"
    return ""


def taken(found: Arrays, right: Arrays) -> str:
    """In which tensor two readings differ, of those that both have."""
    both = found.keys() & right.keys()
    return wrong({name: found[name] for name in both}, {name: right[name] for name in both})


def strange(found: Arrays, right: Arrays) -> str:
    """Which tensor has no counterpart of the same values in any order; empty where all have."""
    known = {_bag(values) for _, values in right.values()}
    for name, (dtype, values) in found.items():
        if not dtype.startswith("complex") and _bag(values) not in known:
            return f"{name}: {dtype} {values.shape} are values of none of {sorted(right)[:9]}"
    return ""


def _bag(values: np.ndarray) -> bytes:
    with np.errstate(all="ignore"):
        plain = np.nan_to_num(values.reshape(-1).astype(np.float32), nan=0.5)
    return np.sort(plain + 0.0).tobytes()


def holds(content: dict[Any, Any]) -> bool:
    """Whether tensors are in a dict, or in a dict within it."""
    inner = [value for value in content.values() if isinstance(value, dict)]
    return any(isinstance(v, torch.Tensor) for v in content.values()) or any(map(holds, inner))


def _of_torch(path: Path) -> Arrays:
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        content = torch.load(file, weights_only=True)
    # A damaged key still leads to the state dict.
    while not any(isinstance(value, torch.Tensor) for value in content.values()):
        content = next(v for v in content.values() if isinstance(v, dict) and holds(v))
    return _plain(content)


def _plain(content: dict[Any, Any]) -> Arrays:
    return {
        "tensor" if isinstance(name, torch.Tensor) else str(name): (
            str(tensor.dtype).removeprefix("torch."),
            np.zeros(tensor.shape)
            if tensor.is_complex()
            else tensor.resolve_neg().to(torch.float32).numpy(),
        )
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def _of_safetensors(path: Path) -> Arrays:
    return _plain(safetensors.torch.load(path.read_bytes()))


def _of_numpy(path: Path) -> Arrays:
    read = np.load(path, allow_pickle=False)
    if isinstance(read, np.ndarray):
        return _arrays({"array": read})
    with read:
        inner = [name for name in read.zip.namelist() if name.endswith(".npy")]
        return _arrays({name.removesuffix(".npy"): read[name] for name in inner})


def _arrays(found: dict[str, np.ndarray]) -> Arrays:
    return {
        name: (str(values.dtype.newbyteorder("=")), np.asarray(values))
        for name, values in found.items()
        if values.dtype.kind in "fiubcV"  # numbers, and bfloat16
    }


def _of_h5py(path: Path) -> Arrays:
    import h5py

    found: dict[str, np.ndarray] = {}

    def visit(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.size and one.size < 2**24:
            values = one[()]
            if values.dtype.kind == "V":  # bfloat16 of Keras
                values = (values.view("<u2").astype(np.uint32) << 16).view(np.float32)
            if values.dtype.kind in "fiub":
                found[name] = values

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return _arrays(found)


def _of_onnx(path: Path) -> Arrays:
    import onnx

    graph = onnx.load(path).graph
    tensors = [
        *graph.initializer,
        *(a.t for n in graph.node for a in n.attribute if a.HasField("t")),
    ]
    return _arrays({f"{n} {t.name}": onnx.numpy_helper.to_array(t) for n, t in enumerate(tensors)})


def _of_gguf(path: Path) -> Arrays:
    import gguf

    found = {}
    for one in gguf.GGUFReader(path).tensors:
        try:
            found[one.name] = gguf.dequantize(one.data, one.tensor_type)
        except NotImplementedError:
            continue
    return _arrays(found)


def _of_flax(path: Path) -> Arrays:
    import flax.serialization

    found: dict[str, np.ndarray] = {}
    waiting = [("", flax.serialization.msgpack_restore(path.read_bytes()))]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, dict):
            waiting += [(f"{name}.{key}", value) for key, value in node.items()]
        elif hasattr(node, "shape"):
            found[name] = np.asarray(node)
    return _arrays(found)


_KNOWN = {
    "torch": Reader(_of_torch, wrong),
    "safetensors": Reader(_of_safetensors, wrong),
    "numpy": Reader(_of_numpy, taken),
    "h5py": Reader(_of_h5py, strange),
    "onnx": Reader(_of_onnx, strange),
    "gguf": Reader(_of_gguf, strange),
    "flax": Reader(_of_flax, strange),
}
READERS = {name: one for name, one in _KNOWN.items() if importlib.util.find_spec(name)}
