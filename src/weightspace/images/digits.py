"""The built-in set `digits`: the 1,797 handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from weightspace.images.imageset import Arrays, Sizes

CLASSES = tuple("0123456789")
TEST_PER_CLASS = 50
SIZES = Sizes(1797 - 10 * TEST_PER_CLASS, 10 * TEST_PER_CLASS, (8, 8, 1))


def build() -> Arrays:
    """8x8 grey, bright on black; 50 of each class, drawn once, are for test, 1,297 for training."""
    from sklearn.datasets import load_digits

    data = load_digits()
    # 17 levels, 0..16, spread over 0..255.
    x = np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None]
    y = data.target.astype(np.int64)
    order = np.random.default_rng(1797).permutation(len(y))
    held = [order[y[order] == label][:TEST_PER_CLASS] for label in range(10)]
    test = np.sort(np.concatenate(held))
    train = np.setdiff1d(np.arange(len(y)), test)
    return Arrays(x[train], y[train], x[test], y[test])
