"""ONNX models that torch's exporters write today, with values in the file and beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from support.libraries import facts, layers, needed, randomise, side, values_of
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore")

EXPORTERS = {"with dynamo": True, "by tracing": False}


class Net(nn.Module):
    """One of each kind of layer, with a norm that the exporter puts into its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.ln = nn.LayerNorm(4)
        self.fc1 = nn.Linear(4, 6)
        self.fc2 = nn.Linear(6, 2)
        self.up = nn.ConvTranspose2d(4, 3, 2)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc2(torch.relu(self.fc1(self.ln(x.mean((2, 3)))))), self.up(x)


def exported(path: Path, net: nn.Module, inputs: torch.Tensor, dynamo: bool, **how: Any) -> Path:
    needed("onnx", *(["onnxscript"] if dynamo else []))
    torch.onnx.export(net.eval(), (inputs,), str(path), dynamo=dynamo, verbose=False, **how)
    return path


def folded(net: Net) -> dict[str, np.ndarray]:
    """The kernel and bias of the convolution with its norm in it."""
    scale = net.bn.weight / (net.bn.running_var + net.bn.eps).sqrt()
    kernel = net.conv.weight * scale[:, None, None, None]
    bias = net.bn.bias - net.bn.running_mean * scale
    return {"weight": kernel.detach().numpy(), "bias": bias.detach().numpy()}


@pytest.mark.parametrize("name", EXPORTERS)
def test_layers_of_each_kind(tmp_path, name):
    net = randomise(Net())
    path = exported(tmp_path / "net.onnx", net, torch.zeros(1, 1, 6, 6), EXPORTERS[name])
    found = inspect(path)
    assert found.form == "ONNX"
    assert found.architecture.kind == "CNN"
    conv, up, fc1, fc2 = layers(found)
    assert (up, fc1, fc2) == ("up", "fc1", "fc2")
    sizes = [(one.inputs, one.outputs, one.bias) for one in found.architecture.layers]
    assert sizes == [(1, 4, True), (4, 3, True), (4, 6, True), (6, 2, True)]
    assert side(found, "ln").startswith("before or after")
    values = values_of(path)
    for what, wanted in folded(net).items():
        np.testing.assert_allclose(values.pop(f"{conv}.{what}"), wanted, rtol=1e-5)
    state = net.state_dict()
    assert set(values) == {n for n in state if n.partition(".")[0] in ("ln", "fc1", "fc2", "up")}
    for key, one in values.items():
        np.testing.assert_array_equal(one, state[key].numpy(), err_msg=key)
    assert facts(found)["producer"] == "pytorch"


@pytest.mark.parametrize("name", EXPORTERS)
def test_values_that_lie_beside_the_model(tmp_path, name):
    needed("onnx")
    import onnx

    net = randomise(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)))
    path = exported(tmp_path / "net.onnx", net, torch.zeros(1, 64), EXPORTERS[name])
    whole = onnx.load(str(path))
    onnx.save(
        whole, str(tmp_path / "apart.onnx"), save_as_external_data=True, size_threshold=0,
        location="apart.data",
    )  # fmt: skip
    for one in (path, tmp_path / "apart.onnx"):
        assert layers(inspect(one)) == ["0", "2"]
        for key, values in values_of(one).items():
            np.testing.assert_array_equal(values, net.state_dict()[key].numpy(), err_msg=key)
    (tmp_path / "apart.data").unlink()
    with pytest.raises(DataError, match=r"apart\.data, which is a part of it, is missing"):
        read_checkpoint(tmp_path / "apart.onnx")


@pytest.mark.parametrize(
    ("name", "kind"),  # with dynamo, an RNN becomes a product for each step
    [("by tracing", "RNN"), *((name, kind) for name in EXPORTERS for kind in ("GRU", "LSTM"))],
)
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers(tmp_path, name, kind, both):
    net = randomise(getattr(nn, kind)(3, 5, batch_first=True, bidirectional=both))
    path = exported(tmp_path / "net.onnx", net, torch.zeros(1, 4, 3), EXPORTERS[name])
    found = inspect(path)
    assert found.architecture.kind == "recurrent"
    values = {key.rpartition(".")[2]: one for key, one in values_of(path).items()}
    state = {key: one.numpy() for key, one in net.state_dict().items()}
    assert set(values) == set(state)
    gates = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}[kind]
    for key, one in state.items():
        rows = np.split(one, len(gates))
        wanted = np.concatenate([rows[gate] for gate in gates])
        np.testing.assert_array_equal(values[key], wanted, err_msg=key)
    assert facts(found)["gates"].startswith(f"in the order of ONNX, {kind}: ")


def test_attention_with_dynamo(tmp_path):
    net = randomise(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True))
    path = exported(tmp_path / "net.onnx", net, torch.zeros(1, 4, 8), dynamo=True)
    found = inspect(path)
    assert found.architecture.kind == "transformer"
    assert layers(found) == ["self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2"]
    values = values_of(path)
    assert set(values) == set(net.state_dict())
    for key, one in net.state_dict().items():
        np.testing.assert_array_equal(values[key], one.numpy(), err_msg=key)
    for norm in ("norm1", "norm2"):
        assert side(found, norm).startswith("before or after")
