"""Places: which values of a vector are read, by a vector that holds its own positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightspace.dissection import places
from weightspace.errors import UsageError
from weightspace.features import SHORTEST
from weightspace.networks import Plan
from weightspace.space import Recipe


def layout(**changes):
    small = {"input_size": 16, "channels": 1, "blocks": 2, "depth_conv": 2, "depth_fc": 1}
    return Plan.from_recipe(Recipe(dataset="x", **(small | changes))).layout()


SMALL = layout(filter_size=3, width_conv=4, width_fc=32)
LARGE = layout(filter_size=7, width_conv=12, width_fc=64, depth_conv=4, depth_fc=3)
BOTH = [SMALL, LARGE]


def positions_read(place, lay):
    return place.read(np.arange(lay.size, dtype=np.float32), lay).astype(int)


@given(count=st.integers(1, 120), length=st.integers(SHORTEST, 6000))
def test_windows_lie_at_the_same_relative_positions_of_every_net(count, length):
    found = places.along(BOTH, length, count)
    assert len(found) == count
    assert len({place.length for place in found}) == 1
    for i, place in enumerate(found):
        for lay in BOTH:
            (read,) = positions_read(place, lay)
            assert (np.diff(read) == 1).all()
            assert len(read) == place.length
            middle = (read[0] + read[-1] + 1) / 2
            share = 1 / min(count, 20)
            wanted = (i / max(1, count - 1)) * (1 - share) + share / 2
            assert abs(middle - wanted * lay.size) <= max(2, SHORTEST / 2)
            start, stop = place.extent(lay)
            assert (start, stop) == (read[0] / lay.size, (read[-1] + 1) / lay.size)


def test_all_nets_are_read_at_the_length_that_fits_the_shortest():
    found = places.along(BOTH, 5000, 20)
    shortest = min((i + 1) * SMALL.size // 20 - i * SMALL.size // 20 for i in range(20))
    assert found[0].length == shortest < LARGE.size // 20


def test_many_windows_are_no_shorter_than_twenty_and_reach_both_ends():
    few, many = places.along(BOTH, 5000, 20), places.along(BOTH, 5000, 100)
    assert abs(few[0].length - many[0].length) <= 1
    assert [few[0].name, few[-1].name] == ["0–5 %", "95–100 %"]
    assert [many[0].name, many[-1].name] == ["0–5 %", "95–100 %"]
    for lay in BOTH:
        starts = np.array([positions_read(place, lay)[0, 0] for place in many])
        steps = np.diff(starts)
        assert steps.min() >= 0
        assert steps.max() - steps.min() <= 2
        assert starts[0] < lay.size / 20
        assert starts[-1] + many[0].length > lay.size * 19 / 20


def test_a_part_is_read_without_the_other_and_without_running_statistics():
    found = {(p.name, p.running_stats): p for p in places.parts(BOTH, 5000, 3)}
    assert set(found) == {("conv", True), ("conv", False), ("fc", True), ("fc", False)}
    assert len({place.length for place in found.values()}) == 1
    for (part, running_stats), place in found.items():
        for lay in BOTH:
            allowed = lay.indices(part, running_stats)
            read = positions_read(place, lay)
            assert read.shape == (3, place.length)
            assert np.isin(read, allowed).all()
            assert read.min() == allowed[0]
            assert read.max() == allowed[-1]


def test_nets_without_batch_norm_have_no_second_row_a_part():
    plain = [layout(batch_norm=False)]
    assert [p.running_stats for p in places.parts(plain, 5000, 1)] == [True, True]


def test_depth_reads_the_layer_it_names():
    names = {"first conv": "conv1", "last conv": "conv4", "first fc": "fc1", "last fc": "output"}
    names |= {"middle conv": "conv3", "middle fc": "fc3"}
    found = {place.name: place for place in places.depths([LARGE], 200)}
    assert set(found) == set(names)
    for name, layer in names.items():
        own = [t for t in LARGE.tensors if t.name.startswith(f"{layer}.")]
        (read,) = positions_read(found[name], LARGE)
        assert own[0].offset <= read[0]
        assert read[-1] < own[-1].stop


def test_the_middle_layer_is_left_out_where_a_net_has_none():
    names = [place.name for place in places.depths(BOTH, 5000)]
    assert names == ["first conv", "last conv", "first fc", "last fc"]


def test_a_layer_too_small_for_features_is_read_with_its_neighbours():
    first = places.depths([SMALL], 5000)[0]
    assert (first.name, first.length) == ("first conv", SHORTEST)
    (read,) = positions_read(first, SMALL)
    assert read.tolist() == list(range(SHORTEST))


def test_the_whole_vector_is_read_from_end_to_end():
    place = places.whole(BOTH, 1000, 4)
    for lay in BOTH:
        read = positions_read(place, lay)
        assert (read[0, 0], read[-1, -1]) == (0, lay.size - 1)


def test_slices_too_short_to_read_are_refused_with_the_numbers():
    with pytest.raises(UsageError, match="slice_length: 10 values are too few to read; 64 are"):
        places.whole(BOTH, 10, 1)
    with pytest.raises(UsageError, match="positions: 0 is no number of places"):
        places.along(BOTH, 5000, 0)
