"""Sound files of every form of checkpoints, small ones and some of a megabyte, to be damaged.

Those that need other libraries are in `tests/assets/formats`. The large ones are made of them here,
so that the room which a reader takes can be compared with the size of its file.
"""

from __future__ import annotations

import functools
import io
import json
import pickle
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from support import one_net

ASSETS = Path(__file__).parents[1] / "assets" / "formats"
SIDE = 550  # of a large tensor: 1.2 MB
Files = dict[str, bytes]


@dataclass(frozen=True)
class Whole:
    """A sound checkpoint.

    Attributes
    ----------
    name : str
        What it is called here.
    files : dict of str to bytes
        The file that is read, then those that it names.
    family : str
        How its bytes are made up, which says how it may be damaged; see `damage`.
    checked : bool
        Whether it has checksums of its values.
    like : str
        Which library reads it too: "torch", "safetensors", "numpy", or one that may be missing.
    """

    name: str
    files: Files
    family: str
    checked: bool = False
    like: str = ""


class Net(torch.nn.Module):
    """A whole module to be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3)
        self.bn = torch.nn.BatchNorm2d(3)
        self.fc = torch.nn.Linear(27, 4)
        found = {k: torch.from_numpy(v) for k, v in one_net.tensors().items()}
        self.load_state_dict(found, strict=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.bn(self.conv(x)).flatten(1))


def state(large: bool) -> dict[str, torch.Tensor]:
    """Tensors of values that stand nowhere else."""
    base = torch.arange(60, dtype=torch.float32).reshape(6, 10) + 1000.5
    found = {
        "conv.weight": torch.arange(36, dtype=torch.float32).reshape(2, 2, 3, 3) + 0.25,
        "conv.bias": torch.tensor([-1.5, -2.5]),
        "view.weight": base[1:4, 2:5],
        "turned.weight": base.T,
        "half.weight": (torch.arange(8).reshape(2, 4) + 101).to(torch.float16),
        "fine.weight": torch.arange(6, dtype=torch.float64).reshape(2, 3) + 7000.125,
        "steps": torch.tensor(12),
    }
    if large:
        found["fc.weight"] = torch.arange(SIDE * SIDE).reshape(SIDE, SIDE) + 2.0**20 + 0.0625
    return found


def _saved(form: str, large: bool) -> Files:
    buffer = io.BytesIO()
    content = {"epoch": 3, "state_dict": state(large), "optimizer": {"lr": 0.1, "steps": [1, 2]}}
    torch.save(content, buffer, _use_new_zipfile_serialization=form == "zip")
    return {"net.pt": buffer.getvalue()}


def _module() -> Files:
    buffer = io.BytesIO()
    torch.save(Net(), buffer)
    return {"net.pt": buffer.getvalue()}


def _script() -> Files:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Net().eval(), torch.zeros(1, 2, 5, 5)), buffer)
    return {"net.pt": buffer.getvalue()}


def _pickled(large: bool) -> Files:
    found: dict[str, object] = {k: v.numpy() for k, v in state(large).items()}
    found["inner.weight"] = state(False)["conv.weight"] + 500  # a torch file within the pickle
    return {"net.pkl": pickle.dumps({"state_dict": found, "epoch": 3}, protocol=4)}


def _flat(large: bool) -> dict[str, torch.Tensor]:
    return {k: v.contiguous() for k, v in state(large).items()}


def _safetensors(large: bool) -> Files:
    return {"net.safetensors": safetensors.torch.save(_flat(large), {"format": "pt"})}


def _shards(form: str) -> Files:
    found = list(_flat(False).items())
    files: Files = {"": b""}
    index: dict[str, str] = {}
    for number, part in enumerate((found[:3], found[3:]), 1):
        name = f"model-0000{number}-of-00002.{form}"
        index |= {key: name for key, _ in part}
        if form == "bin":
            buffer = io.BytesIO()
            torch.save(dict(part), buffer)
            files[name] = buffer.getvalue()
        else:
            files[name] = safetensors.torch.save(dict(part))
    said = {"metadata": {"total_size": 1}, "weight_map": index}
    del files[""]
    return {f"model.{form}.index.json": json.dumps(said, indent=1).encode(), **files}


def _arrays(large: bool) -> dict[str, np.ndarray]:
    found = {k: v.numpy() for k, v in state(large).items()}
    return found | {"big.weight": found["conv.weight"].astype(">f4") + 700}


def _npz(save: Callable[..., None], large: bool) -> Files:
    buffer = io.BytesIO()
    save(buffer, **_arrays(large))
    return {"net.npz": buffer.getvalue()}


def _npy(content: object) -> Files:
    buffer = io.BytesIO()
    np.save(buffer, content, allow_pickle=True)  # type: ignore[arg-type]
    return {"net.npy": buffer.getvalue()}


def _asset(name: str, *more: str) -> Files:
    return {each: (ASSETS / each).read_bytes() for each in (name, *more)}


def _many(shape: tuple[int, ...]) -> np.ndarray:
    return (np.arange(np.prod(shape), dtype=np.float32) + 2**20 + 0.0625).reshape(shape)


def _large_hdf5() -> Files:
    """The kernel of the dense layer moved to the end of the file, with many more columns."""
    data = (ASSETS / "keras.weights.h5").read_bytes()
    kernel = one_net.channels_last()["fc.weight"]
    at = data.index(kernel.tobytes())
    where = data.index(struct.pack("<BBQQ", 3, 1, at, kernel.nbytes))
    new = _many((27, 12_000))
    end = struct.pack("<Q", len(data))
    assert data.count(end) >= 1  # the end of the file in its first block
    changed = bytearray(data)
    changed[where : where + 18] = struct.pack("<BBQQ", 3, 1, len(data), new.nbytes)
    old, wide = (struct.pack("<QQ", *shape) for shape in (kernel.shape, new.shape))
    begin = where - 160  # the header of the dataset: the shape, and perhaps the largest one
    changed[begin:where] = changed[begin:where].replace(old, wide)
    place = data.index(end)
    changed[place : place + 8] = struct.pack("<Q", len(data) + new.nbytes)
    return {"net.h5": bytes(changed) + new.tobytes()}


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _large_onnx() -> Files:
    def tensor(name: str, values: np.ndarray, kind: int) -> bytes:
        dims = b"".join(field(1, side) for side in values.shape)
        return field(
            5, dims + field(2, kind) + field(8, name.encode()) + field(9, values.tobytes())
        )

    def node(kind: str, inputs: list[str], output: str) -> bytes:
        said = b"".join(field(1, name.encode()) for name in inputs)
        return field(1, said + field(2, output.encode()) + field(4, kind.encode()))

    half = (np.arange(40).reshape(5, 8) + 101).astype(np.float16)
    graph = node("MatMul", ["x", "a.weight"], "y") + node("Gemm", ["y", "b.weight", "b.bias"], "z")
    graph += tensor("a.weight", _many((SIDE, SIDE)), 1) + tensor("b.weight", half, 10)
    graph += tensor("b.bias", np.arange(5) + 7000.125, 11)
    return {"net.onnx": field(1, 8) + field(2, b"made") + field(7, graph) + field(8, field(2, 17))}


def _large_gguf() -> Files:
    def text(said: str) -> bytes:
        return struct.pack("<Q", len(said)) + said.encode()

    draw = np.random.Generator(np.random.PCG64(5))
    wide = draw.integers(0, 0x3C, (64, 4096 // 32 * 34)).astype(np.uint8).tobytes()
    rows = [
        ("a.weight", (1024, 256), 0, _many((256, 1024)).tobytes()),
        ("q.weight", (4096, 64), 8, wide),
    ]
    rows.append(("b.bias", (5,), 1, (np.arange(5) + 101).astype(np.float16).tobytes()))
    keys = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), 1) + keys
    at, body = 0, b""
    for name, sides, kind, values in rows:
        head += text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, kind, at)
        body += values + bytes(-len(values) % 32)
        at = len(body)
    return {"net.gguf": head + bytes(-len(head) % 32) + body}


def _large_flax() -> Files:
    def array(values: np.ndarray) -> bytes:
        shape = bytes([0x90 | values.ndim]) + b"".join(
            b"\xcd" + struct.pack(">H", n) for n in values.shape
        )
        raw = values.tobytes()
        inner = b"\x93" + shape + b"\xa7float32" + b"\xc6" + struct.pack(">I", len(raw)) + raw
        return b"\xc9" + struct.pack(">Ib", len(inner), 1) + inner

    layer = b"\x82\xa6kernel" + array(_many((SIDE, SIDE))) + b"\xa4bias" + array(_many((SIDE,)) * 8)
    return {"net.msgpack": b"\x81\xa6params\x81\xa7Dense_0" + layer}


_MAKERS: dict[str, Callable[[], Whole]] = {}


def _add(name: str, make: Callable[[], Files], family: str, **more: object) -> None:
    _MAKERS[name] = lambda: Whole(name, make(), family, **more)  # type: ignore[arg-type]


for _large, _more in ((False, ""), (True, ", large")):
    _add(
        f"torch{_more}", functools.partial(_saved, "zip", _large), "zip", checked=True, like="torch"
    )
    _add(
        f"torch before 1.6{_more}",
        functools.partial(_saved, "old", _large),
        "pickles",
        like="torch",
    )
    _add(f"pickle{_more}", functools.partial(_pickled, _large), "pickles")
    _add(
        f"safetensors{_more}",
        functools.partial(_safetensors, _large),
        "safetensors",
        like="safetensors",
    )
    _add(
        f"npz{_more}", functools.partial(_npz, np.savez, _large), "zip", checked=True, like="numpy"
    )
_add("module", _module, "zip", checked=True)
_add("TorchScript", _script, "zip", checked=True)
_add("index, safetensors", lambda: _shards("safetensors"), "index")
_add("index, torch", lambda: _shards("bin"), "index")
_add(
    "npz, deflated", lambda: _npz(np.savez_compressed, False), "zip", checked=True, like="numpy"
)  # fmt: skip
_add("npy", lambda: _npy(_arrays(False)["conv.weight"]), "npy", like="numpy")
_add("npy, large", lambda: _npy(np.asfortranarray(_many((SIDE, SIDE)))), "npy", like="numpy")
_add("npy, a dict", lambda: _npy(_arrays(False)), "npy")
_add("Keras .h5", lambda: _asset("keras.h5"), "hdf5", like="h5py")
_add("Keras .h5 of weights", lambda: _asset("keras-weights.h5"), "hdf5", like="h5py")
_add("Keras .weights.h5", lambda: _asset("keras.weights.h5"), "hdf5", like="h5py")
_add(
    "Keras .weights.h5, bfloat16", lambda: _asset("keras-bfloat16.weights.h5"), "hdf5", like="h5py"
)
_add("Keras .keras", lambda: _asset("keras.keras"), "zip", checked=True)
_add("HDF5 in chunks", lambda: _asset("chunks.h5"), "hdf5", like="h5py")
_add("HDF5, large", _large_hdf5, "hdf5", like="h5py")
_add("ONNX of torch", lambda: _asset("torch.onnx"), "protobuf", like="onnx")
_add("ONNX, numbers as fields", lambda: _asset("matmul.onnx"), "protobuf", like="onnx")
_add("ONNX, values outside", lambda: _asset("outside.onnx", "outside.data"), "protobuf")
_add("ONNX, large", _large_onnx, "protobuf", like="onnx")
_add("GGUF of every type", lambda: _asset("small.gguf"), "gguf", like="gguf")
_add("GGUF, large", _large_gguf, "gguf", like="gguf")
_add("flax", lambda: _asset("flax.msgpack"), "msgpack", like="flax")
_add("flax in pieces", lambda: _asset("pieces.msgpack"), "msgpack")
_add("flax, a train state", lambda: _asset("state.msgpack"), "msgpack", like="flax")
_add("flax, large", _large_flax, "msgpack", like="flax")

NAMES = tuple(_MAKERS)


@functools.cache
def whole(name: str) -> Whole:
    """The sound checkpoint of a name."""
    return _MAKERS[name]()
