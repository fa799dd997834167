"""What the nodes of an ONNX graph say: biases that a node Add adds, tables of a node Gather.

The models are written here field by field, as onnx.proto describes them.
"""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.checkpoints import inspect, read_checkpoint

FLOAT, INT64 = 1, 7
RNG = np.random.default_rng(0)


def varint(value: int) -> bytes:
    found = b""
    value %= 2**64
    while True:
        value, low = value >> 7, value & 127
        found += bytes([low | (128 if value else 0)])
        if not value:
            return found


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(field(1, side) for side in values.shape)
    return dims + field(2, kind) + field(8, name) + field(9, values.tobytes())


def node(kind: str, inputs: str, output: str, **attributes: int | list[int]) -> bytes:
    said = b"".join(field(1, name) for name in inputs.split())
    said += field(2, output) + field(4, kind)
    for name, value in attributes.items():
        one = field(1, name)
        if isinstance(value, int):
            one += field(3, value) + field(20, 2)
        else:
            one += b"".join(field(8, number) for number in value) + field(20, 7)
        said += field(5, one)
    return said


def model(path, nodes: list[bytes], **values: np.ndarray):
    graph = b"".join(field(1, one) for one in nodes) + field(2, "g")
    graph += b"".join(field(5, tensor(k, v)) for k, v in values.items())
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 17)))
    return path


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def used(path) -> dict[str, str]:
    return {note.name: note.reason for note in read_checkpoint(path).used}


def values_of(path, name: str) -> np.ndarray:
    read = read_checkpoint(path)
    spec = next(spec for spec in read.layout.tensors if spec.name == name)
    return read.vector[spec.offset : spec.stop]


def test_biases_of_an_export_from_tensorflow(tmp_path):
    bias = floats(1, 6, 1, 1)
    path = model(
        tmp_path / "net.onnx",
        [
            node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
            node("Conv", "t conv2d/Conv2D/ReadVariableOp:0", "a"),
            node("Add", "a conv2d/BiasAdd/ReadVariableOp:0", "b"),
            node("Relu", "b", "c"),
            node("Reshape", "c flat", "d"),
            node("MatMul", "d dense/MatMul/ReadVariableOp:0", "e"),
            node("Add", "dense/BiasAdd/ReadVariableOp:0 e", "y"),
        ],
        **{
            "conv2d/Conv2D/ReadVariableOp:0": floats(6, 3, 3, 3),
            "conv2d/BiasAdd/ReadVariableOp:0": bias,
            "flat": np.array([-1, 24]),
            "dense/MatMul/ReadVariableOp:0": floats(24, 5),
            "dense/BiasAdd/ReadVariableOp:0": floats(5),
        },
    )
    conv, dense = "conv2d/Conv2D/ReadVariableOp:0", "dense/MatMul/ReadVariableOp:0"
    assert used(path) == {
        f"{conv}.weight": "2-D convolution kernel",
        f"{conv}.bias": f"bias of {conv}.weight",
        f"{dense}.weight": "dense kernel",
        f"{dense}.bias": f"bias of {dense}.weight",
    }
    np.testing.assert_array_equal(values_of(path, f"{conv}.bias"), bias.reshape(-1))


@pytest.mark.parametrize(
    ("way", "shape"),
    [
        ([("Identity", {})], (1, 6, 1)),
        ([("Transpose", {"perm": [0, 2, 1]})], (6,)),
        ([("Unsqueeze", {"axes": [2]})], (6, 1, 1)),
        ([("Unsqueeze", {"axes": [0]}), ("Squeeze", {"axes": [0]})], (1, 6, 1)),
        ([("Squeeze", {"axes": [-1]})], (6,)),
        ([("Squeeze", {"axes": [2]}), ("Reshape", "shape")], (1, 6)),
        ([("Squeeze", "last")], (6,)),
    ],
)
def test_a_bias_is_added_after_the_axes_have_moved(tmp_path, way, shape):
    nodes, at = [node("Conv", "x k", "r0")], 0
    for at, (kind, said) in enumerate(way, 1):
        more, attributes = (f" {said}", {}) if isinstance(said, str) else ("", said)
        nodes.append(node(kind, f"r{at - 1}{more}", f"r{at}", **attributes))
    nodes.append(node("Add", f"r{at} n", "y"))
    numbers = {"last": np.array([-1]), "shape": np.array([-1, 6])}
    path = model(tmp_path / "net.onnx", nodes, k=floats(6, 2, 5), n=floats(*shape), **numbers)
    assert used(path) == {
        "k.weight": "1-D convolution kernel", "k.bias": "bias of k.weight",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        ([node("Conv", "x k", "a"), node("Add", "a n", "y")], (6,)),  # along the pixels
        ([node("Conv", "x k", "a"), node("Add", "a n", "y")], (1, 1, 6)),
        ([node("Conv", "x k", "a"), node("Relu", "a", "c"), node("Add", "c n", "y")], (6, 1)),
        ([node("Conv", "x k", "a"), node("Add", "a n", "y"), node("Exp", "a", "z")], (6, 1)),
        ([node("Conv", "x k", "a"), node("Squeeze", "a", "c"), node("Add", "c n", "y")], (6,)),
        ([node("Conv", "x k", "a"), node("Transpose", "a", "c", perm=[0, 0, 1]),
          node("Add", "c n", "y")], (6,)),
    ],
)  # fmt: skip
def test_what_is_not_proved_to_be_a_bias_is_none(tmp_path, nodes, shape):
    path = model(tmp_path / "net.onnx", nodes, k=floats(6, 2, 5), n=floats(*shape))
    assert not any("bias" in reason for reason in used(path).values())


def test_the_bias_of_a_recurrent_layer_goes_with_the_kernel_for_its_input(tmp_path):
    nodes = [
        node("MatMul", "x lstm/MatMul", "a"), node("MatMul", "h lstm/MatMul_1", "b"),
        node("Add", "a b", "c"), node("Add", "c lstm/BiasAdd", "y"),
    ]  # fmt: skip
    values = {"lstm/MatMul": floats(3, 8), "lstm/MatMul_1": floats(2, 8), "lstm/BiasAdd": floats(8)}
    path = model(tmp_path / "net.onnx", nodes, **values)
    assert used(path) == {
        "lstm/MatMul.weight": "dense kernel",
        "lstm/MatMul.bias": "bias of lstm/MatMul.weight",
        "lstm/MatMul_1": "dense kernel",
    }
    assert inspect(path).architecture.kind == "recurrent"


def test_the_sum_of_two_convolutions_has_no_bias_of_either(tmp_path):
    nodes = [
        node("Conv", "x k", "a"), node("Conv", "x l", "b"), node("Add", "a b", "c"),
        node("Add", "c more", "y"),
    ]  # fmt: skip
    shapes = {"k": (6, 3, 1), "l": (6, 3, 1), "more": (6, 1)}
    path = model(tmp_path / "net.onnx", nodes, **{k: floats(*v) for k, v in shapes.items()})
    assert not any("bias of" in reason for reason in used(path).values())


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_nodes_are_no_convolutions(tmp_path, kind, gates, directions):
    rows = gates * 5
    w, r = floats(directions, rows, 7), floats(directions, rows, 5)
    b = floats(directions, 2 * rows)
    path = model(tmp_path / "net.onnx", [node(kind, "x W R B", "y")], W=w, R=r, B=b)
    found = inspect(path)
    assert found.architecture.kind == "recurrent"
    assert found.left_out == ()
    for number, end in enumerate(("", "_reverse")[:directions]):
        for name, values in (
            ("weight_ih", w[number]), ("weight_hh", r[number]),
            ("bias_ih", b[number, :rows]), ("bias_hh", b[number, rows:]),
        ):  # fmt: skip
            np.testing.assert_array_equal(values_of(path, f"W.{name}_l0{end}"), values.reshape(-1))


def test_a_recurrent_node_of_other_shapes_keeps_its_tensors(tmp_path):
    nodes = [node("LSTM", "x W R", "y")]
    path = model(tmp_path / "net.onnx", nodes, W=floats(1, 20, 7), R=floats(1, 20, 6))
    assert set(used(path)) == {"W", "R"}


def test_the_first_states_of_a_recurrent_node_are_no_weights(tmp_path):
    nodes = [node("Expand", "h shape", "a"), node("LSTM", "x W R B lengths a c", "y")]
    values = {"W": floats(1, 20, 7), "R": floats(1, 20, 5), "B": floats(1, 40)}
    states = {"h": floats(1, 1, 5), "c": floats(1, 1, 5)}
    path = model(tmp_path / "net.onnx", nodes, **values, **states, shape=np.array([1, 1, 5]))
    found = inspect(path)
    notes = {note.name: note.reason for note in found.left_out if note.name in states}
    assert notes == dict.fromkeys(states, "the first state of a recurrent layer")
    facts = {fact.name: fact.value for fact in found.facts}
    assert facts["gates"] == "in the order of ONNX, LSTM: i, o, f, g"


def test_recurrent_nodes_with_the_same_tensors_are_cut_once_and_others_keep_theirs(tmp_path):
    nodes = [node("GRU", "x W R B", "a"), node("GRU", "a W R B", "b"), node("GRU", "b W S", "y")]
    values = {"W": floats(1, 15, 5), "R": floats(1, 15, 5), "B": floats(1, 30)}
    path = model(tmp_path / "net.onnx", nodes, **values, S=floats(1, 15, 5))
    read = read_checkpoint(path)
    assert read.layout.size == sum(one.size for one in values.values()) + 75
    assert {"W.weight_ih_l0", "W.weight_hh_l0", "S"} <= {spec.name for spec in read.layout.tensors}


def test_a_name_that_a_part_of_a_recurrent_node_would_get_may_be_taken(tmp_path):
    nodes = [node("RNN", "x W R", "y"), node("MatMul", "y W.weight_hh_l0", "z")]
    values = {"W": floats(1, 5, 7), "R": floats(1, 5, 5), "W.weight_hh_l0": floats(5, 2)}
    path = model(tmp_path / "net.onnx", nodes, **values)
    assert {"W", "R", "W.weight_hh_l0"} == set(used(path))


def test_a_kernel_of_two_products_keeps_one_bias_and_the_others_their_names(tmp_path):
    nodes = [
        node("MatMul", "x w", "a"), node("Add", "a p", "b"),
        node("MatMul", "z w", "c"), node("Add", "c q", "d"),
        node("MatMul", "d v", "e"), node("Add", "e r", "y"),
    ]  # fmt: skip
    values = {"w": floats(4, 8), "v": floats(8, 2), "p": floats(8), "q": floats(8), "r": floats(2)}
    assert used(model(tmp_path / "net.onnx", nodes, **values)) == {
        "w.weight": "dense kernel", "v.weight": "dense kernel", "v.bias": "bias of v.weight",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("emb.weight", "emb.embedding"),
        ("onnx::Gather_3", "onnx::Gather_3.embedding"),
        ("word_embedding.weight", "word_embedding.weight"),
    ],
)
def test_the_table_of_a_gather_is_an_embedding(tmp_path, name, left):
    nodes = [node("Gather", f"{name} tokens", "a"), node("MatMul", "a w", "y")]
    path = model(tmp_path / "net.onnx", nodes, **{name: floats(50, 8), "w": floats(8, 2)})
    found = inspect(path)
    assert [note.name for note in found.used] == ["w"]
    assert [(note.name, note.reason) for note in found.left_out] == [
        (left, "an embedding: a look-up table, not a kernel")
    ]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Gather", "w rows", "k"), node("MatMul", "x k", "y")],  # a part of a kernel
        [node("Gather", "w tokens", "k", axis=1), node("MatMul", "x k", "y")],
        [node("Gather", "w tokens", "a"), node("MatMul", "a w", "y")],  # a kernel, too
    ],
)
def test_other_uses_of_gather_make_no_embedding(tmp_path, nodes):
    path = model(tmp_path / "net.onnx", nodes, w=floats(8, 8), rows=np.array([0, 1]))
    assert set(used(path)) == {"w"}
