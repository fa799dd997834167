"""Slices of one vector jointly, by hand."""

import numpy as np
import pytest

from weightspace.features import LOCAL_NAMES, POOLED_NAMES, SLICES, local, pooled


@pytest.fixture(scope="module")
def slices():
    sizes = np.random.default_rng(0).uniform(0.01, 1, (SLICES, 1))
    values = np.random.default_rng(1).normal(size=(SLICES, 700)) * sizes
    return values.astype(np.float32)


def test_each_number_is_summed_up_over_the_slices_and_over_places(slices):
    rows = local(slices)
    found = pooled(slices).reshape(-1, len(LOCAL_NAMES))
    names = [name.partition("_")[0] for name in POOLED_NAMES[:: len(LOCAL_NAMES)]]
    by_hand = {
        "mean": rows.mean(0), "spread": rows.std(0), "least": rows.min(0), "greatest": rows.max(0),
        "first": rows[0], "early": rows[1:4].mean(0), "middle": rows[4:12].mean(0),
        "late": rows[12:23].mean(0), "last": rows[23],
    }  # fmt: skip
    assert names == list(by_hand)
    for name, row in zip(names, found, strict=True):
        np.testing.assert_allclose(row, by_hand[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_order_of_the_slices_matters_to_places_alone(slices):
    turned = pooled(slices[::-1]).reshape(-1, len(LOCAL_NAMES))
    found = pooled(slices).reshape(-1, len(LOCAL_NAMES))
    np.testing.assert_allclose(turned[:4], found[:4], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(turned[4], found[8])
    assert not np.allclose(turned[5], found[5])


@pytest.mark.parametrize("count", [12, 13, 24, 100])
def test_no_place_is_empty(count):
    slices = np.random.default_rng(0).normal(size=(count, 300))
    assert np.isfinite(pooled(slices)).all()


def test_too_few_slices_are_refused(slices):
    with pytest.raises(ValueError, match="11 slices are too few, give at least 12"):
        pooled(slices[:11])
