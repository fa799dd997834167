"""Files that torch writes, in every form it has: our reader gives what torch's own gives."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch._weights_only_unpickler import _get_allowed_globals

from weightspace.checkpoints import read_checkpoint
from weightspace.checkpoints.files import Stored, read_file
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.pickling.names import meaning
from weightspace.checkpoints.pickling.records import Foreign
from weightspace.disk import InnerPath
from weightspace.errors import DataError

FORMS = [
    {"_use_new_zipfile_serialization": new, "pickle_protocol": protocol}
    for new in (True, False)
    for protocol in (2, 3, 4, 5)
]


def tensors() -> dict[str, torch.Tensor]:
    """Tensors of all shapes and kinds that state dicts have, none with two values alike."""
    torch.manual_seed(0)
    base = torch.randn(12, 10)
    tied = torch.randn(4, 5)
    found = {
        "plain.weight": torch.randn(3, 4),
        "view.weight": base[2:5, 1:4],
        "row.weight": base[3],
        "turned.weight": base.T,
        "last.weight": torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last),
        "strided.weight": base[::3, ::2],
        "one.weight": base[11:, 9:],
        "expanded.weight": torch.randn(3, 1).expand(3, 4),
        "tied.weight": tied,
        "again.weight": tied,
        "parameter": nn.Parameter(torch.randn(2, 2)),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0),
        "empty.weight": torch.zeros(3, 0, 2),
        "part.of.empty": torch.zeros(4, 4)[2:2],
        "complex": torch.randn(2, 3, dtype=torch.complex64),
    }
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64"):
        found[f"{name}.steps"] = torch.tensor([0, 1, 1, 0]).to(getattr(torch, name))
    for name in ("float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2"):
        found[f"{name}.weight"] = torch.randn(3, 5).to(getattr(torch, name))
    for name in ("float8_e4m3fnuz", "float8_e5m2fnuz", "uint16", "uint32", "uint64"):
        found[f"{name}.weight"] = torch.tensor([[1.0, 2.0, 4.0]]).to(getattr(torch, name))
    return found


def read(path: Path | InnerPath) -> dict[str, tuple[str, np.ndarray]]:
    """Dtype and values, as float32, of every tensor of a file, used or not."""
    found = {}
    with read_file(path) as stored:
        for name, tensor in stored.tensors.items():
            out = np.full(tensor.size, np.nan, np.float32)
            if not tensor.dtype.complex:
                stored.values.into(tensor, out)
            found[name] = (tensor.dtype_name, out.reshape(tensor.shape))
    return found


def same(found: dict[str, tuple[str, np.ndarray]], state: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(state)
    for name, tensor in state.items():
        dtype, values = found[name]
        assert dtype == str(tensor.dtype).removeprefix("torch."), name
        assert values.shape == tuple(tensor.shape), name
        if not tensor.is_complex():
            right = tensor.detach().resolve_neg().to(torch.float32).numpy()
            np.testing.assert_array_equal(values, right, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_every_tensor_is_read_as_it_was_saved(tmp_path, form):
    path = tmp_path / "net.pt"
    state = tensors()
    torch.save(state, path, **form)
    same(read(path), state)


def test_the_negative_of_what_is_stored_is_read_by_its_values(tmp_path):
    state = {"a.weight": torch.randn(2, 3, dtype=torch.complex64).conj().imag}
    assert state["a.weight"].is_neg()
    torch.save(state, tmp_path / "net.pt")
    same(read(tmp_path / "net.pt"), state)


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_with_all_that_people_put_beside_the_weights(tmp_path, form):
    path = tmp_path / "net.pt"
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=1e-3),
        torch.optim.SGD(net.parameters(), 0.1, momentum=0.9),
    ]
    net(torch.ones(2, 1, 4, 4)).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    content = {
        "epoch": 7,
        "big": 2**70,
        "small": -(2**40),
        "ratio": 0.1,
        "name": "é \U0001f600",
        "done": True,
        "none": None,
        "bytes": b"\x00\xff",
        "buffer": bytearray(b"\x00\xff"),
        "tuple": (1, (2.0, "x"), ()),
        "set": {1, "two"},
        "list": [[1], {}],
        "complex": 1 + 2j,
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "layout": torch.strided,
        "counts": Counter("aab"),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "rng": torch.get_rng_state(),
        ("a", 1): "by a pair",
        3: "by a number",
        "state_dict": net.state_dict(),
    }
    torch.save(content, path, **form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(read(path), net.state_dict())
    kinds = {note.name: note.dtype for note in read_checkpoint(path).skipped}
    wanted = {str(name): type(value).__name__ for name, value in content.items()}
    del wanted["state_dict"]
    wanted |= {"size": "tuple", "device": "str", "layout": "str"}  # torch itself is not loaded
    assert kinds == wanted | {"rng": "uint8", "1.num_batches_tracked": "int64"}


def test_a_set_or_a_recursive_container_of_a_newer_pickle(tmp_path):
    ring: list[Any] = [1]
    ring.append((ring,))
    content = {"w": torch.ones(2, 2), "ring": ring, "frozen": frozenset({1}), "set": {2}}
    torch.save(content, tmp_path / "net.pt", pickle_protocol=5)
    checkpoint = read_checkpoint(tmp_path / "net.pt")
    kinds = {note.name: note.dtype for note in checkpoint.skipped}
    assert kinds == {"ring": "list", "frozen": "frozenset", "set": "set"}


def test_kinds_without_values_of_their_own_are_told(tmp_path):
    path = tmp_path / "net.pt"
    state = {
        "fc.weight": torch.ones(2, 3),
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.ones(2, 2, device="meta"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch finds much of this beta or old
        state["compressed"] = torch.eye(3).to_sparse_csr()
        state["quantised"] = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
        scales = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
        state["channels"] = torch.quantize_per_channel(torch.ones(2, 2), *scales, 0, torch.quint8)
        torch.save(state, path)
    checkpoint = read_checkpoint(path)
    reason = "a sparse, quantised or empty kind of tensor"
    assert [(n.name, n.shape, n.dtype, n.reason) for n in checkpoint.skipped] == [
        ("sparse", (3, 3), "float32", reason),
        ("meta", (2, 2), "float32", reason),
        ("compressed", (3, 3), "float32", reason),
        ("quantised", (2,), "qint8", reason),
        ("channels", (2, 2), "quint8", reason),
    ]
    assert checkpoint.vector.tolist() == [1.0] * 6


def test_parameters_and_attributes_and_a_whole_list_of_them(tmp_path):
    weight = nn.Parameter(torch.randn(2, 3), requires_grad=False)
    weight.numel = 0  # type: ignore[assignment, method-assign]
    plain = torch.randn(2, 2)
    plain.detach = "x"  # type: ignore[assignment, method-assign]
    state = OrderedDict({"a.weight": weight, "b.weight": plain})
    torch.save(state, tmp_path / "net.pt")
    same(read(tmp_path / "net.pt"), {"a.weight": weight.data, "b.weight": plain.clone()})


def test_every_name_that_torch_reads_is_known():
    inert = torch.dtype | torch.qscheme  # constants, such as torch.bits8
    unknown = [
        name
        for name, value in _get_allowed_globals().items()
        if isinstance(meaning(name), Foreign) and not isinstance(value, inert)
    ]
    assert unknown == []


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "torch.load", "torch.nn.Linear"])
def test_no_other_name_is_known(name):
    found = meaning(name)
    assert isinstance(found, Foreign)
    assert found.name == name


def test_bytes_in_the_other_order(tmp_path):
    path, turned = tmp_path / "net.pt", tmp_path / "turned.pt"
    state = {
        "a.weight": torch.randn(3, 4),
        "b.weight": torch.randn(3, 4).to(torch.bfloat16).T,
        "c.weight": torch.randn(2, 2).double(),
        "d.weight": torch.tensor([[1, 2, 70_000]], dtype=torch.uint32),
        "e.steps": torch.tensor([1, 2], dtype=torch.uint8),
    }
    torch.save(state, path)
    widths = {"0": 4, "1": 2, "2": 8, "3": 4, "4": 1}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(turned, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            folder, _, key = item.filename.rpartition("/")
            if folder.endswith("/data"):
                values = np.frombuffer(content, np.uint8).reshape(-1, widths[key])
                content = values[:, ::-1].tobytes()
            new.writestr(item.filename, b"big" if key == "byteorder" else content)
    same(read(turned), state)


# ---- forms that torch no longer writes, made by hand


def by_hand(content: bytes, values: bytes, key: bytes = b"0") -> bytes:
    """An older file around the pickle of its content, with one storage of float32."""
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    facts = b"\x80\x02}."
    keys = b"\x80\x02]U\x01" + key + b"a."
    count = struct.pack("<q", len(values) // 4)
    return magic + b"\x80\x02M\xe9\x03." + facts + content + keys + count + values


STORAGE = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x06%stQ"


@pytest.mark.parametrize(
    "value",
    [
        # torch 0.4: rebuilt by a function; torch 0.1: an empty tensor, filled by its state
        b"ctorch._utils\n_rebuild_tensor\n(%sK\x00K\x02K\x03\x86K\x03K\x01\x86tR",
        b"ctorch\nFloatTensor\n)R(%sK\x00K\x02K\x03\x86K\x03K\x01\x86tb",
        b"ctorch.nn.parameter\nParameter\n(ctorch._utils\n_rebuild_tensor\n"
        b"(%sK\x00K\x02K\x03\x86K\x03K\x01\x86tRtR(\x88\x89ccollections\nOrderedDict\n)Rtb",
    ],
)
def test_tensors_as_python_2_pickled_them(tmp_path, value):
    numbers = np.arange(6, dtype=np.float32)
    # An OrderedDict was made of a list of lists, and text was bytes.
    content = (
        b"\x80\x02ccollections\nOrderedDict\n(](]("
        + b"U\x09fc.weight"
        + value % (STORAGE % b"N")
        + b"eetR."
    )
    path = tmp_path / "net.pt"
    path.write_bytes(by_hand(content, numbers.tobytes()))
    assert read_checkpoint(path).vector.tolist() == numbers.tolist()


def test_a_storage_that_is_a_view_of_another(tmp_path):
    path = tmp_path / "net.pt"
    part = STORAGE % b"(U\x01vK\x02K\x04t"  # four values from the third on
    content = (
        b"\x80\x02}U\x09fc.weightctorch._utils\n_rebuild_tensor\n("
        + part
        + b"K\x00K\x02K\x02\x86K\x02K\x01\x86tRs."
    )
    path.write_bytes(by_hand(content, np.arange(6, dtype=np.float32).tobytes()))
    assert read_checkpoint(path).vector.tolist() == [2, 3, 4, 5]
    path.write_bytes(by_hand(content.replace(b"K\x02K\x04t", b"K\x03K\x04t"), b"\0" * 24))
    with pytest.raises(DataError, match="a view goes beyond the 24 bytes of its storage"):
        read_checkpoint(path)


# ---- places


def test_a_file_inside_a_folder_must_lie_there(tmp_path):
    root = tmp_path / "folder"
    root.mkdir()
    state = {"fc.weight": torch.randn(2, 3)}
    torch.save(state, root / "net.pt")
    torch.save(state, tmp_path / "outside.pt")
    (root / "link.pt").symlink_to("net.pt")
    (root / "out.pt").symlink_to("../outside.pt")
    for name in ("net.pt", "link.pt"):
        checkpoint = read_checkpoint(InnerPath(root) / name)
        assert checkpoint.path == root / name
        assert checkpoint.vector.tolist() == state["fc.weight"].reshape(-1).tolist()
    with pytest.raises(DataError, match="is a link that leads out of"):
        read_checkpoint(InnerPath(root) / "out.pt")
    assert read_checkpoint(root / "out.pt").layout.size == 6  # a user may name what he likes


@pytest.mark.parametrize("place", [lambda folder: folder, InnerPath])
def test_what_is_no_file_is_told_at_once(tmp_path, place):
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "device").symlink_to("/dev/zero")
    words = {"ring": "cannot be read \\(", "device": "regular file", "gone": "no such file"}
    for name, word in words.items():
        with pytest.raises(DataError, match=f"{name}: .*{word}"):
            read_checkpoint(place(tmp_path) / name)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_that_is_cut_while_it_is_read(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"net{suffix}"
    state = {"fc.weight": torch.ones(100, 100)}
    if suffix == ".pt":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    with read_file(path) as stored:
        path.write_bytes(path.read_bytes()[:10_000])
        with pytest.raises(Refusal, match="became shorter while it was read"):
            stored.values.into(stored.tensors["fc.weight"], np.empty(10_000, np.float32))


class Watched(io.FileIO):
    """A file that knows how many bytes were taken from it, each time."""

    taken: list[int]

    def readinto(self, target: Any) -> int:
        count = super().readinto(target)
        self.taken.append(count)
        return count


@contextmanager
def watched(path: Path) -> Iterator[tuple[Stored, list[int]]]:
    with read_file(path) as stored, Watched(path, "rb") as file:
        file.taken = []
        stored.values.file = file  # type: ignore[assignment]
        yield stored, file.taken


def test_values_are_not_read_where_none_are_asked_for(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"fc.weight": torch.ones(2, 2), "table.embed": torch.ones(2**20, 2)}, path)
    with watched(path) as (stored, taken):
        stored.values.into(stored.tensors["fc.weight"], np.empty(4, np.float32))
    assert taken == [16]


def test_a_storage_that_many_tensors_take_a_little_of_is_read_once(tmp_path):
    path = tmp_path / "net.pt"
    base = torch.arange(2.0**16)
    torch.save({f"{k}.bias": base[k :: 2**15] for k in range(300)}, path)
    with watched(path) as (stored, taken):
        for k in range(300):
            out = np.empty(2, np.float32)
            stored.values.into(stored.tensors[f"{k}.bias"], out)
            assert out.tolist() == [k, k + 2**15]
    assert taken == [2**18]


# ------------------------------------------------------------------------------------ TorchScript


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_with_its_compressed_code(tmp_path, how):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(8, 2)
    ).eval()
    made = (
        torch.jit.script(net) if how == "script" else torch.jit.trace(net, torch.ones(1, 3, 5, 5))
    )
    made.save(tmp_path / "net.pt")
    read = read_checkpoint(tmp_path / "net.pt")
    assert read.form == "TorchScript"
    assert [note.name for note in read.used][:2] == ["0.weight", "0.bias"]
    state = net.state_dict()
    for spec in read.layout.tensors:
        values = read.vector[spec.offset : spec.stop].reshape(spec.shape)
        np.testing.assert_array_equal(values, state[spec.name].numpy())
