"""Plans and layouts: the published sizes, and a layout that is a faithful map of its vector."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plans import Block, Plain, hidden, pooled, sides, widths
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout, Plan
from weightspace.networks.grammar import Conv
from weightspace.space import Choice, Recipe, preset

FIXED = Plan.from_recipe(Recipe(dataset="mnist"))
MODEL_ZOOS = Recipe(
    dataset="mnist", architecture="model_zoos", input_size=28, channels=1, outputs=10,
    width_fc=20, depth_fc=1, batch_norm=False, dropout=0.0, batch_size=10, activation="tanh",
)  # fmt: skip

plans = st.builds(
    Plain,
    side=st.sampled_from([16, 32]),
    channels=st.sampled_from([1, 3]),
    outputs=st.integers(2, 20),
    conv=st.lists(
        st.builds(
            lambda width, kernel, pool: Block(width, kernel, kernel // 2, pool),
            st.integers(1, 6),
            st.sampled_from([1, 3, 5]),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    fc=st.lists(st.integers(2, 20), max_size=3).map(tuple),
    batch_norm=st.booleans(),
).map(lambda plain: plain.plan)


def grid() -> list[Plan]:
    d = preset("nws-main").distributions
    names = ("filter_size", "depth_conv", "depth_fc", "width_conv", "width_fc")
    levels = [d[name].values for name in names if isinstance(d[name], Choice)]
    return [
        Plan.from_recipe(Recipe(dataset="mnist", **dict(zip(names, values, strict=True))))
        for values in itertools.product(*levels)
    ]


def test_the_fixed_net_has_the_published_size():
    layout = FIXED.layout()
    assert layout.size == 92_868
    assert round(100 * len(layout.indices("conv")) / layout.size) == 18
    space = preset("nws-fixed")
    assert {Plan.from_recipe(recipe) for recipe in space.draw(20)} == {FIXED}


def test_the_grid_has_the_published_sizes():
    sizes = [plan.layout().size for plan in grid()]
    assert len(sizes) == 243
    assert (min(sizes), max(sizes)) == (21_260, 388_172)
    assert round(np.mean(sizes), -1) == 125_270
    assert len({plan.layout().key for plan in grid()}) == 243


@pytest.mark.parametrize(
    ("depth", "outputs", "pools"), [(3, [8, 16, 32], [0, 1, 2]), (4, [8, 16, 32, 32], [0, 1, 3]),
                                    (5, [8, 16, 16, 32, 32], [0, 2, 4])]
)  # fmt: skip
def test_surplus_layers_go_to_the_last_blocks(depth, outputs, pools):
    plan = Plan.from_recipe(Recipe(dataset="mnist", depth_conv=depth))
    assert widths(plan, Conv) == outputs
    assert pooled(plan) == pools


def test_the_model_zoos_cnn_has_its_published_size():
    """2,464 weights: 28 - 24 - 12 - 8 - 4 - 3 pixels (Schürholt et al., NeurIPS 2022)."""
    plan = Plan.from_recipe(MODEL_ZOOS)
    assert plan.layout().size == 2464
    assert sides(plan) == [28, 12, 4, 3]


def test_images_too_small_for_unpadded_convolutions_are_refused():
    with pytest.raises(UsageError, match=r"input_size: 12 pixels vanish in the 3 convolutions"):
        Plan.from_recipe(replace(MODEL_ZOOS, input_size=12))


def test_an_unknown_architecture_is_refused_by_name():
    with pytest.raises(
        UsageError, match=r"architecture: 'alexnet' is unknown; known are nws, model"
    ):
        Plan.from_recipe(replace(MODEL_ZOOS, architecture="alexnet"))


def test_dense_widths_are_halved_and_never_below_two():
    plan = Plan.from_recipe(Recipe(dataset="mnist", depth_fc=4, width_fc=9))
    assert hidden(plan) == [9, 4, 2, 2]


def test_the_order_of_the_fixed_net_is_the_published_one():
    tensors = FIXED.layout().tensors
    assert [(t.name, t.shape) for t in tensors[:6]] == [
        ("conv1.weight", (8, 3, 5, 5)),
        ("conv1.bias", (8,)),
        ("conv1.shift", (8,)),
        ("conv1.scale", (8,)),
        ("conv1.running_mean", (8,)),
        ("conv1.running_var", (8,)),
    ]
    fc1 = next(t for t in tensors if t.name == "fc1.weight")
    assert (fc1.shape, fc1.layer, fc1.part) == ((128, 32 * 4 * 4), 3, "fc")
    assert [(t.name, t.shape) for t in tensors[-2:]] == [
        ("output.weight", (20, 64)),
        ("output.bias", (20,)),
    ]


@given(plans)
def test_tensors_lie_end_to_end(plan):
    layout = plan.layout()
    offset = 0
    for spec in layout.tensors:
        assert spec.offset == offset
        offset = spec.stop
    assert offset == layout.size
    assert len({spec.name for spec in layout.tensors}) == len(layout.tensors)
    assert [t.layer for t in layout.tensors] == sorted(t.layer for t in layout.tensors)
    weights = [t for t in layout.tensors if t.role == "weight"]
    assert len(weights) == len(plan.kernels)
    for before, after in itertools.pairwise(weights):
        inputs = (
            math.prod(plan.unflattened) if (before.part, after.part) == ("conv", "fc") else None
        )
        assert after.shape[1] == (inputs or before.shape[0])


@given(plans)
def test_layout_round_trip(plan):
    layout = plan.layout()
    again = Layout.from_json(layout.to_json())
    assert again == layout
    assert again.key == layout.key
    assert replace(plan).layout().key == layout.key


@given(plans)
def test_parts_and_running_statistics_divide_the_vector(plan):
    layout = plan.layout()
    everything = layout.indices()
    assert everything.dtype == np.int64
    assert np.array_equal(everything, np.arange(layout.size))
    conv, fc = layout.indices("conv"), layout.indices("fc")
    assert np.array_equal(np.concatenate([conv, fc]), everything)
    trainable = layout.indices(running_stats=False)
    rest = np.setdiff1d(everything, trainable)
    owner = {i: t for t in layout.tensors for i in (t.offset, t.stop - 1)}
    assert {owner[i].role for i in rest if i in owner} <= {"running_mean", "running_var"}
    assert len(rest) == sum(t.size for t in layout.tensors if t.role.startswith("running"))
    assert np.array_equal(
        np.intersect1d(conv, trainable), layout.indices("conv", running_stats=False)
    )


def test_ranges_are_merged_where_they_touch():
    layout = FIXED.layout()
    assert layout.select() == [(0, layout.size)]
    assert len(layout.select("conv", running_stats=False)) == 3


def test_unknown_part_is_refused():
    with pytest.raises(UsageError, match=r"^part: 'dense' is not one of all, conv, fc$"):
        FIXED.layout().indices("dense")


def _damage(**change) -> str:
    rows = json.loads(FIXED.layout().to_json())
    rows[1] |= change
    return json.dumps(rows)


@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "[3]", '[{"name": "a"}]', _damage(offset=601), _damage(role="kernel"),
     _damage(shape=None), _damage(color="red")],
)  # fmt: skip
def test_damaged_layout_is_refused(text):
    with pytest.raises(DataError, match=r"^layout: damaged"):
        Layout.from_json(text)
