"""Rows of embeddings that were never used: they show the first draws and the weight decay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from weightspace.evidence.context import Context
from weightspace.evidence.record import Estimate, Evidence
from weightspace.evidence.shapes import fits
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.subject import Subject
from weightspace.evidence.untouched import largest_p

LAW = "unused rows"

FIRST: Mapping[str, float] = {"torch's default": 1.0, "sd 0.02": 0.02, "sd 0.01": 0.01}
"""Standard deviations with which embeddings begin."""

_FEWEST_ROWS, _FEWEST_COLUMNS = 64, 16
_ROUNDED = 1e-70  # mean squares near the least numbers of float32, which it rounds coarsely
_UNUSED = 32
_VALUES = 2**21  # values of an embedding that are read
_LOOKS = 0.01
_WIDTH = 6.0  # standard deviations, of the scales of rows that are looked at together
_MOST = 0.98  # of the rows: if more are alike, the embedding may not have been trained
_WORDS = ("emb", "wte")


def unused_row_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on weight decay, of embeddings some rows of which were never used.

    The gradient of such rows is 0: they keep their first values, which AdamW and SGD multiply by
    the same number. Rows are taken for unused if they are independent normal draws of one scale.
    """
    layers = {layer.weight for layer in subject.layers}
    for name, shape in subject.shapes.items():
        named = any(word in name.lower() for word in _WORDS)
        if not named or name in layers or len(shape) != 2 or shape[1] < _FEWEST_COLUMNS:
            continue
        rows = subject.read(name, 0, min(shape[0], max(1, _VALUES // shape[1])))
        found = _unused(rows.astype(np.float64)) if len(rows) >= _FEWEST_ROWS else None
        if found is not None:
            yield _evidence(name, found, len(rows))


def _unused(rows: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Rows of one scale that are independent normal draws; None if there are none, or all are."""
    squares = (rows**2).mean(1)
    if not np.isfinite(squares).all() or squares.min() < _ROUNDED:
        return None
    order = np.argsort(squares)
    logs = np.log(squares[order])
    stops = np.searchsorted(logs, logs + _WIDTH * math.sqrt(2 / rows.shape[1]), "right")
    counts = stops - np.arange(len(logs))
    for start in dict.fromkeys((int(counts.argmax()), 0, len(logs) // 50)):
        chosen = rows[np.sort(order[start : stops[start]])]
        if _UNUSED <= len(chosen) < _MOST * len(rows) and _draws(chosen):
            return chosen
    return None


def _draws(rows: NDArray[np.float64]) -> bool:
    """Whether rows are independent normal draws of one scale."""
    scale = math.sqrt(float((rows**2).mean()))
    own = (rows**2).mean(1) / scale**2
    spread = float(((own - 1) ** 2).sum()) * rows.shape[1] / 2
    some = rows[:256, :1024] / scale
    tests = (
        float(chdtrc(len(rows) - 1, spread)),
        fits(some.ravel()[: 2**15], "normal"),
        largest_p(some),
    )
    return min(tests) >= _LOOKS


def _evidence(name: str, rows: NDArray[np.float64], seen: int) -> Evidence:
    scale = math.sqrt(float((rows**2).mean()))
    error = 2.576 * math.sqrt(0.5 / rows.size)
    logs = {
        first: math.log(sd / scale) for first, sd in FIRST.items() if math.log(sd / scale) > -error
    }
    says = (
        f"{len(rows)} of {seen} rows of {name} look like independent normal draws of sd "
        f"{scale:.4g}, so they were never used"
    )
    if not logs:
        return Evidence(LAW, "weight_decay", says, name, scale)
    least, most = min(logs.values()), max(logs.values())
    estimate = Estimate(PRODUCT, max(0.0, least), max(0.0, least - error), max(0.0, most + error))
    each = "; ".join(f"{max(0.0, log):.3g} if {first}" for first, log in logs.items())
    return Evidence(
        LAW, "weight_decay", f"{says}; {PRODUCT} is {each}", name, scale, estimate=estimate
    )
