"""Files of other libraries: read exactly, in torch's order, with roles; nothing of them is needed.

`tests/assets/make_formats.py` wrote them, with the libraries themselves.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from support import one_net
from support.hostile_pickles import bounded
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.checkpoint import Checkpoint
from weightspace.checkpoints.dtypes import FLOAT32
from weightspace.checkpoints.files import read_contents
from weightspace.checkpoints.formats.hdf5 import Hdf5
from weightspace.checkpoints.formats.hdf5chunks import Chunk, Chunked
from weightspace.checkpoints.formats.part import Part
from weightspace.checkpoints.messages import Refusal
from weightspace.errors import DataError

ASSETS = Path(__file__).parents[1] / "assets" / "formats"
GRU = ASSETS / "gru.onnx"
WHOLE = [
    ("keras.h5", "Keras"),
    ("keras-weights.h5", "Keras"),
    ("keras.keras", "Keras"),
    ("keras.weights.h5", "Keras"),
    ("chunks.h5", "HDF5"),
    ("latest.h5", "HDF5"),
    ("torch.onnx", "ONNX"),
    ("matmul.onnx", "ONNX"),
    ("outside.onnx", "ONNX"),
    ("flax.msgpack", "flax"),
    ("pieces.msgpack", "flax"),
    ("trained.keras", "Keras"),
    ("trained.h5", "Keras"),
    ("trained.msgpack", "flax"),
]
OTHERS = ["growing.h5", "keras-bfloat16.weights.h5", "small.gguf", "state.msgpack", "gru.onnx"]


def values(read: Checkpoint) -> dict[str, np.ndarray]:
    return {
        spec.name: read.vector[spec.offset : spec.stop].reshape(spec.shape)
        for spec in read.layout.tensors
    }


def facts(path: Path) -> dict:
    with read_contents(path) as (contents, _):
        return dict(contents.facts)


def refusal(path: Path) -> str:
    with bounded(), pytest.raises(DataError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(("name", "form"), WHOLE)
@pytest.mark.parametrize("suffix", ["", ".pt"])
def test_the_net_is_read_exactly_whatever_the_name(tmp_path, name, form, suffix):
    path = tmp_path / f"net{suffix}"
    shutil.copyfile(ASSETS / name, path)
    shutil.copyfile(ASSETS / "outside.data", tmp_path / "outside.data")
    read = read_checkpoint(path)
    assert read.form == form
    assert [spec.role for spec in read.layout.tensors] == [
        "weight", "bias", "shift", "scale", "running_mean", "running_var", "weight", "bias",
    ]  # fmt: skip
    assert [spec.part for spec in read.layout.tensors] == ["conv"] * 6 + ["fc"] * 2
    np.testing.assert_array_equal(read.vector, one_net.vector())


@pytest.mark.parametrize(
    ("name", "kernel"), [("keras-bfloat16.weights.h5", "fc"), ("bfloat16.msgpack", "Dense_0")]
)
def test_bfloat16_of_other_libraries(name, kernel):
    read = read_checkpoint(ASSETS / name)
    assert read.used[0].dtype == "bfloat16"
    right = one_net.tensors()["fc.weight"].view(np.uint32)
    rounded = ((right + 0x7FFF + (right >> 16 & 1)) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(values(read)[f"{kernel}.kernel"], rounded)


def test_every_type_of_a_gguf_file():
    right = np.load(ASSETS / "small.gguf.npz")
    read = read_checkpoint(ASSETS / "small.gguf", finite=False)
    found = values(read)
    assert set(found) == set(right.files)
    for name in right.files:
        np.testing.assert_array_equal(found[name], right[name], err_msg=name)
    assert [(note.name, note.dtype, note.reason) for note in read.skipped] == [
        ("other.weight", "IQ2_XS", "quantised in a way that is not read")
    ]
    told = facts(ASSETS / "small.gguf")
    assert told["general.architecture"] == "llama"
    assert told["quantised"].endswith("1 Q8_0; de-quantised to float32")
    assert told["tokenizer.ggml.tokens"].startswith("40 entries, the first ['word0', 'word1',")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("trained.keras", "config/compile_config/optimizer"),
        ("trained.h5", "training_config/optimizer_config"),
    ],
)
def test_the_optimizer_of_keras(name, where):
    (optimizer,) = inspect(ASSETS / name).optimizers
    assert (optimizer.kind, optimizer.where) == ("SGD with Nesterov momentum", where)
    assert (optimizer.steps, optimizer.parameters) == ((7, 7), 6)
    (group,) = optimizer.groups
    assert (group["learning_rate"], group["momentum"]) == (0.5, 0.75)


def test_the_optimizer_of_optax():
    found = inspect(ASSETS / "trained.msgpack")
    assert found.others == ()
    (optimizer,) = found.optimizers
    assert (optimizer.kind, optimizer.where) == ("a relative of Adam", "opt_state")
    assert (optimizer.steps, optimizer.parameters) == ((3, 3), 6)
    assert [(fact.kind, fact.value) for fact in found.facts if fact.name == "step"] == [("step", 3)]


def test_recurrent_kernels_of_both_directions_in_onnx():
    found = {name.rpartition(".")[2]: one for name, one in values(read_checkpoint(GRU)).items()}
    shapes = {"weight_ih": (9, 2), "weight_hh": (9, 3), "bias_ih": (9,), "bias_hh": (9,)}
    start = 0
    for end in ("_l0", "_l0_reverse"):
        for name, shape in shapes.items():
            count = int(np.prod(shape))
            one = np.arange(start, start + count, dtype=np.float32).reshape(3, 3, *shape[1:])
            turned = one[[1, 0, 2]].reshape(shape)  # torch has r, z, n
            np.testing.assert_array_equal(found.pop(name + end), turned)
            start += count
    assert not found
    assert facts(GRU)["gates"] == "in the order of ONNX, GRU: z, r, n"
    assert inspect(GRU).architecture.kind == "recurrent"


def test_the_parameters_of_a_train_state():
    read = read_checkpoint(ASSETS / "state.msgpack")
    assert read.key == "params"
    assert {note.name: note.dtype for note in read.skipped} == {
        "step": "int32",
        "opt_state": "dict",
    }


def test_facts_say_what_was_turned_and_renamed():
    assert "turned to torch's" in facts(ASSETS / "keras.h5")["transposed"]
    assert facts(ASSETS / "keras.keras")["layers"]["bn"] == "batch_normalization"
    assert facts(ASSETS / "torch.onnx")["producer"] == "pytorch"
    assert facts(ASSETS / "matmul.onnx") == {
        "ir_version": facts(ASSETS / "matmul.onnx")["ir_version"],
        "transposed": "1 dense kernels were stored as [in, out]",
        "renamed": "8 tensors are named after the kernel of their node",
    }
    assert [note.name for note in read_checkpoint(ASSETS / "matmul.onnx").used][:2] == [
        "onnx::Conv_7.weight",
        "onnx::Conv_7.bias",
    ]


def test_chunks_that_were_never_written_are_zeros():
    right = np.zeros((1200, 2), np.float32)
    right[:8] = np.arange(16).reshape(8, 2)
    right[1100] = 2200, 2201
    with read_contents(ASSETS / "growing.h5") as (contents, _):
        assert set(contents.content) == {"growing", "paged", "tree"}
        for tensor in contents.content.values():
            np.testing.assert_array_equal(contents.values.read(tensor), right)


def test_many_attributes_of_a_newer_form():
    with (ASSETS / "latest.h5").open("rb") as file:
        found = Hdf5(Part(file, 0, (ASSETS / "latest.h5").stat().st_size))
        assert len(found.root.attributes) == 13
        assert found.texts(found.root, "note11") == ["text " * 12]
        assert found.texts(found.root, "long") == ["z" * 5000]


def test_values_outside_stay_in_the_folder(tmp_path):
    path = tmp_path / "inner" / "net.onnx"
    path.parent.mkdir()
    shutil.copyfile(ASSETS / "outside.onnx", path)
    assert refusal(path) == (
        "outside.data, which is a part of it, is missing; put that file beside it, or fetch all "
        "files again"
    )
    shutil.copyfile(ASSETS / "outside.data", tmp_path / "outside.data")
    (path.parent / "outside.data").symlink_to("../outside.data")
    with pytest.raises(DataError, match=r"is a link that leads out of .*inner"):
        read_checkpoint(path)
    path.write_bytes(path.read_bytes().replace(b"outside.data", b"../side.data"))
    assert refusal(path).startswith("refused; it names the file ../side.data, which is not beside")
    shutil.copyfile(ASSETS / "outside.onnx", path)
    (path.parent / "outside.data").unlink()
    (path.parent / "outside.data").write_bytes(b"\0" * 9)
    assert refusal(path).startswith("damaged (")


@pytest.mark.parametrize("name", [name for name, _ in WHOLE] + OTHERS)
def test_a_cut_file_is_refused_in_one_line(tmp_path, name):
    whole = (ASSETS / name).read_bytes()
    path = tmp_path / name
    shutil.copyfile(ASSETS / "outside.data", tmp_path / "outside.data")
    for at in (1, 9, 40, len(whole) // 3, len(whole) // 2, len(whole) * 7 // 10):
        path.write_bytes(whole[:at])
        assert refusal(path)


@pytest.mark.parametrize(
    ("count", "chunk", "message"),
    [
        (3, (2, 2), "a chunk that is in it twice"),
        (1, (2**12, 2**12), "1 chunks of 67,108,864 bytes"),
        (2**10, (2**7, 2**7), "1,024 chunks of 65,536 bytes"),
    ],
)
def test_chunks_that_take_far_more_than_their_dataset(count, chunk, message):
    chunks = [Chunk((0, 0), 0, 9, 0)] * count
    if count > 3:
        chunks = [Chunk((at, 0), 0, 9, 0) for at in range(count)]
    with pytest.raises(Refusal, match=message):
        Chunked(None, (2**10, 1), chunk, FLOAT32, "little", [(1, 0)], chunks)
