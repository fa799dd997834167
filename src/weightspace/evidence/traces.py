"""`traces`: the numbers behind some evidence, few enough to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace.evidence.context import Context
from weightspace.evidence.counters import counted
from weightspace.evidence.families import FAMILIES
from weightspace.evidence.fingerprints import fingerprint_of, known
from weightspace.evidence.fits import Fit, fits
from weightspace.evidence.initial import states
from weightspace.evidence.inputs import pixel_map
from weightspace.evidence.subject import Subject, column_sums
from weightspace.evidence.untouched import block

_MOST_SUMS = 4096
_MOST_VALUES = 2**24  # of an output layer whose sums are read
_WIDEST = 64  # pixels of an image
_MOST_FITS = 10
_BINS = 33
_REACH = 3.2  # standard deviations that a histogram shows


@dataclass(frozen=True)
class SumTrace:
    """The column sums of an output layer.

    Attributes
    ----------
    layer : str
        The name of its kernel.
    classes : int
        How many weights are in a sum.
    inputs : int
        How many sums there are.
    sums : ndarray of float64, shape (sums,)
        The sums of at most 4,096 inputs.
    expected : dict of str to float
        The standard deviation of the sums before training, by initialization.
    """

    layer: str
    classes: int
    inputs: int
    sums: NDArray[np.float64]
    expected: Mapping[str, float]


@dataclass(frozen=True)
class PixelTrace:
    """The pixels of a first layer that takes images.

    Attributes
    ----------
    moved : ndarray of float64, shape (H, W)
        How clearly the weights of each pixel moved with those of its neighbours, in standard
        deviations.
    constant : dict of str to ndarray of bool, shape (H, W)
        The pixels that never vary, for each known data set of such images.
    """

    moved: NDArray[np.float64]
    constant: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class FitTrace:
    """The trainings that give the number of batches that batch norms have counted.

    Attributes
    ----------
    steps : int
        The number of batches.
    fits : tuple of Fit
        The most usual ones, at most 10.
    count : int
        How many there are.
    """

    steps: int
    fits: tuple[Fit, ...]
    count: int


@dataclass(frozen=True)
class LayerTrace:
    """A kernel, and whether it was trained.

    Attributes
    ----------
    name : str
        The kernel.
    shape : tuple of int
        Its shape.
    trained : bool or None
        None if it cannot be told.
    p_value : float
        That of the hypothesis that it still has its initial distribution, of whatever scale.
    best : str
        The initial distribution that fits best.
    shares : tuple of float
        The density of the values in 33 equal bins from -3.2 to 3.2 standard deviations.
    """

    name: str
    shape: tuple[int, ...]
    trained: bool | None
    p_value: float
    best: str
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Traces:
    """The numbers behind some evidence; None where there are none."""

    sums: SumTrace | None = None
    pixels: PixelTrace | None = None
    fits: FitTrace | None = None
    layers: tuple[LayerTrace, ...] = ()


def traces(subject: Subject, context: Context | None = None) -> Traces:
    """The numbers behind some evidence on a net, to draw them.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context, optional
        What is known beside it.

    Returns
    -------
    Traces
        Its size does not grow with that of the net beyond some 10,000 numbers.
    """
    asked = context or Context()
    return Traces(_sums(subject), _pixels(subject, asked), _fits(subject, asked),
                  tuple(_layers(subject)))  # fmt: skip


def _sums(subject: Subject) -> SumTrace | None:
    layer = subject.output
    if layer is None or not 0 < layer.outputs * layer.inputs <= _MOST_VALUES:
        return None
    sums = column_sums(subject, layer)
    if not np.isfinite(sums).all():
        return None
    spreads = {
        name: (layer.outputs * family.variance(layer.fan_in, layer.fan_out)) ** 0.5
        for name, family in FAMILIES.items()
    }
    return SumTrace(layer.weight, layer.outputs, layer.inputs, sums[:_MOST_SUMS], spreads)


def _pixels(subject: Subject, context: Context) -> PixelTrace | None:
    moved = pixel_map(subject)
    if moved is None or max(moved.shape) > _WIDEST or not np.isfinite(moved).all():
        return None
    sets = {one.name: one for one in known()}
    images = context.images
    if images is not None and images.x_train.ndim == 4:
        sets[images.name] = fingerprint_of(images.x_train, images.name)
    constant = {
        name: one.constant[..., 0] for name, one in sets.items() if one.varied.shape == moved.shape
    }
    return PixelTrace(moved[..., 0], constant)


def _fits(subject: Subject, context: Context) -> FitTrace | None:
    steps = counted(subject)
    if steps is None:
        return None
    own = () if context.images is None else (len(context.images.x_train),)
    found = fits(steps, (*context.train_images, *own), context.batch_sizes)
    return FitTrace(steps, found[:_MOST_FITS], len(found))


def _layers(subject: Subject) -> Iterator[LayerTrace]:
    for one, trained in states(subject):
        values = block(subject, one.layer).ravel()
        spread = float(np.sqrt((values**2).mean()))
        edges = np.linspace(-_REACH, _REACH, _BINS + 1)
        counts = np.histogram(values / spread if spread else values, edges)[0]
        density = counts / (len(values) * (edges[1] - edges[0]))
        yield LayerTrace(
            one.layer.weight, tuple(one.layer.shape), trained, one.p_value, one.best,
            tuple(round(float(share), 4) for share in density),
        )  # fmt: skip
