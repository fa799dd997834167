"""Data of one's own: images of numbers, and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.nets import BASE, small
from weightspace.errors import DataError, UsageError
from weightspace.images import load
from weightspace.images.imageset import ImageSet
from weightspace.sampling import reproduce, sample
from weightspace.space import Space
from weightspace.training import Pool, StackTrainer
from weightspace.zoo import check

TABLE = {
    "dataset": "iris", "architecture": "mlp", "features": 5, "depth_fc": 1, "width_fc": 8,
    "outputs": 3, "epochs": 20, "batch_size": 16, "learning_rate": 0.01, "dropout": 0.0,
    "inputs": "standardized", "optimizer": ["adam", "nesterov"],
}  # fmt: skip


def write(folder: Path, dtype: type = np.float32, **changes: np.ndarray) -> None:
    """Three classes of rows, which two of five columns tell apart; one column never varies."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = rng.normal(100, 30, (300, 5)).astype(dtype)
    x[:, 1] += 90 * (y == 1)
    x[:, 3] -= 90 * (y == 2)
    x[:, 4] = 7
    arrays = {"x_train": x[:240], "y_train": y[:240], "x_test": x[240:], "y_test": y[240:]}
    np.savez(folder / "iris.npz", **(arrays | changes))


def space(**changes: object) -> Space:
    return Space.from_dict({"name": "table", "recipe": TABLE | changes})


def test_a_table_is_sampled_and_reproduced(tmp_path: Path) -> None:
    write(tmp_path)
    options = {"data_dir": str(tmp_path), "workers": 1, "snapshots": 3}
    zoo = sample(space(), nets=4, out=tmp_path / "zoo", **options)
    assert check(zoo.path, full=True) == []
    assert zoo.layout(zoo.nets["net"][0]).tensors[0].shape == (8, 5)
    last = zoo.snapshots.filter(zoo.snapshots["snapshot"] == 3)
    assert last["test_accuracy"].min() > 0.8
    again = reproduce(zoo, zoo.nets["net"][0], data_dir=str(tmp_path))
    assert again


def test_numbers_train_as_the_bytes_that_they_are_equal_to() -> None:
    """Images of float32 from 0 to 1, on every implementation."""
    bytes_ = small("digits")
    numbers = [(x / 255).astype(np.float32) for x in (bytes_.x_train, bytes_.x_test)]
    floats = ImageSet(
        "digits", numbers[0], bytes_.y_train, numbers[1], bytes_.y_test, bytes_.classes
    )
    recipe = replace(BASE, inputs="standardized", optimizer="sgd")
    ends = []
    for images in (bytes_, floats):
        trainer = StackTrainer([recipe], Pool.of({"digits": images}), snapshots=2)
        ends.append(list(trainer.run())[-1].vector)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    options = {"nets": 1, "out": tmp_path / "zoo", "data_dir": str(tmp_path), "workers": 1}
    with pytest.raises(UsageError, match=r"iris has inputs of 5, not 6; .*; set features to 5"):
        sample(space(features=6), **options)
    with pytest.raises(UsageError, match="features: iris has inputs of 5, not 6; numbers are not"):
        sample(space(features=6), **options)
    with pytest.raises(UsageError, match="features: nws has layers for images; use `arch"):
        sample(space(architecture="nws", depth_conv=3), **options)
    with pytest.raises(UsageError, match="features: digits has images, not a table; leave it out"):
        sample(space(dataset="digits", features=64), **options)
    with pytest.raises(UsageError, match=r"iris has inputs of 5, not 32x32x3; .*; set feat"):
        sample(space(features=0), **options)
    with pytest.raises(UsageError, match="input_size: iris has inputs of 5, not 8x8x1"):
        sample(space(features=0, input_size=8, channels=1), **options)
    with pytest.raises(UsageError, match="augmentation: needs images of bytes; set it to false"):
        sample(space(augmentation=True), **options)
    write(tmp_path, x_train=np.full((240, 5), np.nan, np.float32))
    with pytest.raises(DataError, match=r"x_train holds NaN or infinity; replace them"):
        load("iris", str(tmp_path))
    write(tmp_path, np.float64)
    with pytest.raises(DataError, match=r"x_train is float64; .* other numbers float32"):
        load("iris", str(tmp_path))


def test_values_that_never_vary_stay_finite() -> None:
    x = np.ones((40, 3), np.float32)
    table = ImageSet("ones", x, np.arange(40) % 2, x[:10], np.arange(10) % 2, ("a", "b"))
    affine = Pool.of({"ones": table}).affine("ones", "standardized")
    assert torch.equal(affine, torch.tensor([[1.0] * 3, [-1.0] * 3], dtype=torch.float64))
