"""What h5py, Keras, onnx, gguf and flax write today is read as what they wrote.

Files of whole trainings are in the other `test_libraries_*.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from support import one_net
from support.libraries import everything_in, facts, layers, needed, side, values_of
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.files import read_contents

MAKER = Path(__file__).parents[1] / "assets" / "make_formats.py"

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def maker(monkeypatch) -> ModuleType:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("make_formats", MAKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_keras(tmp_path, maker):
    needed("h5py", "keras")
    maker.keras_files(tmp_path)
    for name in ("keras.h5", "keras-weights.h5", "keras.keras", "keras.weights.h5"):
        read = read_checkpoint(tmp_path / name)
        assert read.form == "Keras"
        np.testing.assert_array_equal(read.vector, one_net.vector())


def test_h5py(tmp_path, maker):
    needed("h5py")
    import h5py

    maker.hdf5_files(tmp_path)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "chunks.h5").vector, one_net.vector())
    draw = np.random.default_rng(1)
    for low in ("earliest", "v108", "v110"):
        right = {f"g/x{n}": draw.normal(size=(5, n + 1)).astype(np.float32) for n in range(7)}
        with h5py.File(tmp_path / "net.h5", "w", libver=(low, "v110")) as file:
            for name, values in right.items():
                file[name] = values
            file["soft"] = h5py.SoftLink("/g/x1")
            file["other"] = h5py.ExternalLink("/etc/passwd", "/x")
        found = everything_in(tmp_path / "net.h5")
        assert set(found) == {name.replace("/", ".") for name in right}
        for name, values in right.items():
            np.testing.assert_array_equal(found[name.replace("/", ".")], values)


@pytest.mark.parametrize("version", ["v110", "latest"])
@pytest.mark.parametrize("packed", [{}, {"compression": "gzip", "shuffle": True}])
def test_h5py_with_many_members_and_growing_chunks(tmp_path, version, packed):
    needed("h5py")
    import h5py

    draw = np.random.default_rng(2)
    right = {}
    with h5py.File(tmp_path / "net.h5", "w", libver=(version, version)) as file:
        for number in range(300):
            right[f"g.w{number}"] = draw.normal(size=(3, 2)).astype(np.float32)
            file[f"g/w{number}"] = right[f"g.w{number}"]
        for number, (shape, chunks, most) in enumerate(
            [
                ((7, 5), (2, 2), None), ((7, 5), (2, 2), (20, 9)), ((7, 5), (2, 2), (None, 5)),
                ((7, 5), (2, 2), (7, None)), ((7, 5), (2, 2), (None, None)),
                ((3000,), (1,), None), ((5000, 2), (1, 2), (None, 2)), ((4, 4), (4, 4), None),
                ((60, 50), (1, 1), (None, None)), ((5, 7, 4), (2, 3, 2), (5, None, 4)),
            ]
        ):  # fmt: skip
            values = draw.normal(size=shape).astype(np.float32)
            right[f"x{number}"] = values
            file.create_dataset(f"x{number}", data=values, chunks=chunks, maxshape=most, **packed)
    with read_contents(tmp_path / "net.h5") as (contents, _):
        found = {k: contents.values.read(t) for k, t in contents.content.items()}
    assert set(found) == set(right)
    for name, values in right.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"compression": "lzf"}, "its values are compressed with lzf; write it again with gzip"),
        ({"external": [("/etc/passwd", 0, 400)]}, "refused; the values of w are in other files"),
    ],
)
def test_what_h5py_keeps_elsewhere_or_compresses_otherwise(tmp_path, how, message):
    needed("h5py")
    import h5py

    from weightspace.errors import DataError

    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("w", (10, 10), "f4", **how)
    with pytest.raises(DataError) as caught:
        read_checkpoint(tmp_path / "net.h5")
    assert message in str(caught.value)


def test_onnx(tmp_path, maker):
    needed("onnx")
    maker.onnx_files(tmp_path)
    for name in ("torch.onnx", "matmul.onnx", "outside.onnx"):
        np.testing.assert_array_equal(read_checkpoint(tmp_path / name).vector, one_net.vector())


def test_every_type_of_onnx(tmp_path):
    needed("onnx")
    import onnx

    draw = np.random.default_rng(2)
    right = {
        f"{kind}.{where}": draw.normal(size=(2, 3)).astype(kind)
        for kind in ("float32", "float64", "float16", "int64", "int32", "uint8", "int8")
        for where in ("raw", "numbers")
    }
    tensors = []
    for name, values in right.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        raw = name.endswith("raw")
        content = values.tobytes() if raw else values.reshape(-1)
        tensors.append(onnx.helper.make_tensor(name, kind, values.shape, content, raw=raw))
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "net.onnx"))
    with read_contents(tmp_path / "net.onnx") as (contents, _):
        for name, tensor in contents.content.items():
            np.testing.assert_array_equal(contents.values.read(tensor), right[name], err_msg=name)
        assert set(contents.content) == set(right)


def test_gguf(tmp_path, maker):
    needed("gguf")
    maker.gguf_files(tmp_path)
    right = np.load(tmp_path / "small.gguf.npz")
    read = read_checkpoint(tmp_path / "small.gguf", finite=False)
    assert len(read.used) == len(right.files)
    for spec in read.layout.tensors:
        found = read.vector[spec.offset : spec.stop].reshape(spec.shape)
        np.testing.assert_array_equal(found, right[spec.name], err_msg=spec.name)


def test_order_and_norms_of_llama_in_gguf(tmp_path):
    needed("gguf")
    import gguf

    draw = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(tmp_path / "net.gguf"), "llama")
    writer.add_block_count(2)
    written = {}

    def write(name: str, *shape: int) -> None:
        written[name] = draw.normal(size=shape).astype(np.float32)
        writer.add_tensor(name, written[name])

    parts = {
        "attn_q": (16, 16), "attn_k": (8, 16), "attn_v": (8, 16), "attn_output": (16, 16),
        "ffn_gate": (24, 16), "ffn_up": (24, 16), "ffn_down": (16, 24),
    }  # fmt: skip
    write("token_embd.weight", 50, 16)
    for block in range(2):
        for name, shape in (parts | {"attn_norm": (16,), "ffn_norm": (16,)}).items():
            write(f"blk.{block}.{name}.weight", *shape)
    write("output_norm.weight", 16)
    write("output.weight", 50, 16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = inspect(tmp_path / "net.gguf")
    assert found.architecture.kind == "transformer"
    blocks = [f"blk.{block}.{name}" for block in range(2) for name in parts]
    assert layers(found) == [*blocks, "output"]
    assert side(found, "blk.0.attn_norm") == "before or after blk.0.attn_output"
    assert side(found, "blk.1.ffn_norm") == "before or after blk.1.ffn_down"
    assert side(found, "output_norm") == "before output"
    assert not found.findings
    assert facts(found)["general.architecture"] == "llama"
    for name, values in values_of(tmp_path / "net.gguf").items():
        np.testing.assert_array_equal(values, written[name], err_msg=name)


def test_every_quantised_type_by_random_blocks():
    needed("gguf")
    import gguf
    from gguf.quants import dequantize

    from weightspace.checkpoints.formats.quants import QUANTS

    draw = np.random.default_rng(3)
    for number, quant in QUANTS.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (quant.name, quant.values, quant.nbytes) == (
            kind.name,
            *gguf.GGML_QUANT_SIZES[kind],
        )
        raw = draw.integers(0, 256, (500, quant.nbytes)).astype(np.uint8)
        np.testing.assert_array_equal(quant.decode(raw), dequantize(raw, kind), err_msg=kind.name)


def test_flax(tmp_path, maker):
    needed("jax", "flax")
    maker.flax_files(tmp_path)
    for name in ("flax.msgpack", "pieces.msgpack"):
        np.testing.assert_array_equal(read_checkpoint(tmp_path / name).vector, one_net.vector())
