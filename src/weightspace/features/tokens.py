"""A net as a row of tokens: its layers at fixed relative depths, whatever their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weightspace.features.layers import PARTS, WHAT, tamed, tensors

if TYPE_CHECKING:
    from weightspace.networks import Layout

PLACES = 5
"""Relative depths of a part that are looked at, from its first layer to its last."""

_NUMBERS = tuple((role, name) for role, names in WHAT.items() for name in names)

TOKENS_NAMES: tuple[str, ...] = tuple(
    f"{part}_{place}_{role}_{what}"
    for part in PARTS
    for place in range(PLACES)
    for role, what in _NUMBERS
)
"""Columns of `tokens`, token by token: part, place, role of the tensor, what."""

TOKENS = len(PARTS) * PLACES
"""Tokens of a net."""


def tokens(
    vector: np.ndarray, layout: Layout, *, part: str = "all", running_stats: bool = True
) -> np.ndarray:
    """One row of a net: `TOKENS` tokens, each the numbers of `layers` on a layer's tensors.

    The layers of a part stand evenly along its depth, and are looked at from `PLACES` places of
    it; between two layers their numbers are interpolated, and of many layers a place sees a mean of
    those about it, so that every layer is seen. So neither number nor shape of layers is a feature.
    Few layers do leave their trace: places between them hold nothing new.

    Arguments and what reads 0 are as in `layers`; so does what a layer lacks, as an output layer
    lacks norms. Returns float32 [F], columns `TOKENS_NAMES`.
    """
    found = tensors(vector, layout, part, running_stats)
    blocks = []
    for side in PARTS:
        members = sorted({layer for p, layer, _ in found if p == side})
        own = [
            np.concatenate(
                [found.get((side, layer, role), np.zeros(len(WHAT[role]))) for role in WHAT]
            )
            for layer in members
        ]
        empty = np.zeros((PLACES, len(_NUMBERS)))
        blocks.append(_seen_from(len(own)) @ np.stack(own) if own else empty)
    return tamed(np.concatenate(blocks).ravel())


def _seen_from(layers: int) -> np.ndarray:
    """What each layer weighs at each place: rows [PLACES, layers] that sum to 1."""
    step = (layers - 1) / (PLACES - 1)
    apart = np.abs(np.arange(layers) - step * np.arange(PLACES)[:, None])
    weight = np.maximum(0, 1 - apart / max(1.0, step))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
