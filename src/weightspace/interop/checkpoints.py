"""Read a checkpoint as one vector of a zoo, with the layout of a plan if one fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from weightspace.checkpoints import read_checkpoint
from weightspace.disk import InnerPath
from weightspace.interop.inside import reading
from weightspace.interop.plans import planned
from weightspace.networks import Layout, Plan
from weightspace.printable import printable

_LONGEST_NAME = 200


def read(place: InnerPath, recipe: Mapping[str, Any]) -> tuple[Layout, np.ndarray]:
    """The layout and vector float32 [layout.size] of a file; values may be not finite.

    If `recipe` is known well enough for a plan that has exactly these tensors, the layout is the
    plan's.
    """
    with reading(place):
        checkpoint = read_checkpoint(place, finite=False)
    return in_a_zoo(checkpoint.layout, recipe), checkpoint.vector


def in_a_zoo(layout: Layout, recipe: Mapping[str, Any]) -> Layout:
    """The layout as a zoo stores it: that of a plan, if `recipe` is known well enough for one."""
    net = planned(recipe, layout)
    return _shown(layout) if net is None else Plan.from_recipe(net).layout()


def _shown(layout: Layout) -> Layout:
    """The layout with names that fit a table and a terminal, different for each tensor."""
    names = [printable(spec.name, _LONGEST_NAME) for spec in layout.tensors]
    if len(set(names)) < len(names):
        names = [f"{name}-{i}" for i, name in enumerate(names)]
    return Layout(
        tuple(replace(spec, name=name) for spec, name in zip(layout.tensors, names, strict=True))
    )
