"""Inputs that never vary: the weights of such pixels show the data set and the first weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from weightspace.evidence.context import Context
from weightspace.evidence.fingerprints import Fingerprint, fingerprint_of, known
from weightspace.evidence.pixels import (
    Moved,
    below,
    common_shift,
    exchangeable,
    moved,
    neighbours,
)
from weightspace.evidence.record import Evidence, Hypothesis, unable
from weightspace.evidence.still import LAW, first_weights
from weightspace.evidence.subject import Layer, Subject

MUST_MOVE = 0.02
"""Pixels that vary in 1 % of the images share at least this part of what the middle shares.
The least that was seen is four times as much (docs/laws/inputs.md)."""

SHIFTED = 0.001
"""If a constant pixel is not 0, its shift is at least this part of what the middle shares."""

_INVERTED = 0.01  # the least p-value of inputs from 0 to 1: they may be inverted, or have noise
_BY_PIXEL = 0.01  # the least p-value of centered inputs: a mean image may have been subtracted
_FEWEST = 20  # pixels of a set that is tested
_VARIES = 0.01
_LARGEST = 2**24  # weights of a layer that is looked at


@dataclass(frozen=True)
class _Net:
    """The weights of the pixels, and how far those in the middle of the image moved."""

    layer: Layer
    weights: NDArray[np.float64]  # [units, pixels]
    middle: Moved
    shape: tuple[int, ...]
    _tested: dict[str, float] = field(default_factory=dict)

    def untouched(self, one: Fingerprint) -> float:
        """The p-value that nothing that knows the places of a set's constant pixels moved them."""
        if one.name not in self._tested:
            pairs = neighbours(self.shape, one.constant)
            self._tested[one.name] = exchangeable(self.of(one.constant), pairs)
        return self._tested[one.name]

    def of(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return self.weights[:, chosen.ravel()]

    def moved(self, chosen: NDArray[np.bool_]) -> Moved:
        return moved(self.of(chosen), neighbours(self.shape, chosen))


def input_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the data set, its scaling, the initialization, weight decay and the optimizer.

    It needs a dense first layer on the pixels of images. The data set is told by which weights did
    not move together with those of neighbouring pixels.
    """
    found = _first_layer(subject)
    if isinstance(found, str):
        yield unable(LAW, "dataset", found)
        return
    sets = _fingerprints(found.inputs, context)
    shape = sets[0].varied.shape if sets else _shape(found.inputs)
    if shape is None:
        yield unable(LAW, "dataset", f"{found.inputs} inputs are not the pixels of a square image")
        return
    net = _net(subject, found, shape)
    if isinstance(net, str):
        yield unable(LAW, "dataset", net)
        return
    if not sets:
        yield unable(LAW, "dataset", f"no known data set has images of {_size(shape)}")
        return
    still = next((one for one in sets if _is_still(net, one)), None)
    yield _dataset(net, sets, still)
    if still is None:
        yield unable(LAW, "inputs", "no known set of constant pixels was found untouched")
        return
    yield _scaling(net, still)
    claimed = context.claims.get("initialization")
    yield from first_weights(net.layer, net.of(still.constant), still.name, claimed)


def pixel_map(subject: Subject) -> NDArray[np.float64] | None:
    """For each pixel, how clearly its weights moved together with those of its neighbours.

    Parameters
    ----------
    subject : Subject
        A net whose first layer is dense, on square images.

    Returns
    -------
    ndarray of float64, shape (H, W, C), or None
        Numbers of standard deviations: about 0 for pixels that never vary, whatever the data set.
        None if the law cannot be applied.
    """
    layer = _first_layer(subject)
    shape = None if isinstance(layer, str) else _shape(layer.inputs)
    if isinstance(layer, str) or shape is None or layer.shape[0] * layer.shape[1] > _LARGEST:
        return None
    weights = subject.weight(layer).astype(np.float64)
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    weights -= np.median(weights[:, border.ravel()], axis=1, keepdims=True)
    pairs = neighbours(shape, np.ones(shape, bool))
    products = (weights[:, pairs[:, 0]] * weights[:, pairs[:, 1]]).sum(0)
    energy = (weights**2).mean(0)
    total, variance = np.zeros(layer.inputs), np.zeros(layer.inputs)
    for side in (0, 1):
        np.add.at(total, pairs[:, side], products)
        np.add.at(variance, pairs[:, side], energy[pairs[:, 0]] * energy[pairs[:, 1]])
    scale = np.sqrt(variance * len(weights))
    return np.divide(total, scale, out=np.zeros_like(total), where=scale > 0).reshape(shape)


def _first_layer(subject: Subject) -> Layer | str:
    """The first layer if it is dense on flat inputs, or why the law cannot be applied."""
    if not subject.layers:
        return "the net has no layers"
    layer = subject.layers[0]
    if layer.kernel:
        return "the first layer is a convolution, which has no weights of single pixels"
    if any(norm.before for norm in layer.norms):
        return "a norm in front of the first layer changes its inputs"
    return layer


def _fingerprints(inputs: int, context: Context) -> list[Fingerprint]:
    """The known sets and the user's own whose images have so many values."""
    sets = {one.name: one for one in known() if one.varied.size == inputs and one.varied.ndim == 3}
    images = context.images
    if images is not None and images.x_train.ndim == 4 and images.x_train[0].size == inputs:
        sets[images.name] = fingerprint_of(images.x_train, images.name)
    shape = next((one.varied.shape for one in sets.values()), ())
    return [one for one in sets.values() if one.varied.shape == shape]


def _shape(inputs: int) -> tuple[int, int, int] | None:
    side = math.isqrt(inputs)
    return (side, side, 1) if side * side == inputs and side >= 6 else None


def _net(subject: Subject, layer: Layer, shape: tuple[int, ...]) -> _Net | str:
    if layer.outputs * layer.inputs > _LARGEST:
        return "the first layer has too many weights"
    weights = subject.weight(layer).astype(np.float64)
    if len(shape) == 3 and shape[2] > 1 and layer.axes == "out in":
        # torch flattens the channels first, and fingerprints have them last.
        channels = weights.reshape(len(weights), shape[2], *shape[:2])
        weights = channels.transpose(0, 2, 3, 1).reshape(len(weights), -1)
    if not np.isfinite(weights).all():
        return "a weight of the first layer is not finite"
    if (weights == 0).mean() > 0.01:
        return (
            "more than 1 % of the first layer's weights are exactly 0, so they were pruned or set"
        )
    if _levels(weights) < 0.25:
        return "the first layer's weights were rounded to a few levels"
    middle = np.zeros(shape, bool)
    third = [slice(size // 3, size - size // 3) for size in shape[:2]]
    middle[third[0], third[1]] = True
    return _Net(layer, weights, moved(weights[:, middle.ravel()], neighbours(shape, middle)), shape)


def _levels(weights: NDArray[np.float64]) -> float:
    """The share of different values among the first weights."""
    some = weights.ravel()[: 2**15]
    return len(np.unique(some)) / len(some)


def _dataset(net: _Net, sets: Sequence[Fingerprint], still: Fingerprint | None) -> Evidence:
    """Which known data sets the pixels that moved allow.

    Augmentation that moves images lights pixels that are constant otherwise. So a set is ruled out
    by pixels that did not move, and by pixels that did only if its images were not moved.
    """
    hypotheses = [Hypothesis((one.name,), _agrees(net, one, sets)) for one in sets]
    whole = [
        Hypothesis((), net.untouched(one), f"{one.name}, its images not moved")
        for one in sets
        if _enough(net, one.constant)
    ]
    out = [str(one.values[0]) for one in hypotheses if one.p_value < 1e-3]
    lit = [one.name for one in whole if one.p_value < 1e-3]
    says = "too little moved to tell the data set"
    if still:
        says = (
            f"training did not move the weights of the {int(still.constant.sum())} pixels that "
            f"never vary in {still.name}, as it moved those of their neighbours"
        )
    elif lit:
        name = lit[0].partition(",")[0]
        says = (
            f"training moved the weights of pixels that never vary in {name}: the images are not "
            f"those of {name} as they are"
        )
    if out:
        says += f"; that does not fit {', '.join(out)}"
    seen = net.middle.shared / net.middle.error if net.middle.error else 0.0
    another = Hypothesis((), 1.0, "another data set")
    return Evidence(
        LAW, "dataset", says, net.layer.weight, seen, (*hypotheses, *whole, another)
    )  # fmt: skip


def _agrees(net: _Net, one: Fingerprint, sets: Sequence[Fingerprint]) -> float:
    """The p-value that the pixels moved that vary in a data set, however it was augmented."""
    tests = []
    for other in sets:
        must = other.constant & (one.share >= _VARIES)
        if _enough(net, must):
            seen = net.moved(must)
            tests.append(below(seen.shared, MUST_MOVE * net.middle.shared, seen.error))
    return min(1.0, len(tests) * min(tests, default=1.0)) if tests else 1.0


def _is_still(net: _Net, one: Fingerprint) -> bool:
    """Whether the constant pixels of a set did not move, though others clearly did."""
    if not _enough(net, one.constant):
        return False
    seen = net.moved(one.constant)
    moves = below(seen.shared, MUST_MOVE * net.middle.shared, seen.error) >= 1e-3
    return not moves and net.untouched(one) >= 1e-3


def _enough(net: _Net, chosen: NDArray[np.bool_]) -> bool:
    return int(chosen.sum()) >= _FEWEST and len(neighbours(net.shape, chosen)) >= _FEWEST


def _scaling(net: _Net, still: Fingerprint) -> Evidence:
    """Whether constant pixels were 0 or another number."""
    shift = common_shift(net.of(still.constant))
    constant = below(shift.excess, SHIFTED * net.middle.shared, shift.error)
    says = (
        "they share a shift, so their constant input is not 0: inputs were centered or standardized"
        if shift.p_value < 1e-3
        else "they share no shift, so their constant input is 0: inputs are from 0 to 1, or each "
        "pixel was standardized by itself"
        if constant < 1e-3
        else "whether they share a shift cannot be told"
    )
    return Evidence(
        LAW, "inputs", f"of the pixels that never vary in {still.name}, {says}", net.layer.weight,
        shift.excess / shift.error if shift.error else None,
        (Hypothesis(("unit",), max(_INVERTED, shift.p_value)), Hypothesis(("symmetric",), constant),
         Hypothesis(("centered",), max(_BY_PIXEL, constant)), Hypothesis(("standardized",), 1.0)),
    )  # fmt: skip


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
