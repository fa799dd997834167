"""NumPy's files, checkpoints in several files, folders of models, and what is not read."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from support import one_net
from support.hostile_pickles import bounded
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.files import read_contents
from weightspace.errors import DataError

ASSETS = Path(__file__).parents[1] / "assets" / "formats"


def refusal(path: Path, thing: Path | None = None) -> str:
    with bounded(), pytest.raises(DataError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{thing or path}: ")


def facts(path: Path) -> dict:
    with read_contents(path) as (contents, _):
        return dict(contents.facts)


def state() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in one_net.tensors().items()}


# ---- NumPy


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("change", ["", "fortran", "big-endian"])
def test_an_archive_of_arrays(tmp_path, save, change):
    found = one_net.tensors()
    if change == "fortran":
        found = {name: np.asfortranarray(values) for name, values in found.items()}
    if change == "big-endian":
        found = {name: values.astype(">f8") for name, values in found.items()}
    save(tmp_path / "net.npz", **found)
    read = read_checkpoint(tmp_path / "net.npz")
    assert read.form == "npz"
    np.testing.assert_array_equal(read.vector, one_net.vector())


def test_an_archive_as_jax_projects_write_it(tmp_path):
    found = one_net.channels_last()
    named = {
        name.replace(".", "/").replace("weight", "scale" if "bn" in name else "kernel"): values
        for name, values in found.items()
    }
    np.savez(tmp_path / "net.npz", **named)
    read = read_checkpoint(tmp_path / "net.npz")
    assert [note.name for note in read.used][:2] == ["conv.kernel", "conv.bias"]
    np.testing.assert_array_equal(read.vector, one_net.vector())
    assert "turned to torch's" in facts(tmp_path / "net.npz")["transposed"]


def test_a_pickled_dict_in_an_array_is_read_as_data(tmp_path):
    np.save(tmp_path / "net.npy", one_net.tensors(), allow_pickle=True)
    read = read_checkpoint(tmp_path / "net.npy")
    assert read.form == "npy"
    np.testing.assert_array_equal(read.vector, one_net.vector())


class Bomb:
    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return (Path.touch, (self.proof,))


def test_a_pickle_in_an_array_is_not_run(tmp_path):
    proof = tmp_path / "executed"
    np.save(tmp_path / "net.npy", {**one_net.tensors(), "b": Bomb(proof)}, allow_pickle=True)
    read = read_checkpoint(tmp_path / "net.npy")
    assert [note.name for note in read.skipped] == ["b"]
    assert not proof.exists()
    np.savez(tmp_path / "net.npz", **one_net.tensors(), b=np.array(Bomb(proof)))
    read = read_checkpoint(tmp_path / "net.npz")
    assert [(n.name, n.reason) for n in read.skipped] == [
        ("b", "Python objects, which are never unpickled")
    ]
    assert not proof.exists()


def test_one_array_is_a_dense_kernel(tmp_path):
    np.save(tmp_path / "net.npy", np.ones((2, 3), np.float32))
    assert read_checkpoint(tmp_path / "net.npy").layout.size == 6
    np.save(tmp_path / "net.npy", np.array(["a", "b"]))
    assert refusal(tmp_path / "net.npy") == "holds NumPy's U1, not numbers; name the weights"


def test_an_archive_that_unpacks_to_far_too_much(tmp_path):
    path = tmp_path / "net.npz"
    np.savez_compressed(path, w=np.zeros((5000, 5000), np.float32))
    assert refusal(path).startswith("refused; ")
    assert refusal(path).endswith(
        "claim to hold 100,000,128; fetch it again from its source, or save it without compression"
    )
    header = (
        b"\x93NUMPY\1\0v\0"
        + str({"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}).encode().ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", header + b"\0" * 8)
    assert refusal(path) == (
        "damaged (w.npy has 136 bytes, and 1,000,000,000,000,000,000 by its header); fetch it again"
    )


# ---- several files


def sharded(folder: Path, form: str) -> Path:
    """The index of a checkpoint in two files, as Hugging Face's libraries write it."""
    folder.mkdir(exist_ok=True)
    name, end, save = {
        "safetensors": ("model", "safetensors", safetensors.torch.save_file),
        "torch": ("pytorch_model", "bin", torch.save),
    }[form]
    whole = state()
    files = {key: f"{name}-0000{1 + ('bn' in key)}-of-00002.{end}" for key in whole}
    for file in set(files.values()):
        save({key: whole[key] for key in whole if files[key] == file}, folder / file)
    index = folder / f"{name}.{end}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return index


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_shards_are_one_checkpoint(tmp_path, form):
    index = sharded(tmp_path, form)
    read = read_checkpoint(index)
    assert read.form == f"{form} in 2 shards"
    np.testing.assert_array_equal(read.vector, one_net.vector())
    assert facts(index) == {"shards": 2, "metadata": {"total_size": 1}}
    assert inspect(index).sha256 == ""  # it would be that of one file of several


def test_an_index_and_its_shards_must_agree(tmp_path):
    index = sharded(tmp_path, "safetensors")
    said = json.loads(index.read_text())
    first = tmp_path / "model-00001-of-00002.safetensors"
    with read_contents(first) as (contents, _):
        assert contents.facts["shard"] == "1 of 2"
        assert contents.facts["remedy"] == "name the index to read all shards"
    (doubt,) = [f for f in read_checkpoint(first).findings if "shard" in f.text]
    assert str(doubt) == "is only shard 1 of 2 of a net; name its index instead"
    for change, message in (
        ({"more.weight": first.name}, f"{first.name} does not have more.weight, which the index "),
        ({"more.weight": "no.bin"}, "no.bin, which is a part of it, is missing; put that file "),
        ({"more.weight": "../x.bin"}, "refused; it names the file ../x.bin, which is not beside "),
        ({"more.weight": "/etc/passwd"}, "refused; it names the file /etc/passwd, which is not "),
        ({"more.weight": index.name}, f"{index.name}: neither a safetensors nor a torch file; "),
        ({"more.weight": 3}, "JSON text, not weights; name the file of the weights"),
    ):
        index.write_text(json.dumps(said | {"weight_map": said["weight_map"] | change}))
        assert refusal(index).startswith(message)
    lacking = {key: name for key, name in said["weight_map"].items() if key != "fc.bias"}
    index.write_text(json.dumps({"weight_map": lacking}))
    assert [(note.name, note.reason) for note in read_checkpoint(index).skipped] == [
        ("fc.bias", f"in {first.name}, but not in the index")
    ]
    first.write_bytes(first.read_bytes()[:-4])
    assert refusal(index).startswith(f"{first.name}: cut short; ")
    first.unlink()
    first.symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="is a link that leads out of"):
        read_checkpoint(index)


# ---- folders


def test_a_folder_of_a_model_means_its_usual_file(tmp_path):
    torch.save(state(), tmp_path / "pytorch_model.bin")
    assert read_checkpoint(tmp_path).form == "torch"
    assert facts(tmp_path)["file"] == "pytorch_model.bin"
    index = sharded(tmp_path, "safetensors")
    shutil.copyfile(ASSETS / "flax.msgpack", tmp_path / "flax_model.msgpack")
    np.testing.assert_array_equal(read_checkpoint(tmp_path).vector, one_net.vector())
    said = facts(tmp_path)
    assert said["file"] == index.name
    assert said["also"] == ["pytorch_model.bin", "flax_model.msgpack"]


def test_a_folder_with_one_checkpoint_or_many(tmp_path):
    assert refusal(tmp_path) == "a folder; name the checkpoint file in it"
    shutil.copyfile(ASSETS / "keras.h5", tmp_path / "net.h5")
    assert read_checkpoint(tmp_path).form == "Keras"
    shutil.copyfile(ASSETS / "keras.h5", tmp_path / "other.h5")
    assert refusal(tmp_path) == "a folder; name the checkpoint file in it"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["saved_model.pb", "variables"], "a TensorFlow SavedModel, which is not read; "),
        (["Manifest.json", "Data"], "a CoreML model, which is not read; "),
        (["_METADATA", "d"], "a folder that Orbax wrote, which is not read; "),
        (
            ["checkpoint", "model.ckpt.index", "model.ckpt.data-00000-of-00001"],
            "the index of a TensorFlow checkpoint, which is not read; ",
        ),
    ],
)
def test_a_folder_of_another_library_is_named(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert refusal(tmp_path).startswith(message)


# ---- what is not read


def packed(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return buffer.getvalue()


def of_lengths(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer."""
    found = b""
    for value in (number << 3 | 2, len(content)):
        while value > 127:
            found += bytes([value & 127 | 128])
            value >>= 7
        found += bytes([value])
    return found + content


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.tar", packed(["sys_info", "pickle"]), "a torch file of before version 0.1.10, a tar"),
        ("net.pt", packed(["a/weights.bin"]), "a tar archive; unpack it, and name the checkpoint"),
        ("net.index", b"x" * 90 + bytes.fromhex("57fb808b247547db"), "the index of a TensorFlow c"),
        ("net.data-00000-of-00001", b"\1\2\3" * 9, "the values of a TensorFlow checkpoint, which"),
        (
            "saved_model.pb",
            b"\x08\1" + of_lengths(2, b"x" * 300),
            "a TensorFlow SavedModel, which ",
        ),
        ("graph.pb", b"\x0a\x09" + b"y" * 99, "a frozen graph of TensorFlow, which is not read; "),
        ("net.tflite", b"\x1c\0\0\0TFL3" + b"\0" * 99, "a TensorFlow Lite model, which is not "),
        (
            "net.mlmodel",
            b"\x08\4" + of_lengths(2, b"description") + of_lengths(500, b"net"),
            "a CoreML model, which is not read; name the checkpoint it was made from",
        ),
        (
            "net.joblib",
            b"\x80\4\x95\0\x8c\x15sklearn.linear_model.x",
            "a scikit-learn model, no ne",
        ),
        (
            "net.joblib",
            b"\x80\4\x95\0}\x8c\x13joblib.numpy_pickle",
            "a file that joblib wrote, which is not read; save the arrays with np.savez",
        ),
        ("net.7z", b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it, and name the checkpoint in it"),
    ],
)
def test_what_is_not_read_is_said_to_be_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(message)


def test_a_pickle_that_only_mentions_sklearn_is_read(tmp_path):
    content = {"state_dict": one_net.tensors(), "note": "with sklearn.preprocessing"}
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(content))
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "net.pkl").vector, one_net.vector())
