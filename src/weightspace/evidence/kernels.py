"""Kernels before batch norms: without weight decay, their norms can only grow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from weightspace.evidence.context import Context
from weightspace.evidence.counting import began_elsewhere
from weightspace.evidence.families import FAMILIES, Family
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, unable
from weightspace.evidence.shrinkage import PRODUCT_OF_NORMED
from weightspace.evidence.subject import Layer, Subject

LAW = "kernels before batch norm"
_MOST_LAYERS = 64
_LARGEST = 2**23  # values of a kernel that is looked at
_LEAST_INPUTS = 64
_WIDEST = 3  # outputs for each input: wider orthogonal kernels begin smaller than others
_CLEARLY = 0.9  # of the norm at first; less is worth a word
_ODD_STARTS = 0.01  # nets whose kernels begin smaller than the usual initializations have them


@dataclass(frozen=True)
class Length:
    """The squared norm of a kernel, biases included, and what it is made of."""

    layer: Layer
    squared: float
    values: int

    def ratio(self, family: Family) -> float:
        """The squared norm relative to that at first."""
        variance = family.variance(self.layer.fan_in, self.layer.fan_out)
        return self.squared / (self.values * variance)

    def exponent(self, family: Family) -> float:
        """The logarithm of the probability that it was as small at first, as an upper limit.

        For a sum S of independent numbers that are not negative, P(S <= E S - t) is at most
        exp(-t^2 / (2 sum E Y^2)).
        """
        missing = 1 - self.ratio(family)
        fourth = 3.0 if family.shape == "normal" else 9 / 5
        return -self.values * missing**2 / (2 * fourth) if missing > 0 else 0.0


def kernel_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on weight decay from kernels before batch norms that are shorter than at first."""
    found = tuple(_followed(subject))
    if not found:
        yield unable(
            LAW, "weight_decay", "no kernel of 64 or more inputs comes before a batch norm"
        )
        return
    if began_elsewhere(context.claims):
        yield unable(LAW, "weight_decay", "the kernels of a pretrained net began elsewhere")
        return
    usual = [family for name, family in FAMILIES.items() if name != "normal"]
    smallest = max(usual, key=lambda family: relative(found, family))
    shortest = min(found, key=lambda one: one.ratio(smallest))
    ratio = relative(found, smallest)
    if ratio > _CLEARLY:
        yield unable(
            LAW, "weight_decay",
            "the kernels before batch norms are not clearly shorter than initializations make them",
        )  # fmt: skip
        return
    exponent = max(sum(one.exponent(family) for one in found) for family in usual)
    chance = math.exp(max(-700.0, exponent))
    least = -math.log(ratio) / 2 if ratio > 0 else math.inf
    yield Evidence(
        LAW, "weight_decay",
        f"{len(found):,} kernels before batch norms have {ratio:.2f} of the squared norm that the "
        "smallest usual initialization gives; without weight decay it only grows",
        where=shortest.layer.weight,
        statistic=ratio,
        hypotheses=(
            Hypothesis((0.0,), max(chance, _ODD_STARTS), "no weight decay, a usual initialization"),
        ),
        estimate=Estimate(PRODUCT_OF_NORMED, least, least, math.inf),
    )  # fmt: skip


def relative(found: Sequence[Length], family: Family) -> float:
    """The squared norm of all kernels together, relative to that at first."""
    first = (one.values * family.variance(one.layer.fan_in, one.layer.fan_out) for one in found)
    return math.fsum(one.squared for one in found) / math.fsum(first)


def _followed(subject: Subject) -> Iterator[Length]:
    number = 0
    for layer in subject.layers:
        norm = layer.norms[0] if layer.norms else None
        if norm is None or norm.before or not norm.sure or not norm.batch:
            continue
        size = int(np.prod(layer.shape))
        usual = layer.fan_in >= _LEAST_INPUTS and layer.outputs <= _WIDEST * layer.fan_in
        if not usual or size > _LARGEST or number == _MOST_LAYERS:
            continue
        number += 1
        pieces = (
            np.square(piece, dtype=np.float64).sum() for piece in subject.pieces(layer.weight)
        )
        squared = math.fsum(pieces)
        if layer.bias:
            squared += float(np.square(subject.values(layer.bias), dtype=np.float64).sum())
        yield Length(layer, squared, size)
