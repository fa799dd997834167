"""What the fuzz of damaged files has found: each kind of damage is refused, within its limits."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from support.hostile_pickles import bounded
from support.whole_files import NAMES, Files, field, whole
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.files import read_contents, read_file
from weightspace.checkpoints.formats.hdf5chunks import _checked, _inflated
from weightspace.checkpoints.formats.protobuf import varint, varints
from weightspace.checkpoints.messages import Refusal
from weightspace.errors import DataError


def written(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


def refusal(path: Path) -> str:
    with bounded(2), pytest.raises(DataError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


# ---- checksums


@pytest.mark.parametrize("name", ["torch", "module", "TorchScript", "npz", "Keras .keras"])
def test_a_changed_value_of_an_archive_is_not_read(tmp_path, name):
    files = dict(whole(name).files)
    path = written(tmp_path, files)
    (first, *_) = [one.name for one in read_checkpoint(path).used]
    with read_file(path) as stored:
        storage = stored.tensors[first].storage
        file = storage.file or stored.values.file
        file.seek(storage.position)
        raw = file.read(storage.nbytes)
    (data,) = files.values()
    path.write_bytes(changed(data, data.index(raw) + 1, bytes([data[data.index(raw) + 1] ^ 1])))
    said = refusal(path)
    assert said.startswith("damaged (the checksum of ")
    assert said.endswith(" is another one); fetch it again")


def test_a_changed_value_of_a_deflated_archive_is_not_read(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"fc.weight": np.arange(6.0).reshape(2, 3)})
    data = buffer.getvalue()
    at = data.rindex(b"PK\1\2") + 16
    path = written(tmp_path, {"net.npz": changed(data, at, b"\1\2\3\4")})
    assert refusal(path).startswith("damaged (the checksum of fc.weight.npy is another one)")


def test_a_view_of_a_damaged_storage_is_not_read(tmp_path):
    base = torch.arange(4000.0)
    path = tmp_path / "net.pt"
    torch.save({"a.weight": base[:6].reshape(2, 3), "b.weight": base[10:14].reshape(2, 2)}, path)
    assert read_checkpoint(path).vector.tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]
    data = path.read_bytes()
    at = data.index(base[3000:].numpy().tobytes())
    path.write_bytes(changed(data, at, b"\1"))
    assert refusal(path).startswith("damaged (the checksum of ")


def test_what_inspect_looks_at_does_not_need_all_values(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"a.weight": torch.arange(300_000.0).reshape(300, 1000)}, path)
    data = path.read_bytes()
    path.write_bytes(changed(data, data.index(struct.pack("<f", 299_999)), b"\1"))
    assert inspect(path).grid.values == 2**16
    assert "checksum" in refusal(path)


def test_torch_may_be_told_to_write_no_checksums(tmp_path):
    path = tmp_path / "net.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a.weight": torch.ones(2, 3)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert all(item.CRC == 0 for item in zipfile.ZipFile(path).infolist())
    assert read_checkpoint(path).vector.tolist() == [1] * 6


def test_the_checksum_of_a_chunk():
    for data, sums in (
        (b"", (0, 0)),
        (b"\1\2\3\4", (0x0406, 0x0508)),
        (b"\1\2\3", (0x0402, 0x0504)),
    ):
        for form in ("<2H", ">2H"):
            assert _checked(data + struct.pack(form, *sums)) == data
        with pytest.raises(Refusal, match="the checksum of a chunk is another one"):
            _checked(data + struct.pack("<2H", sums[0] + 1, sums[1]))
    large = np.random.Generator(np.random.PCG64(1)).bytes(300_001)  # in several pieces
    first = second = 0
    for word in np.frombuffer(large + b"\0", ">u2").tolist():
        first = (first + word) % 65535
        second = (second + first) % 65535
    assert _checked(large + struct.pack("<2H", first, second)) == large
    assert _checked(b"\xff\xff" + b"\xff" * 4) == b"\xff\xff"  # 65,535 counts as 0
    with pytest.raises(Refusal, match="the checksum of a chunk"):
        _checked(b"\1\2")


def test_the_end_of_a_deflated_chunk():
    packed = zlib.compress(bytes(1000))
    assert _inflated(packed, 1000) == bytes(1000)
    for data, most in ((packed[:-1] + b"\2", 1000), (packed[:-4], 1000), (packed, 998)):
        with pytest.raises(Refusal, match="a chunk that"):
            _inflated(data, most)


def test_a_damaged_chunk_is_not_read(tmp_path):
    (data,) = whole("HDF5 in chunks").files.values()
    path = tmp_path / "net.h5"
    for at in (6088 + 20, 6088 + 87, 6700 + 35):  # values, and the two kinds of checksums
        path.write_bytes(changed(data, at, bytes([data[at] ^ 4])))
        assert "chunk" in refusal(path)


# ---- values that lie where others do


def test_values_of_gguf_lie_one_after_another(tmp_path):
    (data,) = whole("GGUF, large").files.values()
    path = written(tmp_path, {"net.gguf": data})
    assert read_checkpoint(path).layout.size == 2**19
    row = data.index(b"q.weight") + 8 + 4 + 16 + 4
    (offset,) = struct.unpack_from("<Q", data, row)
    for wrong in (offset - 32, offset + 32, 0, 2**40):
        path.write_bytes(changed(data, row, struct.pack("<Q", wrong)))
        assert refusal(path).startswith(f"damaged (q.weight is at byte {wrong:,} of the values")
    path.write_bytes(data + bytes(32))
    assert refusal(path).startswith("damaged (54 bytes follow its last tensor)")
    one = b"\x11" + bytes(7) + b"general.alignment" + struct.pack("<II", 4, 64)
    path.write_bytes(data[:16] + struct.pack("<Q", 2) + one + data[24:])
    assert refusal(path)
    for alignment in (0, 1, 48, 2**30):
        one = one[:-4] + struct.pack("<I", alignment)
        path.write_bytes(data[:16] + struct.pack("<Q", 2) + one + data[24:])
        assert refusal(path).startswith("damaged (no alignment)")


def test_a_type_that_no_gguf_file_has(tmp_path):
    (data,) = whole("GGUF, large").files.values()
    at = data.index(b"b.bias") + 6 + 4 + 8
    path = written(tmp_path, {"net.gguf": changed(data, at, b"\xf9\xff\xff\xff")})
    assert refusal(path).startswith("damaged (b.bias is of the unknown type 4,294,967,289)")


def test_values_of_hdf5_are_not_its_structures(tmp_path):
    (data,) = whole("Keras .weights.h5").files.values()
    path = written(tmp_path, {"net.h5": data})
    with read_file(path) as stored:
        storage = stored.tensors["conv.bias"].storage
    where = data.index(struct.pack("<BBQQ", 3, 1, storage.position, storage.nbytes)) + 2
    for mark in (b"\x89HDF", b"TREE", b"HEAP", b"SNOD"):
        path.write_bytes(changed(data, where, struct.pack("<Q", data.index(mark))))
        assert refusal(path).startswith("damaged (the values at byte ")


@pytest.mark.parametrize(
    ("name", "by"), [("bn.bias", -8), ("bn.bias", 1), ("bn.bias", 4), ("fc.bias", -1)]
)
def test_values_of_hdf5_are_nothing_else(tmp_path, name, by):
    (data,) = whole("HDF5 in chunks").files.values()
    path = written(tmp_path, {"net.h5": data})
    with read_file(path) as stored:
        storage = stored.tensors[name].storage
    where = data.index(struct.pack("<BBQQ", 3, 1, storage.position, storage.nbytes)) + 2
    path.write_bytes(changed(data, where, struct.pack("<Q", storage.position + by)))
    assert refusal(path).startswith("damaged (the values at byte ")


def test_values_beside_an_onnx_model_are_of_one_tensor(tmp_path):
    files = dict(whole("ONNX, values outside").files)
    model = files["outside.onnx"]
    at = model.index(b"offset\x12\x03") + 8
    files["outside.onnx"] = changed(model, at, b"%d" % (int(model[at : at + 3]) - 4))
    assert "are those of two tensors" in refusal(written(tmp_path, files))


def test_a_float_of_another_form_is_no_float32(tmp_path):
    (data,) = whole("HDF5 in chunks").files.values()
    usual = struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)
    assert usual in data
    for at, wrong in ((0, 1), (2, 63), (4, 51), (8, 0), (9, 2)):
        path = written(
            tmp_path, {"net.h5": data.replace(usual, changed(usual, at, bytes([wrong])))}
        )
        assert "floating-point numbers of 8 bytes" in refusal(path)


# ---- time


@pytest.mark.parametrize("shape", ["9" * 300, "9" * 300 + "L", "1 " * 200, "1,," * 100, "1" * 19])
def test_a_strange_shape_in_the_header_of_an_array_ends(tmp_path, shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n".encode()
    array = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("fc.weight.npy", array)
    for name, data in (("net.npy", array), ("net.npz", buffer.getvalue())):
        assert refusal(written(tmp_path, {name: data})).startswith("damaged (")


@pytest.mark.parametrize(("shape", "right"), [("", 1), ("3,", 3), ("3L, 2L", 6), (" 3 , 2 , ", 6)])
def test_shapes_as_numpy_has_written_them(tmp_path, shape, right):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}".encode()
    array = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(4 * right)
    with read_contents(written(tmp_path, {"net.npy": array})) as (contents, _):
        assert contents.content["array"].size == right


def test_numbers_of_variable_length():
    assert varints(b"\x05\xac\x02\x00").tolist() == [5, 300, 0]
    assert varints(b"").tolist() == []
    largest = b"\xff" * 9 + b"\x01"
    assert varints(largest).tolist() == [2**64 - 1] == [varint(largest, 0)[0]]
    assert varint(b"\xff" * 9 + b"\x7f", 0)[0] == 2**64 - 1  # what is more is cut off
    for data in (b"\x80", b"\x05\x80"):
        with pytest.raises(Refusal, match="ends before"):
            varints(data)
    draw = np.random.Generator(np.random.PCG64(1))
    many = (draw.integers(0, 2**63, 90_000) >> draw.integers(0, 63, 90_000)).tolist()
    packed = b"".join(field(1, number)[1:] for number in many)
    assert varints(packed).tolist() == many
    with pytest.raises(Refusal, match="a number without end"):
        varints(b"\x80" * 10**6)
    with pytest.raises(Refusal, match="a number without end"):
        varints(b"\x80" * 10 + b"\x01")


def test_a_number_of_more_than_64_bits_is_no_bug(tmp_path):
    shape = field(1, 2) + field(1, 2) + field(2, 10) + field(8, b"a.weight")
    numbers = 4 * (field(5, 0)[:-1] + b"\xff" * 9 + b"\x7f")  # of 70 bits, of which 16 count
    node = field(1, b"x") + field(1, b"a.weight") + field(2, b"y") + field(4, b"MatMul")
    graph = field(1, node) + field(5, shape + numbers)
    path = written(tmp_path, {"net.onnx": field(1, 8) + field(7, graph)})
    assert refusal(path).startswith("a.weight: 4 of 4 values are NaN or infinite")


def test_four_million_numbers_as_fields_take_no_long_time(tmp_path):
    count = 2**22
    half = field(1, count // 4) + field(1, 4) + field(2, 10) + field(8, b"a.weight")
    tensor = half + field(5, b"\x3c" * count)  # of float16
    node = field(1, b"x") + field(1, b"a.weight") + field(2, b"y") + field(4, b"MatMul")
    graph = field(1, node) + field(5, tensor)
    path = written(tmp_path, {"net.onnx": field(1, 8) + field(7, graph)})
    with bounded(2):
        assert read_checkpoint(path).layout.size == count


# ---- memory


@pytest.mark.parametrize("name", ["torch before 1.6", "pickle", "npy, a dict", "index, torch"])
def test_a_small_file_takes_little_memory(tmp_path, name):
    path = written(tmp_path, dict(whole(name).files))
    for call in (inspect, read_checkpoint):
        call(path)
        tracemalloc.start()
        try:
            call(path)
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert taken < 2**20


# ---- files that become shorter


@pytest.mark.parametrize("name", [name for name in NAMES if "large" in name])
def test_a_file_that_is_cut_while_it_is_read_is_one_line(tmp_path, name):
    path = written(tmp_path, dict(whole(name).files))

    def cut() -> None:
        with read_file(path) as stored:
            here = f"{path.parent.name}/{path.name}"
            assert here not in Path("/proc/self/maps").read_text()  # a map would end the process
            os.truncate(path, 64)
            for tensor in stored.tensors.values():
                stored.values.into(tensor, np.empty(tensor.size, np.float32))

    if name.startswith("pickle"):
        cut()  # it was read as a whole, so nothing is missing
        return
    with pytest.raises(DataError) as caught:
        cut()
    assert len(str(caught.value).splitlines()) == 1
