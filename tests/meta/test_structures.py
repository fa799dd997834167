"""Which architectures a population has, and what shapes show: read off the tensors of real nets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from weightspace.checkpoints import read_checkpoint
from weightspace.meta.model.shapes import shapes
from weightspace.meta.model.structures import MOST, Rule, Structures
from weightspace.networks import Plan
from weightspace.space import Recipe

BASE = Recipe(dataset="any", input_size=16, channels=1, outputs=10, width_conv=4, width_fc=32)


def of(**values):
    return shapes(Plan.from_recipe(replace(BASE, **values)).layout())


@pytest.fixture(scope="module")
def population():
    return Structures.of(
        [
            of(depth_conv=depth, filter_size=side, depth_fc=hidden, width_conv=width)
            for depth, side in ((3, 3), (5, 5))
            for hidden in (1, 2)
            for width in (4, 8)
        ]
    )


def test_a_lenet_is_described_by_its_tensors(tmp_path):
    lenet = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 10)),
    )
    torch.save(lenet.state_dict(), tmp_path / "lenet.pt")
    found = shapes(read_checkpoint(tmp_path / "lenet.pt").layout)
    assert found == {
        "convolutions": (2,),
        "dense": (2,),
        "outputs": (10,),
        "channels": (1,),
        "conv_widths": (6, 16),
        "dense_widths": (120,),
        "dense_inputs": (256,),
        "kernels": ("5x5",),
        "conv": ("bias",),
        "hidden": ("bias",),
        "output": ("bias",),
        "first_kernel": ("5x5",),
        "first_conv_width": (6,),
        "first_dense_width": (120,),
        "norm": ("none",),
        "bias": (True,),
    }


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({}, []),
        ({"depth_conv": 4}, []),
        ({"depth_conv": 6}, ["6 convolutions; the population has 3 to 5"]),
        ({"filter_size": 7}, ["convolutions of 7x7; the population has 3x3 and 5x5"]),
        ({"outputs": 43}, ["43 outputs; the population has 10"]),
        ({"channels": 3}, ["3 channels of the input; the population has 1"]),
        ({"depth_fc": 0}, ["1 dense layer; the population has 2 to 3"]),
        ({"width_conv": 64}, ["convolutions of 64 to 256 channels; the population has 4 to 32"]),
        (
            {"batch_norm": False},
            [
                "no batch norm in the convolutions; every net of the population has it",
                "no batch norm in the hidden dense layers; every net of the population has it",
            ],
        ),
        (
            {"bias": False},
            [
                "no bias in the convolutions; every net of the population has it",
                "no bias in the hidden dense layers; every net of the population has it",
            ],
        ),
    ],
)
def test_the_reason_is_in_words(population, values, reasons):
    found = [r for r in population.reasons(of(**values)) if "first dense layer" not in r]
    assert found == reasons


def test_an_mlp_is_outside_of_convolutional_nets(population):
    reasons = population.reasons(of(depth_conv=0))
    assert "no convolution; the population has 3 to 5" in reasons


def test_a_norm_that_no_net_has_is_a_reason():
    bare = Structures.of([of(batch_norm=False), of(batch_norm=False, depth_conv=4)])
    assert "batch norm in the convolutions; no net of the population has it" in bare.reasons(of())
    both = Structures.of([of(), of(batch_norm=False)])
    assert not both.reasons(of())
    assert not both.reasons(of(batch_norm=False))


def test_many_values_are_kept_as_a_range():
    outputs = range(2, 2 * MOST)
    many = Structures.of([of(outputs=count) for count in outputs])
    assert many.values["outputs"] == (2, 2 * MOST - 1)
    assert not many.reasons(of(outputs=77))
    assert many.reasons(of(outputs=1000)) == ("1,000 outputs; the population has 2 to 127",)


def test_architecture_follows_from_shapes_where_all_nets_agree():
    nets = [of(filter_size=side, depth_fc=hidden) for side in (3, 5) for hidden in (0, 1)]
    rule = Rule.of("filter_size", nets, ["3", "3", "5", "5"])
    assert rule is not None
    assert [rule.level(net) for net in nets] == ["3", "3", "5", "5"]
    assert rule.level(of(filter_size=7)) is None
    depth = Rule.of("depth_fc", nets, ["0", "1", "0", "1"])
    assert depth is not None
    assert depth.level(of(filter_size=7, depth_fc=1)) == "1"
    assert Rule.of("filter_size", nets, ["3", "5", "3", "5"]) is None
    assert Rule.of("optimizer", nets, ["sgd", "sgd", "adam", "adam"]) is None


def test_a_width_that_a_net_lacks_is_not_read():
    nets = [of(width_fc=width, depth_fc=hidden) for width in (32, 64) for hidden in (0, 1)]
    rule = Rule.of("width_fc", nets, ["32", "32", "64", "64"])
    assert rule is not None
    assert [rule.level(net) for net in nets] == [None, "32", None, "64"]


def test_what_is_not_known_of_a_population_is_no_reason():
    assert Structures({}).reasons(of()) == ()
