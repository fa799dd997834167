"""Whole modules, as torch.save(model) writes them: order, norms, and what their classes say."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from support.usual_nets import Net, Truth
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.checkpoint import Checkpoint


class BasicBlock(nn.Module):
    """As in torchvision."""

    def __init__(self, takes: int, gives: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(takes, gives, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(gives)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(gives, gives, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(gives)
        self.downsample = None
        if stride != 1 or takes != gives:
            self.downsample = nn.Sequential(
                nn.Conv2d(takes, gives, 1, stride, bias=False), nn.BatchNorm2d(gives)
            )


class Bottleneck(nn.Module):
    """As in torchvision."""

    def __init__(self, takes: int, gives: int, stride: int = 1) -> None:
        super().__init__()
        inner = gives // 4
        self.conv1 = nn.Conv2d(takes, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, gives, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(gives)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or takes != gives:
            self.downsample = nn.Sequential(
                nn.Conv2d(takes, gives, 1, stride, bias=False), nn.BatchNorm2d(gives)
            )


class ResNet(nn.Module):
    """As in torchvision, with fewer channels; `late` registers the stem and the head last."""

    def __init__(self, block: type[nn.Module], late: bool = False) -> None:
        super().__init__()
        takes, widths = 8, (8, 16, 32, 64)
        parts: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, takes, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(takes),
            "relu": nn.ReLU(inplace=True), "maxpool": nn.MaxPool2d(3, 2, 1),
        }  # fmt: skip
        for number, gives in enumerate(widths, 1):
            gives *= 4 if block is Bottleneck else 1
            stride = 1 if number == 1 else 2
            parts[f"layer{number}"] = nn.Sequential(
                block(takes, gives, stride), block(gives, gives)
            )
            takes = gives
        parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "fc": nn.Linear(takes, 10)}
        for name in sorted(parts, key=lambda name: "layer" not in name) if late else parts:
            self.add_module(name, parts[name])


def truth(block: type[nn.Module]) -> Truth:
    """The order of the computation; a shortcut comes after what it goes past."""
    rows: Truth = [("conv1", ("bn1",))]
    for number in (1, 2, 3, 4):
        for index in (0, 1):
            at = f"layer{number}.{index}"
            count = 3 if block is Bottleneck else 2
            rows += [(f"{at}.conv{k}", (f"{at}.bn{k}",)) for k in range(1, count + 1)]
            if index == 0 and (number > 1 or block is Bottleneck):
                rows.append((f"{at}.downsample.0", (f"{at}.downsample.1",)))
    return [*rows, ("fc", ())]


def layers(read: Checkpoint) -> Truth:
    rows: list[tuple[str, list[str]]] = []
    for spec in read.layout.tensors:
        module = spec.name.rpartition(".")[0]
        if spec.role == "weight":
            rows.append((module, []))
        elif spec.role != "bias" and module not in rows[-1][1]:
            rows[-1][1].append(module)
    return [(name, tuple(norms)) for name, norms in rows]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
def test_a_whole_resnet_is_read_as_its_state_dict(tmp_path, block, late, zipped, parallel):
    torch.manual_seed(0)
    net = ResNet(block, late)
    for tensor in net.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.uniform_(-1, 1)
    whole = nn.DataParallel(net) if parallel else net
    torch.save(whole, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    torch.save(net.state_dict(), tmp_path / "state.pt")
    read = read_checkpoint(tmp_path / "whole.pt")
    assert layers(read) == truth(block)
    np.testing.assert_array_equal(read.vector, read_checkpoint(tmp_path / "state.pt").vector)
    found = inspect(tmp_path / "whole.pt")
    assert found.architecture.kind == "residual CNN"
    assert not any(one.kind == "doubt" for one in found.findings)
    assert found.modules[("module." if parallel else "") + "layer2.0.bn1"].endswith("BatchNorm2d")


def test_a_whole_sequence_is_in_the_order_of_its_numbers(tmp_path):
    parts = [
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8),
        nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(),
        nn.Linear(32, 16), nn.Dropout(), nn.Linear(16, 16), nn.Linear(16, 10),
    ]  # fmt: skip
    torch.save(nn.Sequential(*parts), tmp_path / "net.pt")
    read = read_checkpoint(tmp_path / "net.pt")
    expected = [("0", ("1",)), ("3", ("4",)), ("7", ("8",)), ("10", ()), ("12", ()), ("13", ())]
    assert layers(read) == expected
    numbers = list(enumerate(parts))
    random.Random(1).shuffle(numbers)
    torch.save(Net(**{str(number): part for number, part in numbers}), tmp_path / "other.pt")
    assert layers(read_checkpoint(tmp_path / "other.pt")) == expected


def test_classes_say_what_names_do_not(tmp_path):
    net = Net(
        encoder=nn.Embedding(50, 8), first=nn.Linear(8, 6), a=nn.PReLU(6),
        embed=nn.Linear(6, 6, bias=False), norm=nn.LayerNorm(6), last=nn.Linear(6, 2),
    )  # fmt: skip
    torch.save(net, tmp_path / "net.pt")
    found = inspect(tmp_path / "net.pt")
    assert [layer.name for layer in found.architecture.layers] == [
        "first.weight", "embed.weight", "last.weight",
    ]  # fmt: skip
    assert {note.name: note.reason for note in found.left_out} == {
        "encoder.weight": "an embedding: a look-up table, not a kernel",
        "a.weight": "a slope of an activation",
    }


def test_a_transposed_convolution_is_known_by_its_class(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 8, 3, bias=False))
    torch.save(net, tmp_path / "net.pt")
    notes = {note.name: note.reason for note in read_checkpoint(tmp_path / "net.pt").used}
    assert notes["1.weight"] == "2-D transposed convolution kernel, stored as [in, out, ...]"
