"""Directions in which the images do not vary: a linear optimizer cannot move weights along them.

The gradient of a dense first layer is a combination of the inputs. Along a direction in which the
inputs hardly vary, SGD leaves the initial weights as they are, but for weight decay. Adaptive
optimizers scale each weight's gradient by itself, and move weights along all directions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from weightspace.evidence.altered import coarse
from weightspace.evidence.context import Context
from weightspace.evidence.families import FAMILIES, UNLIKELY, decay_estimate, shrinkages
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, unable
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.subject import Layer, Subject
from weightspace.images import ImageSet

LAW = "still directions"

_MOST_IMAGES = 20_000
_MOST_PIXELS = 3_072
_FEWEST = 16  # directions
_MARGIN = 10.0  # by which drift along still directions may exceed what others predict
_SHARE = 0.25  # of a standard error that this drift may be
_GROWN = 1.1  # a scale by which a little training on other images may have let the weights grow
_LEAST = 0.005  # of the mean square along the other directions, below which rounding is seen


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of images, from the stillest on.

    `vectors` is float64 [pixels, d], and `power` [d] the mean square of the images along each.
    """

    vectors: NDArray[np.float64]
    power: NDArray[np.float64]


@dataclass(frozen=True)
class Still:
    """What the first layer's weights are along still directions.

    `each` is float64 [units, q], their squares, and `power` [q] that of the images there.
    """

    each: NDArray[np.float64]
    power: NDArray[np.float64]

    @property
    def size(self) -> int:
        """The number of weights that were looked at."""
        return self.each.size

    @property
    def square(self) -> float:
        """The mean square of all."""
        return float(self.each.mean())


def still_direction_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the weight decay and the initialization, from the user's images.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context
        Its images are those on which the net is said to have been trained.

    Yields
    ------
    Evidence
        On initialization and weight decay, where the first weights lie still along directions in
        which the images do not vary; else that they do not, which has several reasons.
    """
    layer = subject.layers[0] if subject.layers else None
    if layer is None or layer.kernel:
        yield unable(LAW, "weight_decay", "the first layer is not dense")
        return
    if context.images is None:
        yield unable(LAW, "weight_decay", "it needs the images of the training")
        return
    pixels = math.prod(context.images.x_train.shape[1:])
    if pixels != layer.inputs or pixels > _MOST_PIXELS:
        sizes = f"the images have {pixels:,} values, the first layer {layer.inputs:,} inputs"
        yield unable(LAW, "weight_decay", sizes)
        return
    weights = subject.weight(layer)
    if coarse(weights):
        yield unable(LAW, "weight_decay", "the first layer was quantised or pruned")
        return
    still = still_part(weights.astype(np.float64), directions(context.images))
    if still is None:
        why = "the weights moved, or decayed, along every direction of the images"
        yield unable(LAW, "weight_decay", why)
        return
    even = evenness(still)
    if even < UNLIKELY:
        says = (
            "the first weights moved along directions in which the images do not vary: the "
            "optimizer is adaptive, or the net was trained on augmented or on other images"
        )
        yield Evidence(LAW, "optimizer", says, layer.weight, even)
        return
    yield from _of_start(still, layer, context)


def directions(images: ImageSet) -> Directions:
    """The directions of images, whether they are standardised by channel or not.

    Standardising shifts every image by the same number in each channel. A direction is still only
    if it does not see that shift.
    """
    flat = np.moveaxis(images.x_train[:_MOST_IMAGES], -1, 1) if images.x_train.ndim == 4 else (
        images.x_train[:_MOST_IMAGES]
    )  # fmt: skip
    channels = flat.shape[1] if flat.ndim == 4 else 1
    x = flat.reshape(len(flat), -1).astype(np.float32)
    x /= max(float(x.max()), 1e-12)
    second = (x.T @ x).astype(np.float64) / len(x)
    shift = np.kron(np.eye(channels), np.ones((x.shape[1] // channels,) * 2))
    power, vectors = np.linalg.eigh(second + shift)
    return Directions(vectors, np.maximum(power, 0.0))


def still_part(weights: NDArray[np.float64], along: Directions) -> Still | None:
    """The weights [units, pixels] along directions in which they cannot have drifted, if any.

    A linear optimizer moves weights along a direction in proportion to the images' power there. So
    the drift along still directions follows from the growth along those that are not.
    """
    units = len(weights)
    each = (weights @ along.vectors) ** 2
    squares = each.mean(0)
    half = len(squares) // 2
    growth = max(0.0, float(squares[half:].mean() - squares[:_FEWEST].mean()))
    rate = _MARGIN * growth / float(along.power[half:].mean())
    drift = np.cumsum(along.power * rate) / np.arange(1, len(squares) + 1)
    error = squares[:_FEWEST].mean() * np.sqrt(2 / (units * np.arange(1, len(squares) + 1)))
    good = np.flatnonzero(drift[:half] < _SHARE * error[:half])
    count = int(good[-1]) + 1 if len(good) else 0
    if count < _FEWEST or squares[:count].mean() < _LEAST * squares[half:].mean():
        return None
    return Still(each[:, :count], along.power[:count])


def evenness(still: Still) -> float:
    """The p-value that the weights have one variance along all still directions and in all units.

    It is the smallest of three, times three: of the spread of the mean squares over directions and
    over units, and of the rank correlation of the former with the images' power.
    """
    relative = still.each / still.square
    variance = float((relative**2).mean()) - 1  # 2 for normal weights, 0.8 for uniform ones
    along, own = relative.mean(0), relative.mean(1)
    rank = ranks(still.power) - (len(along) + 1) / 2
    slope = float((rank * along).sum() / math.sqrt((rank**2).sum() * variance / len(own)))
    uneven = min(_spread(along, variance / len(own)), _spread(own, variance / len(along)))
    return min(1.0, 3 * min(uneven, 2 * float(ndtr(-abs(slope)))))


def _spread(means: NDArray[np.float64], variance: float) -> float:
    """The p-value that numbers of mean 1 and this variance differ as much."""
    return float(chdtrc(len(means) - 1, float(((means - 1) ** 2).sum()) / variance))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ranks of values from 1 on; equal values share the mean of theirs: float64 [n]."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _of_start(still: Still, layer: Layer, context: Context) -> Iterator[Evidence]:
    """What the size of the still weights says: they are initial ones, but for weight decay."""
    fans = (layer.fan_in, layer.fan_out)
    fitting = {
        name: float(chdtrc(still.size, still.square / largest * still.size))
        for name, family in FAMILIES.items()
        for largest in [_GROWN**2 * family.most(*fans)]
    }
    possible = [name for name, p in fitting.items() if p >= UNLIKELY]
    told = ", ".join(possible) or "none of the usual ones"
    yield Evidence(
        LAW, "initialization",
        f"the size of the first weights along still directions allows {told}",
        layer.weight, still.square, tuple(Hypothesis((name,), p) for name, p in fitting.items()),
    )  # fmt: skip
    claimed = str(context.claims.get("initialization", ""))
    names = [claimed] if claimed in possible else possible
    if not names:
        return
    error = 2.58 * math.sqrt(2 / still.size) / 2
    values = {
        name: value for name, value in shrinkages(still.square, fans).items() if name in names
    }
    listed = "; ".join(f"{name}: {max(0.0, value):.3f}" for name, value in values.items())
    yield Evidence(
        LAW, "weight_decay", f"{PRODUCT}, for each initialization: {listed}", layer.weight,
        still.square, (), Estimate(PRODUCT, *decay_estimate(values, (error, error), fans, claimed)),
    )  # fmt: skip
