"""What the weights of constant inputs say of the first weights and of what shrank them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from weightspace.evidence.families import FAMILIES, decay_limits, shrinkages
from weightspace.evidence.pixels import above
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, unable
from weightspace.evidence.shapes import KURTOSIS, residuals_fit
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.subject import Layer

LAW = "inputs that never vary"

_SHAPES = {"uniform": ("uniform",), "normal": ("normal", "truncated")}
_REACH = 2.576  # standard deviations, of a 99 % interval
_GROWN = 1.1  # a scale by which noise in the inputs may have let the weights grow
_ENOUGH = 1000  # weights whose shape is looked at
_ROUNDED = 1e-35
"""Near the least numbers of float32, where rounding changes the distribution of weights."""
_PENALTY = 0.002  # the least p-value of weights only scaled: L1 in the loss deforms them under SGD
_SLACK = 0.02  # distance that other scales in each unit can make


def first_weights(
    layer: Layer, columns: NDArray[np.float64], name: str, claimed: object
) -> Iterator[Evidence]:
    """Evidence on the initialization, the weight decay and the optimizer.

    Parameters
    ----------
    layer : Layer
        The first layer.
    columns : ndarray of float64, shape (units, pixels)
        The weights of its inputs that never vary.
    name : str
        The data set in which they never vary.
    claimed : object
        The initialization that is claimed; None if none is.
    """
    rest = columns - columns.mean(1, keepdims=True)
    if rest.size < _ENOUGH or not rest.any():
        return
    if float(np.abs(rest).max()) < _ROUNDED:
        yield unable(LAW, "initialization", "decay has left numbers that float32 rounds coarsely")
        return
    shapes = {shape: residuals_fit(rest, shape) for shape in KURTOSIS}
    variance = float((rest**2).sum()) / (len(rest) * (rest.shape[1] - 1))
    kept = shapes["uniform"] >= 0.01 or (max(shapes.values()) >= 0.01 and _one_scale(rest))
    families = _families(layer, variance, rest.size, shapes if kept else {})
    if kept and (shapes["uniform"] >= 0.01 or _undecayed(layer, families, variance)):
        yield _initialization(layer, families, variance, name)
    else:
        reason = "the weights of inputs that never vary may have been deformed"
        yield unable(LAW, "initialization", reason)
    if kept:
        yield _decay(layer, families, variance, rest.size, claimed)
    yield _optimizer(layer, rest, shapes)


def _families(
    layer: Layer, variance: float, count: int, shapes: Mapping[str, float]
) -> dict[str, float]:
    """The p-value of each initialization: the shape of its weights, and that they did not grow."""
    found = {}
    for name, family in FAMILIES.items():
        first = family.most(layer.fan_in, layer.fan_out)
        kinds = _SHAPES[family.shape]
        error = max(math.sqrt((KURTOSIS[kind] - 1) / count) for kind in kinds) * variance
        grown = above(variance, _GROWN**2 * first, error)
        shape = max((shapes.get(kind, 1.0) for kind in kinds), default=1.0)
        found[name] = min(1.0, 2 * min(grown, shape)) if shapes else 1.0
    return found


def _shrinkage(layer: Layer, family: str, variance: float) -> float:
    """By what the weights were multiplied, if the initialization is this one."""
    return math.sqrt(variance / FAMILIES[family].variance(layer.fan_in, layer.fan_out))


def _one_scale(rest: NDArray[np.float64]) -> bool:
    """Whether all units have one scale, as after any decay that multiplies all weights alike."""
    units, count = rest.shape
    own = (rest**2).mean(1) / (rest**2).mean()
    kurtosis = float((rest**4).mean() / (rest**2).mean() ** 2)
    spread = float(((own - 1) ** 2).sum()) * count / max(kurtosis - 1, 0.1)
    return bool(chdtrc(units - 1, spread) >= 0.01)


def _undecayed(layer: Layer, families: Mapping[str, float], variance: float) -> bool:
    """Whether an initialization that fits explains the weights without any decay.

    Decay inside an adaptive step can bring uniform weights close to a normal distribution, but
    hardly to the scale of one that people use.
    """
    scales = [_shrinkage(layer, one, variance) for one, p in families.items() if p >= 1e-3]
    return any(0.95 <= scale <= 1.05 for scale in scales)


def _initialization(
    layer: Layer, families: Mapping[str, float], variance: float, name: str
) -> Evidence:
    fit = [one for one, p_value in families.items() if p_value >= 1e-3]
    scales = ", ".join(f"{one} x {_shrinkage(layer, one, variance):.3g}" for one in fit)
    says = f"the weights of the pixels that never vary in {name} are distributed as {scales}"
    return Evidence(
        LAW, "initialization", says, layer.weight, math.sqrt(variance),
        tuple(Hypothesis((one,), p_value) for one, p_value in families.items()),
    )  # fmt: skip


def _decay(
    layer: Layer, families: Mapping[str, float], variance: float, count: int, claimed: object
) -> Evidence:
    """What shrank the weights: the interval holds that of every initialization that fits."""
    error = _REACH * math.sqrt(0.5 / count)  # of the logarithm of a scale; less if uniform
    found = shrinkages(variance, (layer.fan_in, layer.fan_out))
    logs = {one: found[one] for one, p in families.items() if p >= 1e-3}
    best = str(claimed) if claimed in logs else min(logs, key=lambda one: abs(logs[one]))
    limits = {one: (log - error, log + error) for one, log in logs.items()}
    low, high = decay_limits(limits, (layer.fan_in, layer.fan_out), claimed)
    estimate = Estimate(PRODUCT, max(0.0, logs[best]), low, high)
    each = "; ".join(f"{max(0.0, log):.3g} if {one}" for one, log in logs.items())
    return Evidence(
        LAW, "weight_decay", f"{PRODUCT} is {each}", layer.weight, logs[best], estimate=estimate
    )


def _optimizer(layer: Layer, rest: NDArray[np.float64], shapes: Mapping[str, float]) -> Evidence:
    """Whether the shape was kept: weight decay inside an adaptive step deforms it."""
    scales = np.sqrt((rest**2).mean(1, keepdims=True))
    whole = bool((scales > 0).all())
    p_value = max(shapes.values())
    if p_value < 0.01:
        alike = [residuals_fit(rest / scales, one, _SLACK) if whole else 1.0 for one in shapes]
        p_value = max(p_value, *alike)
    says = (
        "the weights of pixels that never vary have lost the shape of an initial distribution, as "
        "under weight decay that goes through an adaptive step (L2 in Adam or RMSprop), or under L1"
        if p_value < 1e-3
        else "the weights of pixels that never vary kept the shape of an initial distribution, so "
        "no weight decay went through an adaptive step"
        if max(shapes.values()) >= 0.01
        else "the weights of pixels that never vary have no known shape, but similar ones in all "
        "units"
    )
    return Evidence(
        LAW, "optimizer", says, layer.weight, None,
        (Hypothesis(("sgd", "momentum", "nesterov", "adamw"), max(_PENALTY, p_value),
                    "weights only scaled"),
         Hypothesis(("adam", "rmsprop", "adagrad"), 1.0, "adaptive steps")),
    )  # fmt: skip
