"""Tests that a tensor still holds independent draws of an initial distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from weightspace.evidence.families import FAMILIES
from weightspace.evidence.shapes import KURTOSIS, SHAPES, distance_p
from weightspace.evidence.subject import Layer, Subject

SHAPES_OF: Mapping[str, tuple[str, ...]] = {
    "uniform": ("uniform",),
    "normal": ("normal", "truncated"),
}
"""The shapes that an initialization of each kind may have; those of Keras and JAX are truncated."""

FIXED: Mapping[str, tuple[str, float]] = {
    "normal of sd 0.02": ("normal", 0.02),
    "normal of sd 0.01": ("normal", 0.01),
    "uniform to 0.05": ("uniform", 0.05 / math.sqrt(3)),
}
"""Initial distributions by other names: their shape, and their standard deviation."""

FEWEST = 500
"""Values of a tensor that is tested."""

_ROWS, _COLUMNS = 256, 1024  # of the block that is looked at
_VALUES = 2**15
_TW_SHAPE, _TW_SCALE, _TW_START = 46.446, 0.186054, 9.84801
"""A gamma distribution that is that of Tracy and Widom to 0.5 % (Chiani 2014)."""


@dataclass(frozen=True)
class Untouched:
    """How well a kernel agrees with each initial distribution.

    Attributes
    ----------
    layer : Layer
    families : dict of str to float
        The p-value of each initialization as it is at the beginning, not decayed.
    shapes : dict of str to float
        The p-value of each shape at the scale that the values have.
    """

    layer: Layer
    families: Mapping[str, float]
    shapes: Mapping[str, float]

    @property
    def p_value(self) -> float:
        """The p-value that the kernel is as it was at the beginning, whatever its scale was."""
        return max(*self.families.values(), *self.shapes.values())

    @property
    def flat(self) -> bool:
        """Whether the values are as uniform ones, and not as normal ones.

        Trained kernels often look normal, and sometimes with the scale of an initialization.
        """
        return (
            self.shapes["uniform"] >= 0.01
            and max(p_value for shape, p_value in self.shapes.items() if shape != "uniform") < 1e-3
        )

    @property
    def best(self) -> str:
        """The initialization that fits best, or the shape if none fits."""
        name = max(self.families, key=lambda name: self.families[name])
        shape = max(self.shapes, key=lambda name: self.shapes[name])
        return name if self.families[name] >= 0.01 else f"{shape} of another scale"


def block(subject: Subject, layer: Layer) -> NDArray[np.float64]:
    """The first rows and columns of a kernel as a matrix: float64 [outputs, fan in].

    At most 256 rows and 1024 columns are read.
    """
    if layer.axes == "out in":
        rows = subject.read(layer.weight, 0, min(layer.shape[0], _ROWS))
        return rows.reshape(len(rows), -1)[:, :_COLUMNS].astype(np.float64)
    if layer.axes == "in out":
        rows = subject.read(layer.weight, 0, min(layer.shape[0], _COLUMNS))
        return rows[:, :_ROWS].T.astype(np.float64)
    whole = subject.weight(layer)[:_ROWS]
    return whole.reshape(len(whole), -1)[:, :_COLUMNS].astype(np.float64)


def kernel_test(subject: Subject, layer: Layer) -> Untouched | None:
    """Test a kernel against all initial distributions; None if it is too small.

    Two tests are joined: the distribution of the values, of which a sum of draws and of what
    training added differs, and the largest singular value, which what training added raises.
    """
    matrix = block(subject, layer)
    if matrix.size < FEWEST or min(matrix.shape) < 8 or not np.isfinite(matrix).all():
        return None
    if (matrix == matrix.flat[0]).all():
        return Untouched(layer, {"constant": 1.0}, dict.fromkeys(SHAPES, 0.0))
    if _orthogonal(matrix, layer):
        return Untouched(layer, {"orthogonal": 1.0}, dict.fromkeys(SHAPES, 0.0))
    found = {}
    for name, family in FAMILIES.items():
        scale = math.sqrt(family.variance(layer.fan_in, layer.fan_out))
        found[name] = max(_agrees(matrix, kind, scale) for kind in SHAPES_OF[family.shape])
    for name, (shape, scale) in FIXED.items():
        found[name] = _agrees(matrix, shape, scale)
    own = math.sqrt(float((matrix**2).mean()))
    return Untouched(layer, found, {shape: _agrees(matrix, shape, own) for shape in SHAPES})


def _agrees(matrix: NDArray[np.float64], shape: str, scale: float) -> float:
    """The p-value that entries are independent, of this shape and this standard deviation."""
    if abs(_deviations(matrix, shape, scale)) > 8:
        return 0.0
    step = -(-matrix.size // _VALUES)
    values = distance_p(matrix.ravel()[::step] / scale, SHAPES[shape])
    return min(1.0, 2 * min(values, largest_p(matrix / scale)))


def _deviations(matrix: NDArray[np.float64], shape: str, scale: float) -> float:
    """By how many standard deviations the mean square differs."""
    ratio = float((matrix**2).mean()) / scale**2
    return (ratio - 1) / math.sqrt((KURTOSIS[shape] - 1) / matrix.size)


def largest_p(matrix: NDArray[np.float64]) -> float:
    """The p-value of the largest singular value of independent entries of variance 1.

    Its square has the distribution of Tracy and Widom, for entries of any shape with light tails
    (Johnstone 2001, Soshnikov 2002).
    """
    few, many = sorted(matrix.shape)
    gram = matrix @ matrix.T if matrix.shape[0] == few else matrix.T @ matrix
    largest = float(np.linalg.eigvalsh(gram)[-1])
    one, other = math.sqrt(many - 1), math.sqrt(few)
    middle = (one + other) ** 2
    width = (one + other) * (1 / one + 1 / other) ** (1 / 3)
    at = ((largest - middle) / width + _TW_START) / _TW_SCALE
    return float(gammaincc(_TW_SHAPE, max(0.0, at)))


def _orthogonal(matrix: NDArray[np.float64], layer: Layer) -> bool:
    """Whether rows or columns are at right angles and of one length, which no training makes."""
    if matrix.shape != (layer.outputs, layer.fan_in):
        return False
    few = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = few @ few.T
    length = float(np.trace(gram)) / len(gram)
    return bool(np.abs(gram - length * np.eye(len(gram))).max() < 1e-4 * length)
