"""Column sums of the output layer: linear optimizers keep them, adaptive ones do not.

Under softmax cross entropy the gradients of the logits sum to zero over the classes. So do those of
the output layer's weights, for each input, and those of its biases. Whatever is linear in the
gradient keeps these sums; weight decay multiplies all of them by one factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri, ndtr

from weightspace.evidence.altered import altered
from weightspace.evidence.context import Context
from weightspace.evidence.families import FAMILIES, UNLIKELY, decay_estimate, shrinkages
from weightspace.evidence.learned import covariates, independence
from weightspace.evidence.losses import ADAPTIVE, AS_BEGUN, FROM_ZERO, UNLESS, families
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, Value, unable
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.subject import Layer, Subject, column_sums

LAW = "column sums"

_FEWEST_CLASSES = 3  # with two, adaptive steps of the two are opposite, too
_LEAST_INPUTS = 8
_MOST_VALUES = 2**22  # of a layer that is looked at for rounding
_MOST_INPUTS = 2048  # of which the covariates are made; sums of any number are read
_ROUNDED = 3e-4  # the share of biases to which rounding lets a sum of 0 grow in float32
_MIXED = 5e-3  # the same where gradients were rounded to 16 bits
_DRIFT = 3e-7  # of a sum of 0, by rounding in float32, for each unit of rates / (1 - momentum)
_LONG = 1000.0  # the sum of rates / (1 - momentum) that is allowed for where no claims tell it
_SHORT = 100.0  # the least that is allowed for, whatever is claimed
_VANISHED = 1e-6  # sums' mean square by that of weights x classes, where decay has left rounding
_DENSITY = 10.0  # most of the density at 0 of an adaptive net's bias sum, as a share of its biases
_NOT_ROUNDED = 1e-6  # the p-value of biases that began at 0 and whose sum is no longer rounding
_OTHER_START = 0.02  # the least p-value of a start that is not torch's: of biases, or of weights
_EXACT = ("float32", "float64", "float16", "bfloat16")  # types whose rounding the sum survives
_CONSTANTS = (0.01, 0.1, 1.0)  # to which biases are sometimes set at the start


@dataclass(frozen=True)
class Sums:
    """The sums of an output layer.

    `square` is the mean of their squares; `rest` the mean square of what is left of a weight
    without its column's mean; `spread` the standard deviation of the sums by their mean; `fit` the
    p-value of their regression on what an initial sum cannot know. `bias` is the sum of the biases,
    and `bias_share` that by the sum of their absolute values; both are None without biases. `alike`
    says that all columns are equal: units that began alike stay so, and their sums say nothing.
    """

    classes: int
    inputs: int
    square: float
    rest: float
    spread: float
    fit: float
    bias: float | None
    bias_share: float | None
    alike: bool

    @property
    def vanished(self) -> bool:
        """Whether decay or a start at 0 has left nothing of the sums but rounding."""
        return not self.alike and self.square < _VANISHED * self.classes * (
            self.rest + self.square / self.classes
        )

    @property
    def constant(self) -> bool:
        """Whether all sums are one number, as weights that began constant leave them."""
        return not (self.vanished or self.alike) and self.spread < 1e-3


def column_sum_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the optimizer's family, the weight decay and the initialization.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context
        What is known beside it.

    Yields
    ------
    Evidence
        On the optimizer; where it is linear also on the initialization and the weight decay.
    """
    layer = subject.output
    if layer is None or layer.outputs < _FEWEST_CLASSES or layer.inputs < _LEAST_INPUTS:
        yield unable(LAW, "optimizer", "the net does not end in a dense layer of enough units")
        return
    sums = sums_of(subject, layer)
    looked = not sums.alike and math.prod(layer.shape) <= _MOST_VALUES
    if looked and altered(subject.weight(layer)):
        yield unable(LAW, "optimizer", "the output layer was rounded, quantised or pruned")
        return
    found = _of_optimizer(sums, layer, context.claims)
    yield found
    _, adaptive, linear = (one.p_value for one in found.hypotheses[:3])
    if adaptive < UNLIKELY <= linear and not sums.alike:
        yield from _of_start(sums, layer, context)


def sums_of(subject: Subject, layer: Layer) -> Sums:
    """The sums of an output layer, and what they are compared with."""
    sums = column_sums(subject, layer)
    classes, inputs = layer.outputs, layer.inputs
    square = float(np.mean(sums**2))
    rest, alike, known = _rest(subject, layer, sums)
    mean = abs(float(sums.mean()))
    bias = share = None
    if layer.bias and subject.dtypes.get(layer.bias, "float32") in _EXACT:
        biases = subject.values(layer.bias).astype(np.float64)
        bias = float(biases.sum())
        total = float(np.abs(biases).sum())
        share = abs(bias) / total if total and _moved(biases) else None
    spread = float(sums.std()) / mean if mean else math.inf
    fit = 1.0 if alike else independence(sums[: len(known)], known)
    return Sums(classes, inputs, square, rest, spread, fit, bias, share, alike)


def _moved(biases: NDArray[np.float64]) -> bool:
    """Whether biases differ as training makes them, and not as one or two sign-like steps do."""
    sizes = np.abs(biases)
    return float(sizes.std()) > 0.1 * float(sizes.mean())


def _rest(
    subject: Subject, layer: Layer, sums: NDArray[np.float64]
) -> tuple[float, bool, NDArray[np.float64]]:
    """The mean square of centred weights, whether all are alike, covariates [inputs, q] of sums.

    Covariates are what training changes and an initial sum cannot know: the centred weights
    themselves, their length, and the weights by which the layer's inputs are made.
    """
    inputs = min(layer.inputs, _MOST_INPUTS)
    weights = _part(subject, layer, inputs)
    centred = weights - weights.mean(0)
    rest = float((centred**2).sum()) / inputs / (layer.outputs - 1)
    columns = covariates(centred)
    before = subject.layers[subject.layers.index(layer) - 1] if len(subject.layers) > 1 else None
    if before is not None and before.outputs == layer.inputs and not before.norms:
        made = subject.weight(before)[:inputs].reshape(inputs, -1).astype(np.float64)
        columns += [made.sum(1), np.sqrt((made**2).sum(1))]
        if before.bias:
            columns.append(subject.values(before.bias)[:inputs].astype(np.float64))
    alike = float(centred.std(1).max()) < 1e-3 * math.sqrt(rest)
    return rest, alike, np.stack(columns, 1)


def _part(subject: Subject, layer: Layer, inputs: int) -> NDArray[np.float64]:
    """The kernel's first inputs, float64 [outputs, inputs]; of very many outputs, the first."""
    most = max(layer.outputs, 1) if layer.outputs * inputs <= 2**22 else 2**22 // inputs
    if layer.axes == "in out":
        return subject.read(layer.weight, 0, inputs)[:, :most].T.astype(np.float64)
    return subject.read(layer.weight, 0, most)[:, :inputs].astype(np.float64)


def _drift(claims: Mapping[str, Value]) -> float:
    """The sum of biases that rounding may have brought about in a training of the claimed length.

    It shows in nets that learned nothing: all images give them the same outputs, so that every step
    rounds in the same direction, and their biases are small.
    """
    rate, steps, momentum = (
        float(value) if isinstance(value, int | float) else 0.0
        for value in (claims.get(name) for name in ("learning_rate", "steps", "momentum"))
    )
    told = rate > 0 and steps > 0 and 0 <= momentum < 1
    return _DRIFT * (max(_SHORT, rate * steps / (1 - momentum)) if told else _LONG)


def _of_optimizer(sums: Sums, layer: Layer, claims: Mapping[str, Value]) -> Evidence:
    """The evidence of biases and weights together, as one p-value for each family."""
    if sums.vanished or sums.constant:
        how = "0 but for rounding, as decay or a start at 0 leaves them"
        says = f"the column sums of the output layer are {how if sums.vanished else 'one number'}"
        return _judged(f"{says}; an adaptive optimizer would have moved them", layer, 1.0, 1e-9,
                       sums.square)  # fmt: skip
    drift = _drift(claims)
    says, linear, adaptive = _of_biases(sums, drift)
    if sums.fit < UNLIKELY:
        says = (
            "the column sums of the output layer depend on what the net has learned "
            f"(p = {sums.fit:.0e}): the optimizer is adaptive{UNLESS}; {says}"
        )
    elif linear <= _OTHER_START:
        says += UNLESS
    found = _judged(
        says, layer, min(1.0, 2 * min(linear, sums.fit)), adaptive,
        sums.fit if sums.bias_share is None else sums.bias_share,
    )  # fmt: skip
    starts = _of_starts(sums, layer, claims.get("initialization"), drift)
    return replace(found, hypotheses=(*found.hypotheses, *starts))


def _of_starts(sums: Sums, layer: Layer, begun: Value | None, drift: float) -> Iterator[Hypothesis]:
    """The p-values of a linear optimizer if more is known of the first weights and biases."""
    share = sums.bias_share
    if share is not None:
        zero = _NOT_ROUNDED if share > _MIXED and abs(sums.bias or 0.0) > drift else 1.0
        yield Hypothesis((), min(1.0, 2 * min(zero, sums.fit)), FROM_ZERO)
    family = FAMILIES.get(str(begun))
    if family is None:
        return
    large = _too_large(sums, family.most(layer.fan_in, layer.fan_out))
    if family.biases is None or share is None:
        yield Hypothesis((), min(1.0, 2 * min(large, sums.fit)), AS_BEGUN)
    else:
        yield Hypothesis((), min(1.0, 3 * min(large, _as_torch(sums), sums.fit)), AS_BEGUN)


def _judged(says: str, layer: Layer, linear: float, adaptive: float, statistic: float) -> Evidence:
    hypotheses = families(linear, adaptive, ADAPTIVE)
    return Evidence(LAW, "optimizer", says, layer.weight, statistic, hypotheses)


def _of_biases(sums: Sums, drift: float) -> tuple[str, float, float]:
    """What the output biases say, and the p-values of a linear and of an adaptive optimizer."""
    share = sums.bias_share
    if sums.bias is None or share is None:
        return "the output layer has no trained biases", 1.0, 1.0
    if share <= _ROUNDED:
        says = (
            f"the output biases sum to 0 but for {share:.0e} of their size, as a linear optimizer "
            "keeps a sum that began at 0"
        )
        return says, 1.0, min(1.0, _DENSITY * share)
    percent = f"{share:.1%}" if share >= 0.001 else f"{100 * share:.1g}%"
    says = f"the output biases sum to {sums.bias:.3g}, {percent} of their size"
    if abs(sums.bias) <= drift:
        return f"{says}, which rounding alone may bring about", 1.0, 1.0
    if share <= _MIXED:
        return f"{says}, by rounding to 16 bits, another start or an adaptive optimizer", 1.0, 1.0
    linear = _as_usual(sums)
    if linear <= _OTHER_START:
        return f"{says}, where no usual start leads a linear optimizer", linear, 1.0
    return f"{says}: they began otherwise than at 0, or the optimizer is adaptive", linear, 1.0


def _as_usual(sums: Sums) -> float:
    """The p-value of biases that began as torch's or as a constant, and of weights as torch's.

    People draw only the weights anew, or the biases at a scale of their own, so no sum is
    impossible.
    """
    assert sums.bias is not None
    if any(abs(sums.bias / sums.classes / c - 1) < 1e-3 for c in _CONSTANTS):
        return 1.0
    weights = _too_large(sums, 1 / (3 * sums.inputs))
    return float(min(1.0, max(_OTHER_START, 3 * min(_as_torch(sums), weights, sums.fit))))


def _as_torch(sums: Sums) -> float:
    """The p-value of a sum of biases that began as torch's default ones.

    Decay makes sums smaller, so that only sums that are too large speak against it.
    """
    assert sums.bias is not None
    if abs(sums.bias) > sums.classes / math.sqrt(sums.inputs):
        return 0.0
    return 2 * float(ndtr(-abs(sums.bias) / math.sqrt(sums.classes / (3 * sums.inputs))))


def _too_large(sums: Sums, variance: float) -> float:
    """The probability of a mean square so large, if weights began with this variance."""
    return float(chdtrc(sums.inputs, sums.square / (sums.classes * variance) * sums.inputs))


def _of_start(sums: Sums, layer: Layer, context: Context) -> Iterator[Evidence]:
    """Evidence on initialization and weight decay where the optimizer was found linear."""
    if sums.vanished:
        says = "decay has left nothing of the column sums, or they began at 0"
        yield Evidence(LAW, "weight_decay", says, layer.weight, sums.square)
        return
    if sums.constant:
        says = "weights of the output layer began constant"
        others = tuple(name for name in FAMILIES)
        yield Evidence(
            LAW, "initialization", says, layer.weight, sums.spread,
            (Hypothesis(("constant",), 1.0), Hypothesis(others, 1e-9, "random")),
        )  # fmt: skip
        return
    zero = (sums.bias_share or 0.0) <= _ROUNDED
    fans = (layer.fan_in, layer.fan_out)
    fitting = {
        name: _too_large(sums, family.most(*fans))
        for name, family in FAMILIES.items()
        if layer.bias == "" or (family.biases is None) == zero
    }
    yield Evidence(
        LAW, "initialization", _of_families(fitting), layer.weight, sums.square,
        tuple(Hypothesis((name,), p) for name, p in fitting.items()),
    )  # fmt: skip
    found = shrinkages(sums.square / sums.classes, fans)
    shrunk = {name: found[name] for name in fitting}
    yield _decay(sums, layer, shrunk, str(context.claims.get("initialization", "")))


def _of_families(fitting: dict[str, float]) -> str:
    possible = [name for name, p in fitting.items() if p >= UNLIKELY]
    if not possible:
        return "the column sums are larger than after any usual initialization"
    return f"the size of the column sums allows {', '.join(possible)}"


def _decay(sums: Sums, layer: Layer, shrunk: dict[str, float], claimed: str) -> Evidence:
    """The estimate of the decay's product: under the claimed initialization, or under any."""
    names = [claimed] if claimed in shrunk else list(shrunk)
    low, high = (float(chdtri(sums.inputs, p)) / sums.inputs for p in (0.995, 0.005))
    below, above = -0.5 * math.log(low), 0.5 * math.log(high)
    possible = {name: shrunk[name] for name in names if shrunk[name] > -above}
    if not possible:
        return unable(LAW, "weight_decay", "no usual initialization gives column sums so large")
    told = "; ".join(f"{name}: {max(0.0, value):.2f}" for name, value in possible.items())
    fans = (layer.fan_in, layer.fan_out)
    return Evidence(
        LAW, "weight_decay", f"{PRODUCT} by the column sums, for each initialization: {told}",
        layer.weight, sums.square, (),
        Estimate(PRODUCT, *decay_estimate(possible, (below, above), fans, claimed)),
    )  # fmt: skip
