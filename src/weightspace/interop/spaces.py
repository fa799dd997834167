"""The space of nets that were not drawn from one: which hyper-parameters vary, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weightspace.space import Choice, Constant, Distribution, Space, Uniform, Unknown
from weightspace.space.recipe import FIELDS

MOST_CHOICES = 8
"""The most different numbers of a list of choices; more become a range."""


def space_of(
    name: str,
    description: str,
    recipes: Sequence[Mapping[str, Any]],
    ranges: Mapping[str, Uniform] | None = None,
) -> Space:
    """A space that contains these nets; each recipe has what is known of a net.

    A hyper-parameter that is never known is `Unknown`; one with the same value wherever it is known
    is a constant. Several values are a choice, or, if they are too many for a list, a range: that
    of `ranges` if it contains them, else from the least to the greatest, on the scale on which they
    are more even.
    """
    distributions: dict[str, Distribution] = {}
    for field, kind in FIELDS.items():
        if field == "seed":
            continue
        values = {recipe[field] for recipe in recipes if recipe.get(field) is not None}
        if not values:
            distributions[field] = Unknown()
        elif len(values) == 1:
            distributions[field] = Constant(values.pop())
        elif kind is float and len(values) > MOST_CHOICES:
            said = (ranges or {}).get(field)
            if said and said.low <= min(values) and max(values) <= said.high:
                distributions[field] = said
            else:
                distributions[field] = _range(np.array(sorted(values)))
        else:
            distributions[field] = Choice(tuple(sorted(values)))
    return Space(name, distributions, description)


def _range(values: np.ndarray) -> Uniform:
    """The range of ascending numbers, on the scale on which they are spread more evenly."""
    low, high = float(values[0]), float(values[-1])
    if low > 0 and _unevenness(np.log(values)) < _unevenness(values):
        return Uniform(low, high, "log")
    return Uniform(low, high)


def _unevenness(values: np.ndarray) -> float:
    """How far ascending numbers are from evenly spread over their range (Kolmogorov-Smirnov)."""
    at = (values - values[0]) / (values[-1] - values[0])
    return float(np.abs(at - np.linspace(0, 1, len(at))).max())
