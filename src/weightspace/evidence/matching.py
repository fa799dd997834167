"""How well a net's weights match random numbers from which they may have begun."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from weightspace.evidence.draw_orders import Draw, Order
from weightspace.evidence.subject import Subject

SURE = 1e-9
"""A seed is reported if its p-value, corrected for all that was tried, is less."""

_ROWS = 16  # rows from which on the spread of a column is known well enough

SEARCHES = 4
"""How many searches a net goes through, of which the best match is taken."""

LEAST = 1e-300
"""What takes the place of a p-value that is less than a float can be."""


@dataclass(frozen=True)
class Match:
    """A seed, compared with a net.

    Attributes
    ----------
    seed : int
        The seed.
    z : float
        The largest of the z-values: of each tensor, and of all together.
    tries : int
        How many z-values were looked at, over all seeds.
    order : Order
        The order of layers.
    shift : int
        How many words were drawn after the seed was set and before the net was built.
    drawn : {"default", "uniform", "normal"}
        Whether the values are those with which torch builds layers, or kernels that were drawn
        anew, from a uniform or a normal distribution, when all layers had been built.
    """

    seed: int
    z: float
    tries: int
    order: Order
    shift: int = 0
    drawn: str = "default"

    @property
    def p_value(self) -> float:
        """The most that the chance can be of such a z-value among all tries, if no seed is right.

        A sum of independent uniform numbers with fixed coefficients exceeds z standard deviations
        with a probability of at most exp(-z**2 / 2), because a uniform distribution is strictly
        sub-Gaussian. So this holds in the far tail too. The bound of all tries is their sum.
        """
        return min(1.0, max(LEAST, SEARCHES * self.tries * math.exp(-(max(self.z, 0.0) ** 2) / 2)))


def coefficients(subject: Subject, draw: Draw, count: int) -> NDArray[np.float32]:
    """The first values of a tensor as coefficients of the numbers from which it may have begun.

    Each value is divided by the variance of its row, or by the initial variance if that is more,
    because a row that has moved far shows less of its beginning. Values beyond three standard
    deviations are clipped. Then columns are brought to one spread: those of inputs that hardly vary
    keep their beginning, but are small after weight decay. All follows from the tensor alone, so
    the coefficients are fixed.
    """
    shape = subject.shapes[draw.name]
    width = math.prod(shape[1:])
    rows = -(-count // width)
    with np.errstate(over="ignore", invalid="ignore"):
        values = subject.read(draw.name, 0, rows).reshape(rows, width) / np.float32(draw.limit)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    along = 1 if width >= 8 else None  # few values do not show their variance
    variance = np.square(values, dtype=np.float64).mean(along, keepdims=True)
    spread = np.sqrt(variance)
    clipped = np.clip(values, -3 * spread, 3 * spread)
    found = clipped / np.maximum(variance, 1 / 3)
    if rows >= _ROWS:
        columns = np.sqrt(np.square(clipped, dtype=np.float64).mean(0))
        found *= np.sqrt(np.mean(columns**2)) / np.maximum(columns, 1e-30)
    return np.ascontiguousarray(found.reshape(-1)[:count], np.float32)


@dataclass(frozen=True)
class Template:
    """The coefficients of a tensor, to be compared with every place of a stream.

    `length` is the number of words of the stream, `count` that of the coefficients.
    """

    transform: NDArray[np.complexfloating]
    length: int
    count: int
    scale: float

    @classmethod
    def of(cls, part: NDArray[np.float32], length: int) -> Template:
        """The template of coefficients, float32 [count]."""
        square = float(np.square(part, dtype=np.float64).sum())
        scale = math.sqrt(3 / max(square, 1e-300))
        return cls(np.conj(fft.rfft(part, length)), length, len(part), scale)

    def best_place(self, numbers: NDArray[np.complexfloating]) -> tuple[float, int]:
        """The largest z-value, and how many words come before that place.

        `numbers` is the real Fourier transform of a stream's numbers from -1 to 1.
        """
        sums = fft.irfft(numbers * self.transform, self.length)[: self.length - self.count + 1]
        place = int(np.argmax(sums))
        return float(sums[place]) * self.scale, place
