"""Kernels that a file stores as factors: weight norm, spectral norm, pruning, computed exactly."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weightspace.checkpoints.dtypes import FLOAT32
from weightspace.checkpoints.tensors import Tensor, Values
from weightspace.networks.roles import Note

_PARAMETRISED = re.compile(r"^(?P<module>.*?)parametrizations\.(?P<name>\w+)\.(?P<part>.+)$")
_FACTOR = re.compile(r"^(?P<module>(?:.*\.)?)(?P<name>\w+?)_(?P<part>g|v|u|orig|mask)$")


@dataclass(frozen=True)
class _Rule:
    """How factors make a tensor: their parts, the words for it, the shapes that fit, the values."""

    parts: tuple[str, ...]
    what: str
    fits: Callable[..., bool]
    values: Callable[..., np.ndarray]


def _norm_fits(g: Tensor, v: Tensor) -> bool:
    return _axes(g.shape, v.shape) is not None


def _axes(g: tuple[int, ...], v: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes over which weight norm takes the norm; None if the shapes do not fit."""
    if g in ((), (1,)) or (len(g) == len(v) and set(g) == {1}):
        return tuple(range(len(v)))
    if len(g) != len(v) or any(a not in (1, b) for a, b in zip(g, v, strict=True)):
        return None
    return tuple(axis for axis, side in enumerate(g) if side == 1)


def _weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """G v / |v|; Salimans and Kingma, 2016."""
    axes = _axes(g.shape, v.shape)
    wide = v.astype(np.float64)
    norm = np.sqrt((wide * wide).sum(axis=axes, keepdims=True))
    scale = g.astype(np.float64).reshape(norm.shape if g.size == 1 else g.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        made: np.ndarray = wide * (scale / norm)
    return made


def _spectral_fits(weight: Tensor, u: Tensor, v: Tensor) -> bool:
    return bool(_spectral_axes(weight.shape, u.shape, v.shape))


def _spectral_axes(weight: tuple[int, ...], u: tuple[int, ...], v: tuple[int, ...]) -> list[int]:
    """The axes whose length is that of u, where all others make that of v."""
    if len(u) != 1 or len(v) != 1:
        return []
    total = math.prod(weight)
    return [axis for axis, side in enumerate(weight) if side == u[0] and side * v[0] == total]


def _spectral_norm(weight: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Weight / (u^T W v); Miyato et al., 2018."""
    wide, left, right = (part.astype(np.float64) for part in (weight, u, v))
    with np.errstate(divide="ignore", invalid="ignore"):
        products = [
            np.moveaxis(wide, axis, 0).reshape(len(u), -1) @ right
            for axis in _spectral_axes(weight.shape, u.shape, v.shape)
        ]
        # Of several axes of that length it is the one of which u is the result: u = Wv / |Wv|.
        product = min(
            products, key=lambda made: float(abs(made / np.sqrt(made @ made) - left).max())
        )
        return wide / (left @ product)


_RULES = (
    _Rule(("g", "v"), "weight norm", _norm_fits, _weight_norm),
    _Rule(("original0", "original1"), "weight norm", _norm_fits, _weight_norm),
    _Rule(("orig", "u", "v"), "spectral norm", _spectral_fits, _spectral_norm),
    _Rule(("original", "0._u", "0._v"), "spectral norm", _spectral_fits, _spectral_norm),
    _Rule(
        ("orig", "mask"),
        "a pruning mask",
        lambda orig, mask: orig.shape == mask.shape,
        lambda orig, mask: orig * mask.astype(orig.dtype),
    ),
)


def with_computed(
    tensors: dict[str, Tensor], values: Values
) -> tuple[dict[str, Tensor], list[Note]]:
    """The tensors with each group of factors replaced by what they make, and notes of factors.

    A tensor that is computed has the dtype float32, and the place of its first factor. Factors that
    no rule fits stay as they are.
    """
    groups: dict[str, dict[str, str]] = {}  # computed name -> part -> name of the factor
    for name in tensors:
        if match := _PARAMETRISED.match(name) or _FACTOR.match(name):
            made = f"{match['module']}{match['name']}"
            groups.setdefault(made, {})[match["part"]] = name
    makers: dict[str, tuple[str, Tensor]] = {}  # a factor -> what takes its place
    notes: list[Note] = []
    for made, factors in groups.items():
        rule = _rule(factors, tensors)
        if rule is None or made in tensors:
            continue
        used = [tensors[factors[part]] for part in rule.parts]
        base = max(used, key=lambda tensor: tensor.size)
        computed = Tensor(FLOAT32, base.shape, compute=_maker(rule, used, values))
        for name in factors.values():
            makers[name] = (made, computed)
            reason = f"a factor of {made}, which is computed ({rule.what})"
            notes.append(Note(name, tensors[name].shape, tensors[name].dtype_name, reason))
    return _replaced(tensors, makers), notes


def _replaced(
    tensors: dict[str, Tensor], makers: dict[str, tuple[str, Tensor]]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        made, computed = makers.get(name, (name, tensor))
        found.setdefault(made, computed)
    return found


def _rule(factors: dict[str, str], tensors: dict[str, Tensor]) -> _Rule | None:
    for rule in _RULES:
        if set(rule.parts) == set(factors):
            used = [tensors[factors[part]] for part in rule.parts]
            if all(t.size for t in used) and rule.fits(*used):
                return rule
    return None


def _maker(rule: _Rule, used: list[Tensor], values: Values) -> Callable[[], np.ndarray]:
    return lambda: rule.values(*(values.read(tensor) for tensor in used))
