"""Per-layer features: aligned over depths, equal to slow versions, blind to shapes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weightspace.errors import DataError
from weightspace.features import LAYERS_NAMES, layers
from weightspace.networks import Plan
from weightspace.space import Recipe


def layout(**values):
    return Plan.from_recipe(Recipe(dataset="any", input_size=16, **values)).layout()


def vector(layout, seed=0):
    return np.random.default_rng(seed).normal(0.02, 0.1, layout.size).astype(np.float32)


def value(row, name):
    return row[LAYERS_NAMES.index(name)]


def tensor(v, layout, name):
    spec = next(t for t in layout.tensors if t.name == name)
    return v[spec.offset : spec.stop].astype(np.float64)


def test_columns_are_those_of_the_tensors():
    own = layout(depth_conv=4, depth_fc=2)
    v = vector(own)
    row = layers(v, own)
    assert row.shape == (len(LAYERS_NAMES),)
    assert row.dtype == np.float32
    assert len(set(LAYERS_NAMES)) == len(LAYERS_NAMES)
    first, last = tensor(v, own, "conv1.weight"), tensor(v, own, "output.weight")
    assert value(row, "conv_first_weight_log_spread") == pytest.approx(np.log10(first.std()))
    assert value(row, "fc_last_weight_kurtosis") == pytest.approx(
        np.arcsinh(stats.kurtosis(last)), abs=1e-4
    )
    middle = [tensor(v, own, f"conv{i}.weight") for i in (2, 3)]
    assert value(row, "conv_rest_weight_skewness") == pytest.approx(
        np.mean([np.arcsinh(stats.skew(m)) for m in middle]), abs=1e-4
    )
    shift = tensor(v, own, "conv1.shift")
    assert value(row, "conv_first_shift_q50") == pytest.approx(
        np.arcsinh(np.median(shift) / 1e-3), rel=1e-4
    )


def test_without_layers_between_the_ends_stand_in():
    own = layout(depth_conv=2, blocks=2)
    row = layers(vector(own), own)
    ends = [value(row, f"conv_{place}_weight_log_spread") for place in ("first", "last")]
    assert value(row, "conv_rest_weight_log_spread") == pytest.approx(np.mean(ends), abs=1e-6)


def test_slopes_follow_the_depth():
    own = layout(depth_conv=3)
    v = vector(own)
    for spec in own.tensors:
        v[spec.offset : spec.stop] *= 10.0 ** (-spec.layer)
    slope = value(layers(v, own), "slope_weight_log_spread")
    assert slope == pytest.approx(-max(spec.layer for spec in own.tensors), abs=0.3)


def test_running_statistics_and_parts_can_be_left_out():
    own = layout(depth_conv=3)
    v = vector(own)
    without = layers(v, own, running_stats=False)
    conv = layers(v, own, part="conv")
    for name, bare, part, whole in zip(LAYERS_NAMES, without, conv, layers(v, own), strict=True):
        if name.startswith("has_"):
            assert bare == ("running" not in name) * whole
            assert part == ("_conv_" in name) * whole
            continue
        if "running" in name:
            assert np.isnan(bare)
            assert np.isfinite(whole)
        if name.startswith("fc_"):
            assert np.isnan(part)
        elif name.startswith("conv_"):
            assert part == whole


@pytest.mark.parametrize("batch_norm", [True, False])
def test_nets_of_any_plan_have_the_same_columns(batch_norm):
    for depth_conv, depth_fc in ((1, 0), (2, 1), (5, 4)):
        own = layout(depth_conv=depth_conv, depth_fc=depth_fc, blocks=1, batch_norm=batch_norm)
        row = layers(vector(own), own)
        assert row.shape == (len(LAYERS_NAMES),)
        missing = [name for name, one in zip(LAYERS_NAMES, row, strict=True) if np.isnan(one)]
        assert not [n for n in missing if "_weight_" in n or "_bias_" in n]
        assert np.isfinite([one for one in row if not np.isnan(one)]).all()
        for part in ("conv", "fc"):
            for role in ("weight", "bias", "shift", "running_var"):
                there = any(t.part == part and t.role == role for t in own.tensors)
                assert value(row, f"has_{part}_{role}") == there
                assert np.isnan(value(row, f"{part}_first_{role}_mean")) == (not there)


def test_what_a_net_lacks_is_missing_and_no_number():
    own = layout(depth_conv=0, blocks=1)
    row = layers(vector(own), own)
    missing = {name for name, one in zip(LAYERS_NAMES, row, strict=True) if np.isnan(one)}
    assert missing == {name for name in LAYERS_NAMES if name.startswith(("conv_", "inputs_"))}


@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e36])
def test_rows_are_finite(scale):
    own = layout(depth_conv=3)
    row = layers(vector(own) * np.float32(scale), own)
    assert not np.isinf(row).any()
    assert np.array_equal(np.isnan(row), np.isnan(layers(vector(own), own)))


def test_the_count_of_layers_is_not_written_into_the_row():
    rows = []
    for depth in (3, 5):
        own = layout(depth_conv=depth)
        rows.append(np.mean([layers(vector(own, seed), own) for seed in range(12)], axis=0))
    spread = np.std([layers(vector(own, seed), own) for seed in range(12)], axis=0) + 0.05
    assert np.nanmedian(np.abs(rows[0] - rows[1]) / spread) < 1


def test_another_nets_layout_is_refused():
    own = layout(depth_conv=3)
    with pytest.raises(DataError, match=r"its layout has .* values"):
        layers(np.zeros(10, np.float32), own)
