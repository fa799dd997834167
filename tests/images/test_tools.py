"""`resize` and `split`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightspace.errors import UsageError
from weightspace.images import ImageSet, load, resize, split

SIDES = st.integers(1, 40)
CHANNELS = st.sampled_from([1, 3])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None)
@given(level=st.integers(0, 255), rows=SIDES, columns=SIDES, size=SIDES, old=CHANNELS, new=CHANNELS)
def test_constant_images_stay_constant(level, rows, columns, size, old, new):
    x = np.full((2, rows, columns, old), level, np.uint8)
    out = resize(x, size, new)
    assert out.dtype == np.uint8
    assert out.shape == (2, size, size, new)
    assert (out == level).all()


@settings(deadline=None)
@given(
    size=st.integers(1, 12), factor=st.integers(1, 6), channels=CHANNELS, seed=st.integers(0, 99)
)
def test_shrinking_by_a_whole_factor_averages_blocks_and_keeps_the_mean(
    size, factor, channels, seed
):
    x = noise(3, size * factor, size * factor, channels, seed=seed)
    out = resize(x, size, channels)
    blocks = x.reshape(3, size, factor, size, factor, channels).astype(float).mean((2, 4))
    assert abs(out - blocks).max() <= 0.5001
    assert abs(out.mean() - x.mean()) <= 0.5001


@settings(deadline=None)
@given(old=st.integers(2, 20), data=st.data())
def test_shrinking_at_any_ratio_equals_the_slow_obvious_way(old, data):
    new = data.draw(st.integers(1, old - 1))
    x = noise(1, old, old, 1)
    # Cut every pixel into new x new equal pieces, then average old x old pieces: no fractions.
    pieces = np.kron(x[0, :, :, 0].astype(float), np.ones((new, new)))
    exact = pieces.reshape(new, old, new, old).mean((1, 3))
    assert abs(resize(x, new, 1)[0, :, :, 0] - exact).max() <= 0.501


@pytest.mark.parametrize(("old", "new"), [(28, 32), (8, 12), (8, 32), (15, 16), (1, 5), (2, 3)])
def test_growing_equals_bilinear_interpolation_of_pixel_centres(old, new):
    x = noise(4, old, old, 3)
    planes = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))
    exact = torch.nn.functional.interpolate(planes, (new, new), mode="bilinear")
    out = resize(x, new, 3).transpose(0, 3, 1, 2)
    assert abs(out - exact.numpy()).max() <= 0.501


def test_each_axis_goes_its_own_way():
    x = noise(2, 8, 32, 1)
    tall = resize(x, 16, 1)
    halves = x.reshape(2, 8, 16, 2, 1).astype(float).mean(3)
    planes = torch.from_numpy(halves.transpose(0, 3, 1, 2))
    exact = torch.nn.functional.interpolate(planes, (16, 16), mode="bilinear").numpy()
    assert abs(tall.transpose(0, 3, 1, 2) - exact).max() <= 0.501


def test_grey_is_luma_and_colour_is_repetition():
    x = noise(5, 6, 6, 3)
    luma = x @ np.array([0.299, 0.587, 0.114])
    assert abs(resize(x, 6, 1)[..., 0] - luma).max() <= 0.501
    grey = noise(5, 6, 6, 1)
    np.testing.assert_array_equal(resize(grey, 6, 3), np.repeat(grey, 3, axis=3))


def test_chunks_leave_no_seam():
    x = noise(5000, 28, 28, 1)
    whole = resize(x, 20, 3)
    for i in (0, 1336, 1337, 1338, 2674, 2675, 4999):
        np.testing.assert_array_equal(whole[i : i + 1], resize(x[i : i + 1], 20, 3))


def test_the_result_is_a_new_array_even_where_nothing_changes():
    x = noise(2, 6, 6, 1)
    x.flags.writeable = False
    out = resize(x, 6, 1)
    np.testing.assert_array_equal(out, x)
    assert out.flags.writeable
    assert not np.shares_memory(out, x)
    assert resize(x[:0], 4, 3).shape == (0, 4, 4, 3)


@pytest.mark.parametrize(
    ("x", "size", "channels", "says"),
    [
        (np.zeros((2, 4, 4, 1)), 4, 1, "x: float64 [2, 4, 4, 1] are not images; "
         "give uint8 [N, H, W, C] with C = 1 or 3"),
        (np.zeros((2, 4, 4), np.uint8), 4, 1, "x: uint8 [2, 4, 4] are not images; "
         "give uint8 [N, H, W, C] with C = 1 or 3"),
        (np.zeros((2, 4, 4, 1), np.uint8), 0, 1, "size: 0 is not a positive number of pixels"),
        (np.zeros((2, 4, 4, 1), np.uint8), 4, 2, "channels: 2 is neither 1 nor 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_resized_is_refused(x, size, channels, says):
    with pytest.raises(UsageError) as caught:
        resize(x, size, channels)
    assert str(caught.value) == says


def labelled(counts, name="mine"):
    y = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(3).shuffle(y)
    x = np.zeros((len(y), 1, 1, 1), np.uint8)
    return ImageSet(name, x, y, x, y, tuple(map(str, range(len(counts)))))


COUNTS = st.lists(st.integers(5, 60), min_size=2, max_size=8)


@settings(deadline=None)
@given(counts=COUNTS, data=st.data(), fraction=st.floats(0.1, 0.5), seed=st.integers(0, 2**31))
def test_both_halves_are_stratified_disjoint_and_of_the_size_asked_for(
    counts, data, fraction, seed
):
    images = labelled(counts)
    wanted = data.draw(st.integers(min(sum(counts), 12 * len(counts)), sum(counts)))
    train, validation = split(images, wanted, fraction, seed)
    assert train.dtype == validation.dtype == np.int64
    both = np.concatenate([train, validation])
    assert len(set(both.tolist())) == len(both) == wanted
    assert abs(len(validation) - wanted * fraction) <= 0.5 + len(counts) * (wanted < sum(counts))
    for part, share in ((both, wanted), (validation, len(validation))):
        found = np.bincount(images.y_train[part], minlength=len(counts))
        exact = np.array(counts) * share / sum(counts)
        assert abs(found - exact).max() < 2


def test_all_images_are_used_where_none_are_counted():
    images = load("digits")
    train, validation = split(images, 0, 0.0, seed=1)
    assert sorted(train) == list(range(1297))
    assert len(validation) == 0
    train, validation = split(images, 1000, 0.1, seed=1)
    assert (len(train), len(validation)) == (900, 100)
    assert np.ptp(np.bincount(images.y_train[validation])) <= 1


def test_a_balanced_set_splits_into_balanced_halves():
    images = load("textures")
    train, validation = split(images, 1000, 0.1, seed=7)
    assert np.bincount(images.y_train[train]).tolist() == [90] * 10
    assert np.bincount(images.y_train[validation]).tolist() == [10] * 10


def test_the_seed_and_nothing_else_decides():
    images = load("glyphs")
    first, again, other = (split(images, 500, 0.2, seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[0].tolist()) != set(other[0].tolist())
    # In random order: a prefix is not all of one class.
    assert len(set(images.y_train[first[0][:40]].tolist())) == 10


@pytest.mark.parametrize(
    ("images", "fraction", "says"),
    [
        (101, 0.1, "train_images: 101 asked of mine, which has 100 training images; ask for fewer, "
         "or 0 for all"),
        (-1, 0.1, "train_images: -1 asked of mine, which has 100 training images; ask for fewer, "
         "or 0 for all"),
        (9, 0.1, "train_images: 9 of mine are too few for one image of each of its 10 classes; "
         "the rarest has 10 of 100 images"),
        (0, 1.0, "validation_fraction: 1.0 is not from 0 up to, not including, 1"),
        (20, 0.01, "validation_fraction: 0.01 of 20 images of mine leaves none to validate on; "
         "raise it, or train_images"),
    ],
)  # fmt: skip
def test_a_split_that_cannot_be_made_is_refused_with_numbers(images, fraction, says):
    with pytest.raises(UsageError) as caught:
        split(labelled([10] * 10), images, fraction, seed=0)
    assert str(caught.value) == says
