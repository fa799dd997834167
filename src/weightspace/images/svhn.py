"""SVHN's cropped digits as published: two MATLAB files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes


def peek(paths: Sequence[Path]) -> Sizes:
    """Sizes by the headers of (train_32x32.mat, test_32x32.mat)."""
    from scipy.io import whosmat

    counts = []
    for path in paths:
        shapes = {name: shape for name, shape, _ in _guarded(path, lambda p: whosmat(str(p)))}
        x, y = (_variable(path, shapes, name) for name in ("X", "y"))
        counts.append(_count(path, x, y))
    return Sizes(counts[0], counts[1], (32, 32, 3))


def read(paths: Sequence[Path]) -> Arrays:
    """The two files; label 10, which stands for the digit 0, becomes 0."""
    peek(paths)
    return Arrays(*_half(paths[0]), *_half(paths[1]))


def _half(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    content = _guarded(path, lambda p: loadmat(str(p), variable_names=("X", "y")))
    x, y = content["X"], content["y"]
    if x.dtype != np.uint8 or y.dtype.kind not in "iuf":
        raise DataError(f"{path}: X is {x.dtype} and y {y.dtype}; fetch the original file again")
    labels = y.ravel()
    if not np.isin(labels, np.arange(1, 11)).all():
        wrong = labels[~np.isin(labels, np.arange(1, 11))][0]
        raise DataError(f"{path}: y holds label {wrong}; SVHN has 1..10; fetch the file again")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), labels.astype(np.int64) % 10


def _guarded(path: Path, call: Callable[[Path], Any]) -> Any:
    try:
        return call(path)
    except Exception as error:  # scipy's parser raises whatever a damaged byte leads it to
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: not a whole MATLAB 5 file ({reason[:120]}); fetch the file again"
        ) from None


def _variable(path: Path, content: dict[str, Any], name: str) -> Any:
    if name not in content:
        known = ", ".join(sorted(key for key in content if not key.startswith("__"))) or "nothing"
        raise DataError(
            f"{path}: no variable {name}, found {known}; the file is cut short, or not SVHN's "
            "format 2 (cropped digits); fetch it again"
        )
    return content[name]


def _count(path: Path, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    if len(x) != 4 or x[:3] != (32, 32, 3) or x[3] == 0:
        raise DataError(
            f"{path}: X has shape {list(x)}; SVHN's cropped digits are [32, 32, 3, N]; "
            "fetch the file again"
        )
    if int(np.prod(y)) != x[3]:
        raise DataError(
            f"{path}: y has shape {list(y)} beside {x[3]:,} images in X; fetch the file again"
        )
    return x[3]
