"""A net as a row of tokens: its layers at fixed relative depths, whatever their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weightspace.arrays import Asked, Float32, Float64
from weightspace.features.layers import PARTS, WHAT, tamed, tensors

if TYPE_CHECKING:
    from weightspace.networks import Layout

PLACES = 5
"""The number of relative depths in each part, from its first layer to its last."""

_NUMBERS = tuple((role, name) for role, names in WHAT.items() for name in names)

TOKENS_NAMES: tuple[str, ...] = tuple(
    f"{part}_{place}_{role}_{what}"
    for part in PARTS
    for place in range(PLACES)
    for role, what in _NUMBERS
)
"""Columns of `tokens`, token by token: part, place, role of the tensor, number."""

TOKENS = len(PARTS) * PLACES
"""The number of tokens of a net."""


def tokens(
    vector: Asked[np.ndarray, " P"],
    layout: Layout,
    *,
    part: str = "all",
    running_stats: bool = True,
) -> Float32[np.ndarray, " F"]:
    """Describe a net by a row of `TOKENS` tokens, each with the numbers of one relative depth.

    The layers of a part are spread evenly over its depth, and described at `PLACES` depths. Between
    two layers their numbers are interpolated. If there are more layers than places, a place is a
    weighted mean of the layers around it, so every layer counts. So the number and the shapes of
    layers are no columns. Still, a small number of layers can be seen, because the places between
    them are interpolated.

    Parameters
    ----------
    vector : ndarray of float32, shape (layout.size,)
        The flat vector of a net, finite.
    layout : Layout
        The layout of the vector.
    part, running_stats
        As for `layers`.

    Returns
    -------
    ndarray of float32, shape (len(TOKENS_NAMES),)
        The columns are named by `TOKENS_NAMES`. Numbers of tensors that a layer lacks are 0, such
        as those of norms of the output layer.

    Raises
    ------
    DataError
        If the vector does not have the size of the layout.
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


def _seen_from(layers: int) -> Float64[np.ndarray, "places {layers}"]:
    """The weight of each layer at each of `PLACES`: rows that sum to 1."""
    step = (layers - 1) / (PLACES - 1)
    apart = np.abs(np.arange(layers) - step * np.arange(PLACES)[:, None])
    weight = np.maximum(0, 1 - apart / max(1.0, step))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
