"""Nets written out as text: any chain of the grammar comes back, and trains as the named one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightspace
from weightspace.errors import UsageError
from weightspace.networks import Plan
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.chains import chain, is_chain, written
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Norm,
    Pool,
    Residual,
)
from weightspace.space import Choice, Constant, Recipe, Space

SIZE, FEW = st.integers(1, 99), st.integers(0, 9)
LAYER = st.recursive(
    st.one_of(
        st.builds(Conv, SIZE, SIZE, SIZE, st.integers(0, 9), SIZE, st.booleans()),
        st.builds(Dense, SIZE, st.booleans()),
        st.sampled_from([Norm(), Norm("layer"), Activation(), Flatten()]),
        st.builds(Norm, st.just("group"), SIZE),
        st.builds(Pool, SIZE, FEW, FEW, st.sampled_from(["max", "average"])),
        st.builds(AdaptivePool, SIZE),
        st.builds(Dropout, st.booleans(), st.sampled_from(["dropout", "dropout_conv"])),
    ),
    lambda inner: st.builds(
        Residual, st.lists(inner, max_size=3).map(tuple), st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(LAYER, min_size=1, max_size=6).map(tuple))
def test_every_chain_comes_back(layers: tuple) -> None:
    assert chain(written(layers)) == layers


@pytest.mark.parametrize("layer", [Dense(10), Dense(3, bias=False), Residual((), (Dense(4),))])
def test_a_net_of_one_layer_is_a_chain(layer) -> None:
    plan = Plan((4,), (layer,))
    assert is_chain(str(plan))
    assert Plan.from_recipe(Recipe(dataset="mine", features=4, architecture=str(plan))) == plan
    assert not any(map(is_chain, ARCHITECTURES))


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if ":" not in name])
def test_named_architectures_can_be_written_out(name: str) -> None:
    recipe = Recipe(dataset="mnist", architecture=name, depth_conv=7 if name == "resnet" else 3)
    plan = Plan.from_recipe(recipe)
    text = written(plan.layers)
    assert is_chain(text)
    again = Plan.from_recipe(Recipe(dataset="mnist", architecture=f"  {text.replace('>', ' > ')} "))
    assert again == plan
    assert again.layout() == plan.layout()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("conv 3 > dense 10", "'conv 3' is no layer"),
        ("flatten > dense 10 >", "'' is no layer"),
        ("conv 3x5 to 8 > flatten > dense 10", "not square"),
        ("(dense 3) > dense 2", "no residual block"),
        ("(" * 50 + ") + ()" * 50 + " > dense 2", "no residual block"),
        ("flatten > dense 100000000", "no layer"),
        ("dense 10 > flatten\x1b[31m", "is no layer"),
    ],
)
def test_mistakes_are_named_in_one_line(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Plan.from_recipe(Recipe(dataset="mnist", architecture=text))
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_population_of_a_written_net(tmp_path: Path) -> None:
    text = (
        "conv 3x3 to 4 pad 1 > activation > max pool 2 > flatten > dense 16 > activation > dense 10"
    )
    space = Space(
        "mine",
        {
            "dataset": Constant("digits"), "architecture": Constant(text), "epochs": Constant(1),
            "input_size": Constant(8), "channels": Constant(1), "train_images": Constant(300),
            "optimizer": Choice(("sgd", "adam")),
        },
    )  # fmt: skip
    zoo = weightspace.sample(space, nets=2, out=tmp_path / "zoo", snapshots=2, workers=1)
    assert [spec.shape for spec in zoo.layout(zoo.nets["net"][0]).tensors] == [
        (4, 1, 3, 3), (4,), (16, 64), (16,), (10, 16), (10,),
    ]  # fmt: skip
    assert np.isfinite(zoo.vector(zoo.nets["net"][0], -1)).all()


def test_too_few_logits_are_refused(tmp_path: Path) -> None:
    net = {"architecture": Constant("flatten > dense 5"), "dataset": Constant("digits")}
    space = Space("mine", net | {"input_size": Constant(8), "channels": Constant(1)})
    with pytest.raises(UsageError, match="5 are too few for the 10 classes"):
        weightspace.sample(space, nets=2, out=tmp_path / "zoo", snapshots=2, workers=1)
