"""Forms that were found in public repositories, made small: see docs/formats.md, "Files that were
tried".
"""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from support.hostile_pickles import (
    PROTOCOL,
    WEIGHT,
    bounded,
    dict_of,
    get,
    name,
    number,
    put,
    text,
    zipped,
)
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import DataError

DEEP = b")" + b"\x85" * 100_000
RECORD = name("lib", "Thing") + DEEP + b"R"
ALONE = "holds the state of an optimizer, not a net; name the file of the weights"


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        read_checkpoint(path)
    return str(caught.value).removeprefix(f"{path}: ")


def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    net(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("zipped_form", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_an_optimizer_saved_whole_is_the_state_of_an_optimizer(tmp_path, zipped_form, whole):
    net, optimizer = stepped()
    content = {"net": net if whole else net.state_dict(), "optimizer": optimizer}
    path = tmp_path / "net.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped_form)
    found = inspect(path)
    assert (found.key, found.others) == ("net", ())
    (state,) = found.optimizers
    assert (state.kind, state.parameters, state.steps) == ("Adam", 4, (1, 1))
    expected = torch.cat([p.detach().flatten() for p in net.parameters()])
    np.testing.assert_array_equal(read_checkpoint(path).vector, expected)


def test_an_optimizer_alone_is_no_net(tmp_path):
    torch.save(stepped()[1], tmp_path / "net.pt")
    assert refusal(tmp_path / "net.pt") == ALONE


def test_an_empty_array_of_protocol_2_is_read(tmp_path):
    content = {"w": np.ones((3, 4), np.float32), "seen": np.zeros((0, 2))}
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(content, protocol=2))
    assert read_checkpoint(tmp_path / "net.pkl").layout.size == 12


def test_a_dict_of_layers_is_one_net(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"conv1": (3, 3, 3, 10), "conv2": (3, 3, 10, 16), "fc": (16, 2)}
    layers: dict = {
        key: {"weights": rng.normal(size=shape), "biases": np.zeros(shape[-1])}
        for key, shape in shapes.items()
    }
    layers["PReLU1"] = {"alpha": np.full(10, 0.25)}
    np.save(tmp_path / "net.npy", layers, allow_pickle=True)
    found = read_checkpoint(tmp_path / "net.npy")
    assert [note.name for note in found.used] == [
        f"{key}.{leaf}" for key in shapes for leaf in ("weights", "biases")
    ]
    assert [(note.name, note.reason) for note in found.skipped] == [
        ("PReLU1.alpha", "a slope of an activation")
    ]


def test_variables_of_tensorflow_have_their_biases(tmp_path):
    names = ("pi/fc0/w:0", "pi/fc0/b:0", "pi/fc1/w:0", "pi/fc1/b:0")
    shapes = ((3, 8), (8,), (8, 2), (2,))
    content = {key: np.ones(shape) for key, shape in zip(names, shapes, strict=True)}
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(content))
    found = read_checkpoint(tmp_path / "net.pkl").used
    assert [(note.name, note.reason) for note in found] == [
        ("pi/fc0/w:0", "dense kernel, stored as [in, out]"),
        ("pi/fc0/b:0", "bias of pi/fc0/w:0"),
        ("pi/fc1/w:0", "dense kernel, stored as [in, out]"),
        ("pi/fc1/b:0", "bias of pi/fc1/w:0"),
    ]


def test_a_zip_archive_with_checkpoints_says_which_to_name(tmp_path):
    path = tmp_path / "ppo.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", "{}")
        for member, size in (("pytorch_variables", 9), ("policy", 50), ("policy.optimizer", 99)):
            archive.writestr(f"{member}.pth", b"\0" * size)
    assert refusal(path) == "a zip archive, but not a torch file; unpack it, and name policy.pth"


def field(key: int, value: bytes | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return bytes([key << 3, value])
    return bytes([key << 3 | 2, len(value)]) + value


def test_graphs_within_nodes_are_said_to_be_left_out(tmp_path):
    branch = field(5, field(1, 2) + field(2, 1) + field(8, b"w") + field(9, b"\0" * 8))
    branches = b"".join(
        field(5, field(1, key) + field(6, branch)) for key in (b"then_branch", b"else_branch")
    )
    node = field(1, b"flag") + field(2, b"out") + field(4, b"If") + branches
    (tmp_path / "net.onnx").write_bytes(field(1, 8) + field(7, field(1, node)))
    (note,) = inspect(tmp_path / "net.onnx").left_out
    assert (note.name, note.dtype, note.reason) == (
        "out", "If", "the tensors in 2 graphs within a node are not read",
    )  # fmt: skip


def test_kernels_that_other_nodes_make_are_said_to_be_missing(tmp_path):
    made = field(1, field(1, b"shape") + field(2, b"w") + field(4, b"ConstantOfShape"))
    node = field(1, field(1, b"x") + field(1, b"w") + field(2, b"y") + field(4, b"Conv"))
    (tmp_path / "net.onnx").write_bytes(field(1, 8) + field(7, made + node))
    (note,) = inspect(tmp_path / "net.onnx").left_out
    assert (note.name, note.dtype, note.reason) == (
        "w", "Conv", "a kernel that is not stored: an input, or made by other nodes",
    )  # fmt: skip


@pytest.mark.parametrize(
    "kernels",
    [
        ("lstm_4.lstm_cell.kernel", "lstm_4.lstm_cell.recurrent_kernel"),
        ("bidirectional.kernel", "bidirectional.recurrent_kernel"),
    ],
)
def test_recurrent_layers_of_keras_are_known(tmp_path, kernels):
    content = dict(zip(kernels, (np.ones((16, 5)), np.ones((16, 4))), strict=True))
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(content))
    assert inspect(tmp_path / "net.pkl").architecture.kind == "recurrent"


# ---- what such files could be made to do


def both(path, content: bytes) -> list[str]:
    """What reading and inspecting a hostile file end in, each in time and memory."""
    path.write_bytes(content)
    said = []
    for read in (read_checkpoint, inspect):
        with bounded():
            try:
                said.append(f"{len(read(path).used)} used")
            except DataError as error:
                said.append(str(error).removeprefix(f"{path}: "))
    return said


def shared(made: bytes, filled) -> bytes:
    """A list or dict that contains another one hundreds of times, which does so, too."""
    content = made + put(500)
    for level in range(1, 7):
        content += b"0" + made + b"(" + filled(get(499 + level)) + put(500 + level)
    return content


LISTS = shared(b"]", lambda inner: inner * 300 + b"e")
DICTS = shared(b"}", lambda inner: b"".join(number(i) + inner for i in range(200)) + b"u")


@pytest.mark.parametrize(
    "value",
    [
        dict_of((RECORD, dict_of((text("a"), number(1))))),
        dict_of((text("a"), number(1)), (text("b"), LISTS)),
        dict_of((text("a"), number(1)), (text("b"), name("pathlib", "PosixPath") + DEEP + b"R")),
        DICTS,
    ],
    ids=["a deep key", "shared lists", "a deep path", "shared dicts"],
)
def test_what_is_shared_or_deep_is_not_shown_whole(tmp_path, value):
    content = zipped(dict_of((text("fc.weight"), WEIGHT), (text("config"), value)))
    assert both(tmp_path / "net.pt", content) == ["1 used"] * 2


def test_a_deep_codec_is_refused_in_one_line(tmp_path):
    pickled = PROTOCOL + name("_codecs", "encode") + text("a") + RECORD + b"\x86R."
    message = (
        "refused; its pickle does something that weights files never do (text encoded as "
        "'lib.Thing'); save the state dict as safetensors"
    )
    assert both(tmp_path / "net.pkl", pickled) == [message] * 2


def test_a_key_of_any_depth_is_named_by_its_class(tmp_path):
    pickled = PROTOCOL + dict_of((RECORD, number(1))) + b"."
    message = "no state dict in it; found lib.Thing; save model.state_dict()"
    assert both(tmp_path / "net.pkl", pickled) == [message] * 2
