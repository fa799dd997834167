"""Biases before batch norms: linear optimizers leave them where they began, adaptive ones not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import smirnov

from weightspace.evidence.context import Context
from weightspace.evidence.counting import began_elsewhere
from weightspace.evidence.lattice import Lattice, lattice
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, unable
from weightspace.evidence.shrinkage import PRODUCT_OF_NORMED
from weightspace.evidence.subject import Layer, NormNames, Subject

LAW = "before batch norm"
LINEAR = ("sgd", "momentum", "nesterov")
COUPLED = ("adam", "rmsprop", "adagrad")
DECOUPLED = ("adamw", "lion")
ADAPTIVE = (*COUPLED, *DECOUPLED)

_MOST_LAYERS = 64
_MOST_COMPARED = 512  # values of a layer that are compared bit by bit
_FEW = 16  # values, of which no distribution is judged
_TRAINED = 1e-4  # from 1, of the scale of a channel that was trained
_STILL = 3e-4  # the movement of a bias, in those of its channel's scale, that is rounding alone
_BELOW = -1.05  # a mean that no ReLU, GELU, SiLU, Mish, tanh or ELU can give
_ODD_STARTS = 0.01  # nets whose biases begin neither at 0 nor as torch has them
_ODD_GROUPS = 1e-4  # nets of adaptive optimizers that leave biases out
_FROZEN = 2e-3  # nets of which a part was trained before, in another way
_ODD_LIMITS = 5e-4  # nets whose biases begin evenly within other limits, in proportion to torch's
_SHRUNK = 0.02  # a decay that is worth a word
_ENOUGH = 128  # biases, among which moved ones would not look even


@dataclass(frozen=True)
class Biases:
    """The biases of a layer that a batch norm follows, of the channels that were trained.

    `limit` is that of torch's default initialization, and `lowest` the least running mean.
    """

    layer: Layer
    values: NDArray[np.float32]
    movements: NDArray[np.float64]
    limit: float
    lowest: float

    @property
    def direct(self) -> bool:
        """Whether the running means are below all that a usual activation gives."""
        return self.lowest < _BELOW


def before_norm_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the optimizer's family and the weight decay from biases before batch norms."""
    found = tuple(_followed(subject))
    if not any(one.values.size for one in found):
        reason = "no bias comes before a trained batch norm" if found else (
            "no layer with a bias comes before a batch norm with scales"
        )  # fmt: skip
        yield unable(LAW, "optimizer", reason)
        return
    if began_elsewhere(context.claims):
        yield unable(LAW, "optimizer", "its traces may be those of the pretraining")
        return
    least = _FROZEN if "pretrained_from" not in context.claims else _ODD_GROUPS
    moving = [one for one in found if one.values.size]
    if any((one.values != 0).any() for one in moving):
        yield from (_from_zero if _small(moving) else _from_torch)(moving, least)
        return
    yield unable(
        LAW, "optimizer", "all biases before batch norms are exactly 0, as if there were none"
    )


def _followed(subject: Subject) -> Iterator[Biases]:
    """The layers with a bias that a batch norm with scales follows."""
    for layer in [one for one in subject.layers if one.bias and one.norms][:_MOST_LAYERS]:
        norm = layer.norms[0]
        if norm.before or not norm.sure or not norm.batch or "scale" not in norm.names:
            continue
        values = subject.values(layer.bias).ravel()
        scales = subject.values(norm.names["scale"]).ravel().astype(np.float64)
        if values.shape == scales.shape and _used(subject, norm):
            movements = np.abs(scales - 1)
            trained = movements > _TRAINED
            lowest = float(subject.values(norm.names["running_mean"]).min())
            yield Biases(
                layer, values[trained], movements[trained], 1 / math.sqrt(_fan(layer)), lowest
            )


def _used(subject: Subject, norm: NormNames) -> bool:
    """Whether the norm was in training mode, as far as its counter tells."""
    module = norm.names["running_var"].rpartition(".")[0]
    return subject.counters.get(module, 1) > 0


def _fan(layer: Layer) -> int:
    """The fan in as torch counts it: a transposed convolution's is that of its outputs."""
    transposed = layer.axes == "in out" and layer.kernel
    return layer.fan_out if transposed else layer.fan_in


# -- biases of almost 0 ----------------------------------------------------------------------------


def _small(found: list[Biases]) -> bool:
    """Whether biases are far smaller than torch's are at first."""
    sizes = np.concatenate([np.abs(one.values) / one.limit for one in found])
    return bool(np.quantile(sizes, 0.9) < 1e-3)


def _from_zero(found: list[Biases], least: float) -> Iterator[Evidence]:
    """Biases that hold rounding alone.

    They began at 0 under a linear optimizer, or weight decay has brought them there: that of a
    linear optimizer in a long time, that in the gradient of an adaptive one at the pace of its
    steps. Decoupled weight decay leaves the whole steps that AdamW and Lion make of rounding.
    """
    best = min(found, key=_moved)
    ratio = _moved(best)
    if not 0 < ratio < _STILL or best.values.size < _FEW:
        yield unable(
            LAW, "optimizer", "biases before batch norms are small, but more than rounding"
        )
        return
    yield Evidence(
        LAW,
        "optimizer",
        f"biases before a batch norm hold rounding alone ({ratio:.0e} of what the scales moved): "
        "AdamW and Lion turn rounding into whole steps, and so do Adam, RMSprop and Adagrad "
        "without weight decay",
        where=best.layer.bias,
        statistic=ratio,
        hypotheses=(
            Hypothesis(LINEAR, 1.0, "linear in the gradient"),
            Hypothesis(COUPLED, 1.0, "adaptive, with weight decay in the gradient"),
            Hypothesis(DECOUPLED, least, "adaptive, with decoupled weight decay or none"),
        ),
    )


def _moved(one: Biases) -> float:
    return float(np.median(np.abs(one.values) / one.movements))


# -- biases that began as torch has them -----------------------------------------------------------


def _from_torch(found: list[Biases], least: float) -> Iterator[Evidence]:
    """Biases that hold torch's initial values, moved ones, and shrunken ones."""
    exact = _exact(found)
    sizes = np.concatenate([np.abs(one.values) / one.limit for one in found])
    beyond = float(sizes.max()) > 1 + 1e-3
    if exact.p_value < _ODD_GROUPS:
        yield _held(exact, least)
    elif beyond:
        yield from _beyond(found)
    even = sizes.size >= _FEW and uniform_p_value(sizes) >= _ODD_STARTS
    if not beyond and even and any(one.direct for one in found):
        yield _decay(sizes, least if _limits_differ(found) else _ODD_STARTS)
    elif not beyond and exact.p_value >= _ODD_GROUPS:
        yield unable(LAW, "optimizer", "biases moved within torch's limits, or an activation may "
                     "stand between them and the norms")  # fmt: skip


def _held(exact: Lattice, least: float) -> Evidence:
    return Evidence(
        LAW,
        "optimizer",
        f"{exact.hits:,} of {exact.values:,} biases before batch norms hold a value that torch's "
        f"initialization gives, to the last bit ({exact.expected:.0f} would by chance), beside "
        "trained scales: they have no gradient, and an adaptive optimizer would have moved them",
        statistic=float(exact.hits),
        hypotheses=_families(linear=1.0, adaptive=max(exact.p_value, least)),
    )


def _exact(found: list[Biases]) -> Lattice:
    """The biases of all layers against the values that torch can give."""
    parts = [lattice(one.values[:_MOST_COMPARED], one.limit) for one in found]
    return Lattice(
        sum(part.values for part in parts),
        sum(part.hits for part in parts),
        sum(part.expected for part in parts),
    )


def _beyond(found: list[Biases]) -> Iterator[Evidence]:
    """Biases beyond torch's limit: a linear optimizer cannot have moved them there."""
    direct = [one for one in found if one.direct]
    far = [one for one in direct if np.abs(one.values).max() > one.limit * (1 + 1e-3)]
    if not far:
        yield unable(
            LAW, "optimizer",
            "biases before batch norms have moved, and an activation may stand between",
        )  # fmt: skip
        return
    furthest = max(far, key=lambda one: float(np.abs(one.values).max()) / one.limit)
    largest = float(np.abs(furthest.values).max()) / furthest.limit
    yield Evidence(
        LAW,
        "optimizer",
        f"biases before a batch norm lie up to {largest:.2f} times as far from 0 as torch's "
        "initialization puts them, and the running means allow no usual activation between: they "
        "have no gradient, so an adaptive optimizer has turned rounding into steps, or they began "
        "in an unusual way",
        where=furthest.layer.bias,
        statistic=largest,
        hypotheses=_families(linear=_ODD_STARTS, adaptive=1.0),
    )


def _decay(sizes: NDArray[np.float64], least: float) -> Evidence:
    """How far uniform biases have shrunk, with the limits that their largest one sets."""
    number = sizes.size
    largest = min(float(sizes.max()), 1.0)
    high = -math.log(largest)
    low = max(0.0, high + math.log(0.01) / number)
    guess = max(0.0, high - 1 / number)
    estimate = Estimate(PRODUCT_OF_NORMED, guess, low, high)
    uniform = f"{number:,} biases before batch norms are spread evenly"
    if low < _SHRUNK or number < _ENOUGH:
        return Evidence(
            LAW, "weight_decay",
            f"{uniform} within the limit that torch's initialization has: under a linear "
            f"optimizer, weight decay has left {math.exp(-high):.3f} of them or more",
            statistic=largest, estimate=estimate,
        )  # fmt: skip
    chance = max(largest**number, least, _ODD_LIMITS)
    return Evidence(
        LAW, "weight_decay",
        f"{uniform}, up to {largest:.3f} of the limit that torch's initialization has: without a "
        "gradient, weight decay has shrunk them all alike",
        statistic=largest, estimate=estimate,
        hypotheses=(Hypothesis((0.0,), chance, "no weight decay, biases begun as torch has them"),),
    )  # fmt: skip


def _limits_differ(found: list[Biases]) -> bool:
    """Whether layers of different limits, with enough biases, are each spread evenly."""
    enough = [one for one in found if one.values.size >= 2 * _FEW]
    limits = [one.limit for one in enough]
    if not limits or max(limits) < 1.3 * min(limits):
        return False
    return all(uniform_p_value(np.abs(one.values) / one.limit) > 0.05 for one in enough)


def uniform_p_value(sizes: NDArray[np.float64]) -> float:
    """Whether sizes are spread evenly from 0 to some limit.

    Parameters
    ----------
    sizes : ndarray of float64, shape (n,)
        The sizes, none negative.

    Returns
    -------
    float
        The p-value of Kolmogorov and Smirnov's test of all but the largest, which are uniform up to
        the largest whatever the limit is. Twice the exact one-sided p-value, which is an upper
        limit. 1 for fewer than 3 sizes.
    """
    if sizes.size < 3:
        return 1.0
    inner = np.sort(sizes)
    inner = inner[:-1] / inner[-1]
    ranks = np.arange(1, inner.size + 1) / inner.size
    distance = max((ranks - inner).max(), (inner - ranks + 1 / inner.size).max())
    return float(min(1.0, 2 * smirnov(inner.size, min(1.0, distance))))


def _families(linear: float, adaptive: float) -> tuple[Hypothesis, Hypothesis]:
    return (
        Hypothesis(LINEAR, linear, "linear in the gradient"),
        Hypothesis(ADAPTIVE, adaptive, "adaptive"),
    )
