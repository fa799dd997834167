"""Foreign checkpoints: nets built in torch give the vector and layout that a plan describes."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from support.plans import Block, Plain
from weightspace.checkpoints import read_checkpoint

PLAN = Plain(
    side=16, channels=3, outputs=10,
    conv=(Block(4, 3, 1, True), Block(8, 3, 1, False), Block(8, 3, 1, True)),
    fc=(12, 6), batch_norm=True,
)  # fmt: skip

plans = st.builds(
    Plain,
    side=st.just(8),
    channels=st.sampled_from([1, 3]),
    outputs=st.integers(2, 11),
    conv=st.lists(
        st.builds(
            lambda width, kernel, pool: Block(width, kernel, kernel // 2, pool),
            st.integers(1, 6),
            st.sampled_from([1, 3, 5]),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    fc=st.lists(st.integers(2, 12), max_size=3).map(tuple),
    batch_norm=st.booleans(),
)


def build(plan: Plain) -> nn.Sequential:
    """The plan's net as anyone would write it, with no value left at its default."""
    modules: list[nn.Module] = []
    width = plan.channels
    for layer in plan.conv:
        modules.append(nn.Conv2d(width, layer.width, layer.kernel, padding=layer.padding))
        modules += [nn.BatchNorm2d(layer.width)] * plan.batch_norm
        modules.append(nn.ReLU())
        modules += [nn.MaxPool2d(2)] * layer.pool
        width = layer.width
    modules.append(nn.Flatten())
    width = math.prod(plan.plan.unflattened)
    for out in plan.fc:
        modules += [nn.Linear(width, out), nn.ReLU()]
        modules += [nn.BatchNorm1d(out)] * plan.batch_norm
        modules.append(nn.Dropout(0.5))
        width = out
    modules.append(nn.Linear(width, plan.outputs))
    net = nn.Sequential(*modules)
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return net


def vector_of(net: nn.Sequential) -> np.ndarray:
    """The plan's vector, written down layer by layer from the modules themselves."""
    pieces: list[torch.Tensor] = []
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            pieces += [module.weight, module.bias]
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            pieces += [module.bias, module.weight, module.running_mean, module.running_var]
    return torch.cat([piece.detach().reshape(-1) for piece in pieces]).numpy()


def rows(layout) -> list[tuple]:
    """Everything of a layout but the names."""
    return [(t.role, t.part, t.layer, t.shape, t.offset) for t in layout.tensors]


def save(state: dict, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=plans, suffix=st.sampled_from([".safetensors", ".pt", ".pth", ".bin", ".ckpt"]))
def test_a_net_of_a_plan_reads_as_the_plan(tmp_path, plan, suffix):
    net = build(plan)
    checkpoint = read_checkpoint(save(net.state_dict(), tmp_path / f"net{suffix}"))
    assert rows(checkpoint.layout) == rows(plan.plan.layout())
    assert checkpoint.vector.dtype == np.float32
    assert np.array_equal(checkpoint.vector, vector_of(net))
    assert [note.name for note in checkpoint.used] == [t.name for t in checkpoint.layout.tensors]
    assert {note.name for note in (*checkpoint.used, *checkpoint.skipped)} == set(net.state_dict())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_house_names_give_the_very_layout(tmp_path, suffix):
    layout = PLAN.plan.layout()
    vector = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    state = {
        t.name: torch.from_numpy(vector[t.offset : t.stop].reshape(t.shape)).clone()
        for t in layout.tensors
    }
    checkpoint = read_checkpoint(save(state, tmp_path / f"net{suffix}"))
    assert checkpoint.layout == layout
    assert checkpoint.layout.key == layout.key
    assert np.array_equal(checkpoint.vector, vector)
    assert checkpoint.skipped == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_floating_type_becomes_float32(tmp_path, dtype, suffix):
    net = build(PLAN).to(dtype)
    checkpoint = read_checkpoint(save(net.state_dict(), tmp_path / f"net{suffix}"))
    assert checkpoint.vector.dtype == np.float32
    assert np.array_equal(checkpoint.vector, vector_of(net.to(torch.float32)))
    assert {note.dtype for note in checkpoint.used} == {str(dtype).removeprefix("torch.")}


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_a_state_dict_among_other_things_is_found(tmp_path, key):
    net = build(PLAN)
    optimizer = torch.optim.Adam(net.parameters())
    content = {
        "epoch": 3,
        "best": torch.tensor(0.5),
        key: net.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    checkpoint = read_checkpoint(save(content, tmp_path / "net.pt"))
    assert np.array_equal(checkpoint.vector, vector_of(net))
    beside = {n.name: (n.dtype, n.reason) for n in checkpoint.skipped if n.name in content}
    reason = f"not in the state dict, but under {key!r}"
    assert beside == {
        "epoch": ("int", reason), "best": ("float32", reason), "optimizer": ("dict", reason)
    }  # fmt: skip


def test_nested_twice(tmp_path):
    net = build(PLAN)
    path = save({"model": {"state_dict": net.state_dict()}}, tmp_path / "net.pt")
    assert np.array_equal(read_checkpoint(path).vector, vector_of(net))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."]
)
def test_prefixes_of_wrappers_are_dropped(tmp_path, prefix):
    net = build(PLAN)
    state = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    for suffix in (".pt", ".safetensors"):
        checkpoint = read_checkpoint(save(state, tmp_path / f"net{suffix}"))
        assert np.array_equal(checkpoint.vector, vector_of(net))
        assert checkpoint.layout.tensors[0].name == "0.weight"


def test_prefixes_stay_where_names_would_collide(tmp_path):
    state = {"module.a.weight": torch.ones(2, 3), "a.weight": torch.zeros(2, 3)}
    checkpoint = read_checkpoint(save(state, tmp_path / "net.pt"))
    assert {note.name for note in checkpoint.used} == {"module.a.weight", "a.weight"}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_names_are_sorted_as_people_count(tmp_path, suffix):
    state = {f"conv{i}.weight": torch.full((i, 1, 1, 1), float(i)) for i in (10, 2, 1)}
    state["a_head.weight"] = torch.ones(2, 10)
    checkpoint = read_checkpoint(save(state, tmp_path / f"net{suffix}"))
    assert [note.name for note in checkpoint.used] == [
        "conv1.weight", "conv2.weight", "conv10.weight", "a_head.weight",
    ]  # fmt: skip


class Residual(nn.Module):
    """Named as ResNets are: the norms come before the layers in the alphabet."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_norms_follow_the_layer_of_their_number(tmp_path, suffix):
    state = Residual().state_dict()
    checkpoint = read_checkpoint(save(state, tmp_path / f"net{suffix}"))
    assert [(t.name, t.role, t.part, t.layer) for t in checkpoint.layout.tensors] == [
        ("conv1.weight", "weight", "conv", 0),
        ("bn1.bias", "shift", "conv", 0),
        ("bn1.weight", "scale", "conv", 0),
        ("bn1.running_mean", "running_mean", "conv", 0),
        ("bn1.running_var", "running_var", "conv", 0),
        ("conv2.weight", "weight", "conv", 1),
        ("bn2.bias", "shift", "conv", 1),
        ("bn2.weight", "scale", "conv", 1),
        ("bn2.running_mean", "running_mean", "conv", 1),
        ("bn2.running_var", "running_var", "conv", 1),
        ("fc.weight", "weight", "fc", 2),
        ("fc.bias", "bias", "fc", 2),
    ]
    assert {note.name for note in checkpoint.skipped} == {
        "bn1.num_batches_tracked", "bn2.num_batches_tracked",
    }  # fmt: skip


def test_a_transformer_layer_keeps_its_norms_and_attention(tmp_path):
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    checkpoint = read_checkpoint(save(layer.state_dict(), tmp_path / "net.pt"))
    assert [(t.name, t.role, t.layer) for t in checkpoint.layout.tensors] == [
        ("self_attn.in_proj_weight", "weight", 0),
        ("self_attn.in_proj_bias", "bias", 0),
        ("self_attn.out_proj.weight", "weight", 1),
        ("self_attn.out_proj.bias", "bias", 1),
        ("norm1.bias", "shift", 1),
        ("norm1.weight", "scale", 1),
        ("linear1.weight", "weight", 2),
        ("linear1.bias", "bias", 2),
        ("linear2.weight", "weight", 3),
        ("linear2.bias", "bias", 3),
        ("norm2.bias", "shift", 3),
        ("norm2.weight", "scale", 3),
    ]
    assert checkpoint.skipped == ()
    assert checkpoint.layout.indices("conv").size == 0


def test_every_skipped_tensor_has_its_reason(tmp_path):
    state = OrderedDict(
        {
            "tokens.embed.weight": torch.ones(100, 4),
            "conv.weight": torch.ones(4, 1, 3),
            "conv.weight_mask": torch.ones(4, 1, 3),
            "conv.scale_factor": torch.tensor(2.0),
            "act.weight": torch.ones(4),
            "gain.weight": torch.ones(1),
            "steps": torch.arange(3),
            "flags": torch.tensor([True]),
            "wave": torch.ones(2, 2, dtype=torch.complex64),
            "none.weight": torch.ones(0, 4),
            "lone.bias": torch.ones(4),
            "alpha": torch.ones(4),
            "head.weight_g": torch.ones(4, 1),
            "ln.weight": torch.ones(4, 5),
            "volume.weight": torch.ones(1, 1, 1, 1, 1, 2),
            "note": "written by hand",
        }
    )
    checkpoint = read_checkpoint(save(state, tmp_path / "net.pt"))
    assert [(n.name, n.reason) for n in checkpoint.used] == [
        ("conv.weight", "1-D convolution kernel")
    ]
    assert {n.name: n.reason for n in checkpoint.skipped} == {
        "tokens.embed.weight": "an embedding: a look-up table, not a kernel",
        "conv.weight_mask": "a mask",
        "conv.scale_factor": "a single value, not a tensor of a layer",
        "act.weight": "a slope of an activation",
        "gain.weight": "a single value: a gain or a slope, not a norm over channels",
        "steps": "int64: not a floating type of trained weights",
        "flags": "bool: not a floating type of trained weights",
        "wave": "complex64: not a floating type of trained weights",
        "none.weight": "holds no values",
        "lone.bias": "a bias without its kernel",
        "alpha": "one dimension, but by its name neither a bias nor part of a norm",
        "head.weight_g": "a factor of a reparametrised kernel; the kernel itself is not stored",
        "ln.weight": "a norm of 2 dimensions; only norms over channels are known",
        "volume.weight": "6 dimensions: neither a convolution kernel nor a dense one",
        "note": "not a tensor",
    }
    frame = checkpoint.frame()
    assert frame["used"].to_list() == [True] + [False] * 15
    assert frame.columns == ["name", "shape", "dtype", "used", "reason"]


def test_three_and_five_dimensions_are_convolutions(tmp_path):
    net = nn.Sequential(nn.Conv1d(2, 3, 5), nn.Conv3d(3, 4, 1), nn.Linear(4, 2))
    checkpoint = read_checkpoint(save(net.state_dict(), tmp_path / "net.safetensors"))
    parts = [(t.part, t.shape) for t in checkpoint.layout.tensors if t.role == "weight"]
    assert parts == [("conv", (3, 2, 5)), ("conv", (4, 3, 1, 1, 1)), ("fc", (2, 4))]


def test_shared_and_strided_tensors_are_read_by_value(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    state = {"a.weight": weight, "b.weight": weight.T, "c.weight": torch.ones(1, 1).expand(4, 5)}
    checkpoint = read_checkpoint(save(state, tmp_path / "net.pt"))
    assert checkpoint.vector.tolist() == [0, 1, 2, 3, 4, 5, 0, 3, 1, 4, 2, 5] + [1.0] * 20
