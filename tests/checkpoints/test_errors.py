"""Files that are no checkpoint, damaged or hostile: each ends in one line, and runs nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from weightspace.checkpoints import read_checkpoint
from weightspace.errors import DataError


def refusal(path: Path) -> str:
    """The one-line message for a file, after its name."""
    with pytest.raises(DataError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def raw(header: dict | bytes, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return (os.system, (f"touch {self.proof}",))


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_pickle_bomb_is_told_by_name_and_does_not_go_off(tmp_path, form):
    proof, path = tmp_path / "executed", tmp_path / "net.pt"
    content = {"0.weight": torch.ones(2, 3), "bomb": Bomb(proof)}
    if form == "plain":
        path.write_bytes(pickle.dumps(Bomb(proof)))
        assert refusal(path) == "holds a posix.system, not a state dict; save model.state_dict()"
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
        read = read_checkpoint(path)
        assert read.vector.tolist() == [1.0] * 6
        assert [(f.kind, f.text) for f in read.findings] == [
            ("hostile", "names `posix.system`: hostile; nothing was run")
        ]
    assert not proof.exists()
    # the bomb is a real one: the plain unpickler sets it off
    pickle.loads(pickle.dumps(Bomb(proof)))
    assert proof.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_bomb_in_a_newer_pickle_is_named_all_the_same(tmp_path, protocol):
    proof, path = tmp_path / "executed", tmp_path / "net.pt"
    torch.save({"0.weight": torch.ones(2, 3), "bomb": Bomb(proof)}, path, pickle_protocol=protocol)
    read = read_checkpoint(path)
    assert [finding.kind for finding in read.findings] == ["hostile"]
    assert {note.name: note.dtype for note in read.skipped} == {"bomb": "posix.system"}
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"(cos\nsystem\no.", b"(ios\nsystem\n."])
def test_the_calls_of_old_protocols_are_records_too(tmp_path, content):
    path = tmp_path / "net.pt"
    path.write_bytes(b"\x80\x02" + content)
    assert refusal(path) == "holds a os.system, not a state dict; save model.state_dict()"
    path.write_bytes(b"\x80\x02\x82\x01.")
    assert refusal(path) == (
        "refused; its pickle does something that weights files never do (Unsupported operand 130); "
        "save the state dict as safetensors"
    )


def test_a_bomb_of_protocol_0_does_not_go_off(tmp_path):
    proof, path = tmp_path / "executed", tmp_path / "net.pt"
    path.write_bytes(pickle.dumps(Bomb(proof), protocol=0))
    assert refusal(path) == "holds a posix.system, not a state dict; save model.state_dict()"
    assert not proof.exists()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # A date of its own: the bytes are in the names of tests, which all workers must agree on.
        archive.writestr(zipfile.ZipInfo("notes.txt"), "weights are elsewhere")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; copy or download the file again"),
        (
            b"<!DOCTYPE html>\n<html><head><title>404</title>",
            "a web page, not a checkpoint; download the file itself",
        ),
        (
            b"  <!-- made by hand -->\n<HTML>",
            "a web page, not a checkpoint; download the file itself",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "a Git LFS pointer, not the file itself; run git lfs pull",
        ),
        (b"\x1f\x8b\x08\x00" + b"\0" * 99, "compressed with gzip; unpack it first"),
        (
            b'{"metadata": {}, "weight_map": {}}',
            "JSON text, not weights; name the file of the weights",
        ),
        (b"<?xml version='1.0'?><Error/>", "XML text, not a checkpoint; download the file itself"),
        (
            b"\x12\x01" + b"\0" * 22,
            "MXNet's parameters, which are not read; save them with np.savez",
        ),
        (
            b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 90,
            "a MATLAB file, which is not read; save the arrays with np.savez",
        ),
        (
            b"weights\n1 2 3\n",
            "in no form of checkpoints that is known (it starts with b'weights\\n'); "
            "save the weights as safetensors",
        ),
        (zipped(), "a zip archive, but not a torch file; save the weights as safetensors"),
        (zipped()[:40], "a zip archive that is cut short; fetch it again"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".weights", ""])
def test_what_is_no_checkpoint_is_named(tmp_path, content, message, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    assert refusal(path) == message


def test_missing_file_and_folder(tmp_path):
    assert refusal(tmp_path / "gone.pt") == "no such file"
    assert refusal(tmp_path) == "a folder; name the checkpoint file in it"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "no regular file; copy what it gives into one"


def test_the_content_decides_not_the_extension(tmp_path):
    state = net().state_dict()
    safetensors.torch.save_file(state, tmp_path / "a.pt")
    torch.save(state, tmp_path / "b.safetensors")
    torch.save(state, tmp_path / "c.weights")
    forms = [read_checkpoint(tmp_path / n).form for n in ("a.pt", "b.safetensors", "c.weights")]
    assert forms == ["safetensors", "torch", "torch"]


# ------------------------------------------------------------------------------- safetensors


def test_truncated_safetensors(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"fc.weight": torch.ones(10, 10)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    assert refusal(path) == (
        "cut short; fc.weight has 100 values up to byte 400, "
        "the file holds 396 bytes of values; fetch it again"
    )
    length = int.from_bytes(whole[:8], "little")
    path.write_bytes(whole[:20])
    assert refusal(path) == (
        f"cut short; its header takes {length} bytes, the file has 20; fetch it again"
    )
    path.write_bytes(whole[:5])
    assert refusal(path).endswith("the file has 5; fetch it again")


@pytest.mark.parametrize("end", [4 * 10**12, 8])
def test_a_header_that_claims_a_trillion_values(tmp_path, end):
    path = tmp_path / "net.safetensors"
    header = {"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, end]}}
    path.write_bytes(raw(header, b"\0" * 8))
    assert refusal(path) == (
        f"cut short; w has 1,000,000,000,000 values up to byte {end:,}, "
        "the file holds 8 bytes of values; fetch it again"
    )


def test_a_header_with_numbers_too_long_to_print(tmp_path):
    path = tmp_path / "net.safetensors"
    header = {"w": {"dtype": "F32", "shape": [2**48] * 32, "data_offsets": [0, 8]}}
    path.write_bytes(raw(header, b"\0" * 8))
    assert refusal(path).startswith("cut short; w has 1,000,000,000,000,000,000 values up to byte")


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b'{"w": 3}',
        b'{"w": {"dtype": "F32", "shape": [2]}}',
        b'{"w": {"dtype": "F32", "shape": "x", "data_offsets": [0, 8]}}',
        b'{"w":' + b"[" * 100_000,
        b"{\xff}",
        b'{"w": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [true, 2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [2.0, 1], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [1' + b"0" * 4000 + b'], "data_offsets": [0, 8]}}',
    ],
)
def test_a_header_that_is_none(tmp_path, header):
    path = tmp_path / "net.safetensors"
    path.write_bytes(raw(header, b"\0" * 8))
    assert refusal(path).startswith("damaged; no safetensors header (")


@pytest.mark.parametrize(
    "change",
    [{"dtype": "F33"}, {"shape": [3]}, {"data_offsets": [4, 8]}, {"data_offsets": [8, 0]}],
)
def test_a_header_that_contradicts_itself(tmp_path, change):
    path = tmp_path / "net.safetensors"
    row = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]} | change
    path.write_bytes(raw({"w": row}, b"\0" * 8))
    assert refusal(path).startswith("damaged (")


# ---------------------------------------------------------------------------------- torch files


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
def test_truncated_torch_file(tmp_path, keep):
    path = tmp_path / "net.pt"
    torch.save(net().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    assert refusal(path) == "a zip archive that is cut short; fetch it again"


def test_a_torch_file_that_claims_values_it_has_not(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"w": torch.ones(1, 1).expand(10**6, 10**6)}, path)
    size = path.stat().st_size
    assert refusal(path) == (
        f"claims 1,000,000,000,000 values in {size:,} bytes; fetch it again from its source"
    )


def test_a_torch_file_whose_storage_is_shorter_than_its_tensor(tmp_path):
    path, forged = tmp_path / "net.pt", tmp_path / "forged.pt"
    torch.save({"w": torch.ones(30, 40)}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("data.pkl"):
                # 1200 values of storage, 30 x 40 of shape: claim 60 x 250 over 15000
                content = content.replace(b"M\xb0\x04", b"M\x98\x3a").replace(
                    b"K\x1eK(\x86", b"K\x3cK\xfa\x86"
                )
                assert content != old.read(item)
            new.writestr(item.filename, content)
    assert refusal(forged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), "holds a Tensor, not a state dict; save model.state_dict()"),
        ([torch.ones(3)], "holds a list, not a state dict; save model.state_dict()"),
        (
            {"epoch": 3, "optimizer": {}},
            "no state dict in it; found epoch, optimizer; save model.state_dict()",
        ),
        ({"state_dict": {}}, "no state dict in it; found state_dict; save model.state_dict()"),
        (
            {"steps": torch.arange(3), "lone.bias": torch.ones(2)},
            "no usable tensors; found steps int64 [3] (int64: not a floating type of trained "
            "weights), lone.bias float32 [2] (a bias without its kernel)",
        ),
        (
            {f"n{i}": torch.tensor(i) for i in range(7)},
            "no usable tensors; found "
            + ", ".join(
                f"n{i} int64 [] (int64: not a floating type of trained weights)" for i in range(5)
            )
            + " and 2 more",
        ),
    ],
)
def test_no_state_dict_or_nothing_usable_says_what_was_found(tmp_path, content, message):
    path = tmp_path / "net.pt"
    torch.save(content, path)
    assert refusal(path) == message


def test_no_tensors_in_safetensors(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({}, path)
    assert refusal(path) == "no usable tensors; it holds nothing at all"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_names_cannot_steer_the_terminal(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    state = {"a\n\x1b[2J\u202eweight": torch.full((2, 2), float("nan")), "x" * 500: torch.ones(3)}
    if suffix == ".pt":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    message = refusal(path)
    assert message.startswith("a��[2J�weight: 4 of 4 values are NaN or infinite;")
    assert message.isprintable()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_values_that_are_not_finite_are_counted_by_tensor(tmp_path, suffix):
    state = net().state_dict()
    state["0.weight"][0, 0, 0] = torch.tensor([float("nan"), float("inf"), 1.0])
    path = tmp_path / f"net{suffix}"

    def save() -> None:
        if suffix == ".pt":
            torch.save(state, path)
        else:
            safetensors.torch.save_file(state, path)

    save()
    remedy = "the net has diverged or the file is damaged, take an earlier checkpoint"
    assert refusal(path) == f"0.weight: 2 of 18 values are NaN or infinite; {remedy}"
    state["3.bias"][1] = -float("inf")
    save()
    assert refusal(path) == (
        f"0.weight: 2 of 18 values are NaN or infinite, and so in 1 more tensors; {remedy}"
    )


def test_a_value_beyond_float32_is_infinite(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"w": torch.full((2, 2), 1e300, dtype=torch.float64)}, path)
    assert refusal(path).startswith("w: 4 of 4 values are NaN or infinite;")
