"""Tensors with several names: counted once, said to be tied, and kept where they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from support.usual_nets import Net
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.inspection.architecture import Architecture


def saved(tmp_path, content):
    torch.save(content, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def counted(architecture: Architecture) -> int:
    return sum(architecture.parameters.values())


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def language_model() -> nn.Module:
    net = Net(wte=nn.Embedding(50, 8), fc=nn.Linear(8, 8), lm_head=nn.Linear(8, 50, bias=False))
    net.lm_head.weight = net.wte.weight
    return net


def test_an_output_layer_that_is_tied_to_the_embedding(tmp_path):
    net = language_model()
    path = saved(tmp_path, net.state_dict())
    found = inspect(path)
    assert found.shared == (("wte.weight", "lm_head.weight"),)
    assert dict(found.architecture.parameters) == {"fc": 50 * 8 + 72}
    assert counted(found.architecture) == parameters(net)
    notes = {note.name: note.reason for note in (*found.used, *found.left_out)}
    assert notes["lm_head.weight"] == "dense kernel; tied: one tensor with wte.weight"
    assert notes["wte.weight"] == (
        "an embedding: a look-up table, not a kernel; tied: one tensor with lm_head.weight"
    )
    assert [layer.tied for layer in found.architecture.layers] == ["", "wte.weight"]


def test_the_vector_has_a_tied_kernel_in_each_of_its_places(tmp_path):
    layer = nn.Linear(6, 6)
    net = Net(first=layer, middle=nn.Linear(6, 6), last=layer)
    read = read_checkpoint(saved(tmp_path, net.state_dict()))
    assert read.layout.size == 3 * 42
    spans = {s.name: read.vector[s.offset : s.stop] for s in read.layout.tensors}
    np.testing.assert_array_equal(spans["first.weight"], spans["last.weight"])
    assert counted(inspect(tmp_path / "net.pt").architecture) == parameters(net) == 2 * 42


def test_a_decoder_that_is_the_transposed_encoder(tmp_path):
    encoder = nn.Linear(20, 4)
    state = {
        "encoder.weight": encoder.weight.data, "encoder.bias": encoder.bias.data,
        "decoder.weight": encoder.weight.data.t(), "decoder.bias": torch.zeros(20),
    }  # fmt: skip
    found = inspect(saved(tmp_path, state))
    notes = {note.name: note.reason for note in found.used}
    assert notes["decoder.weight"] == "dense kernel; tied: one tensor with encoder.weight"
    assert counted(found.architecture) == 80 + 4 + 20


def test_views_of_different_parts_of_a_storage_are_not_tied(tmp_path):
    whole = torch.arange(24.0)
    state = {
        "a.weight": whole[:12].view(3, 4), "b.weight": whole[12:].view(3, 4),
        "c.weight": whole.view(6, 4), "d.weight": whole[:1].expand(3, 4),
    }  # fmt: skip
    found = inspect(saved(tmp_path, state))
    assert not any("tied" in note.reason for note in found.used)
    assert counted(found.architecture) == 60


def test_all_names_of_one_tensor_count_once(tmp_path):
    layer = nn.Linear(5, 5)
    net = Net(**{f"layer{k}": layer for k in range(5)})
    found = inspect(saved(tmp_path, net.state_dict()))
    assert counted(found.architecture) == 30
    assert {layer.tied for layer in found.architecture.layers} == {"layer0.weight", "layer1.weight"}
