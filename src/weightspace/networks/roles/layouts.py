"""The layout of tensors that have roles and an order."""

from __future__ import annotations

import itertools

from weightspace.networks.layout import Layout, TensorSpec
from weightspace.networks.roles.entries import Placed


def layout_of(placed: list[Placed]) -> Layout:
    """The layout of a vector that holds these tensors in this order, under their own names."""
    offsets = itertools.accumulate((p.entry.size for p in placed), initial=0)
    return Layout(
        tuple(
            TensorSpec(p.entry.name, p.role, p.part, p.layer, p.entry.shape, offset)
            for p, offset in zip(placed, offsets, strict=False)
        )
    )
