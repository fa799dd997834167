"""What the numbered variables of a Keras layer are: kernel, bias, gamma and so on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(r"_\d+$")
_USUAL = re.compile(r"(separable|depthwise|embedding|conv|dense)|.*norm")
_STATISTICS = ("moving_mean", "moving_variance")


def snake(name: str) -> str:
    """A class, or a layer named after it, as Keras writes it in lower case.

    >>> snake("BatchNormalization"), snake("Conv2D"), snake("conv2d_12")
    ('batch_normalization', 'conv2d', 'conv2d')
    """
    text = re.sub(r"\W+", "", name)
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", text)
    text = re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()
    return _NUMBER.sub("", text)


def usual(*names: str) -> str:
    """The first of some names that is that of a usual layer, as `snake` gives it; else the first.

    >>> usual("conv2d", "deep"), usual("deep", "depthwise_conv2d_3")
    ('conv2d', 'depthwise_conv2d')
    """
    kinds = [snake(name) for name in names]
    return next((kind for kind in kinds if _USUAL.match(kind)), next(iter(kinds), ""))


def leaves(kind: str, shapes: list[tuple[int, ...]], setting: Mapping[str, Any]) -> list[str]:
    """The names of a layer's variables, in their order.

    Parameters
    ----------
    kind : str
        The layer's class, as `snake` gives it; it may be unknown.
    shapes : list of tuple of int
        The shapes of the variables.
    setting : dict
        What the configuration says: "center", "scale".

    Returns
    -------
    list of str
    """
    count = len(shapes)
    if kind.startswith("separable"):
        names = ["depthwise_kernel", "pointwise_kernel", "bias"]
    elif kind.startswith("depthwise"):
        names = ["depthwise_kernel", "bias"]
    elif "batch_norm" in kind:
        return _norm(count, setting, _STATISTICS)
    elif "norm" in kind and all(len(shape) == 1 for shape in shapes):
        return _norm(count, setting, ())
    elif kind.startswith("embedding"):
        names = ["embeddings"]
    elif len(shapes) == 3 and [len(shape) for shape in shapes[:2]] == [2, 2]:
        names = ["kernel", "recurrent_kernel", "bias"]  # of a recurrent cell
    elif shapes and len(shapes[0]) > 1:
        names = ["kernel", "bias"]
    elif count == 4 and len(set(shapes)) == 1:  # of a class that is not known
        return _norm(count, setting, _STATISTICS)
    else:
        names = []
    return [*names[:count], *(f"vars.{number}" for number in range(len(names), count))]


def _norm(count: int, setting: Mapping[str, Any], statistics: tuple[str, ...]) -> list[str]:
    """Gamma and beta, of which one may be missing, then the statistics."""
    learned = count - len(statistics)
    names = ["gamma", "beta"]
    if learned == 1:
        without_scale = setting.get("scale") is False or (statistics and "scale" not in setting)
        names = ["beta"] if without_scale else ["gamma"]
    elif learned <= 0:
        names = []
    names = [*names, *statistics]
    return [*names[:count], *(f"vars.{number}" for number in range(len(names), count))]
