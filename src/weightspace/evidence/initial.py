"""Initial distributions that are still visible: untrained nets, frozen layers, initializations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from weightspace.evidence.context import Context
from weightspace.evidence.families import FAMILIES
from weightspace.evidence.pixels import above
from weightspace.evidence.record import Evidence, Hypothesis, unable
from weightspace.evidence.shapes import KURTOSIS, fits
from weightspace.evidence.subject import Layer, Subject
from weightspace.evidence.untouched import SHAPES_OF, Untouched, block, kernel_test

LAW = "initial distributions"

_MOST_LAYERS = 24
_LOOKS = 0.01  # a kernel with this p-value looks untouched
_MOVED = 1e-4  # a kernel with this p-value was trained
_GROWN = 1.1  # a scale by which a little training may have let the weights grow
_TELLING = 16_384  # weights of a kernel that would show its training
_SPECIAL = ("constant", "orthogonal")


def initial_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on which layers were trained, and on the initialization of those that were not.

    What was trained says little of its initialization, so that is undecidable for it.
    """
    tested = _tested(subject)
    if not tested:
        yield unable(LAW, "trained", "no kernel has enough weights")
        return
    still = [one for one in tested if one.p_value >= _LOOKS]
    if len(still) < len(tested):
        still = [one for one in still if _telling(one)]
    yield _trained(subject, tested, still)
    sure = _sure(tested, still)
    if sure:
        yield _initialization(subject, sure)
    else:
        yield unable(LAW, "initialization", "no kernel surely shows its initial distribution")
    yield from _edges(subject, [one for one in tested if one.p_value < _MOVED])


def states(subject: Subject) -> Iterator[tuple[Untouched, bool | None]]:
    """Each kernel that is tested, with whether it was trained; None if that cannot be told.

    Parameters
    ----------
    subject : Subject
        The net.

    Yields
    ------
    tuple of Untouched and bool or None
    """
    tested = _tested(subject)
    whole = all(one.p_value >= _LOOKS for one in tested)
    for one in tested:
        untouched = one.p_value >= _LOOKS and (whole or _telling(one))
        yield one, True if one.p_value < _MOVED else False if untouched else None


def _tested(subject: Subject) -> tuple[Untouched, ...]:
    """The tests of kernels, which the page of an audit shows, too."""

    def tests() -> tuple[Untouched, ...]:
        found = (kernel_test(subject, layer) for layer in _some(subject.layers))
        return tuple(one for one in found if one is not None)

    return subject.once("kernel tests", tests)


def _some(layers: Sequence[Layer]) -> Sequence[Layer]:
    """All layers, or of many some at equal distances, the first and the last among them."""
    if len(layers) <= _MOST_LAYERS:
        return layers
    places = np.linspace(0, len(layers) - 1, _MOST_LAYERS).round().astype(int)
    return [layers[place] for place in places]


def _telling(one: Untouched) -> bool:
    """Whether a trained kernel would hardly look so: a small one often does."""
    return one.best in _SPECIAL or math.prod(one.layer.shape) >= _TELLING


def _sure(tested: Sequence[Untouched], still: Sequence[Untouched]) -> Sequence[Untouched]:
    """Kernels that look untouched by a known initialization, and not by chance.

    One that looks normal may be a trained one; three of different sizes are not, if all kernels
    of the net look untouched by the same initialization.
    """
    names = {one.best for one in still}
    if len(still) == len(tested) >= 3 and len(names) == 1 and names <= {*FAMILIES, *_SPECIAL}:
        return still
    if len(still) == len(tested) and len(names) == 1 and names <= set(_SPECIAL):
        return still
    flat = [
        one
        for one in still
        if one.flat and one.best in FAMILIES and _telling(one) and not _own_way(one)
    ]
    return flat if len({one.best for one in flat}) == 1 else []


def _own_way(one: Untouched) -> bool:
    """Whether torch draws the kernel in another way than other layers: Glorot's, for attention."""
    return one.layer.weight.endswith("in_proj_weight")


def _trained(subject: Subject, tested: Sequence[Untouched], still: Sequence[Untouched]) -> Evidence:
    """Whether a net was trained at all, and which layers were not."""
    least = min(one.p_value for one in tested)
    moved = [one.layer.weight for one in tested if one.p_value < _MOVED]
    names = ", ".join(f"{one.layer.weight} ({one.best})" for one in still)
    if len(still) == len(tested):
        says = (
            "every kernel that was tested looks like independent draws of its initial "
            f"distribution, as in a net that was not or hardly trained: {names}"
        )
    elif still and moved:
        says = (
            f"looks like draws of an initial distribution: {names}; others do not: it was frozen, "
            "set anew, never used, or hardly trained"
        )
    elif moved:
        says = f"{len(moved)} of {len(tested)} kernels that were tested differ from any initial one"
    else:
        says = "whether the kernels differ from initial ones cannot be told"
    return Evidence(
        LAW, "trained", says, still[0].layer.weight if still and moved else "", None,
        (Hypothesis((False,), min(1.0, len(tested) * least), "not trained"),
         Hypothesis((True,), 1.0, "trained")),
    )  # fmt: skip


def _initialization(subject: Subject, still: Sequence[Untouched]) -> Evidence:
    """Which initializations the kernels allow that look untouched, decayed or not."""
    p_values = dict.fromkeys((*FAMILIES, *_SPECIAL), 1.0)
    for one in still:
        found = _decayed(subject, one)
        for name in p_values:
            p_values[name] = min(p_values[name], found[name])
    p_values = {name: min(1.0, len(still) * p_value) for name, p_value in p_values.items()}
    names = ", ".join(f"{one.layer.weight} as {one.best}" for one in still)
    return Evidence(
        LAW, "initialization", f"kernels that look untouched are distributed: {names}",
        still[0].layer.weight, None,
        tuple(Hypothesis((name,), p_value) for name, p_value in p_values.items()),
    )  # fmt: skip


def _decayed(subject: Subject, one: Untouched) -> dict[str, float]:
    """The p-value of each initialization for an untouched kernel that may have been decayed."""
    found = dict.fromkeys(_SPECIAL, 0.0)
    if one.best in _SPECIAL:
        # Other draws are never all equal nor at right angles.
        return dict.fromkeys((*FAMILIES, *_SPECIAL), 0.0) | {one.best: 1.0}
    matrix = block(subject, one.layer)
    values = matrix.ravel()[: 2**15]
    variance = float((matrix**2).mean())
    shapes = {shape: fits(values, shape) for shape in KURTOSIS}
    for name, family in FAMILIES.items():
        kinds = SHAPES_OF[family.shape]
        error = max(math.sqrt((KURTOSIS[kind] - 1) / matrix.size) for kind in kinds) * variance
        first = family.most(one.layer.fan_in, one.layer.fan_out)
        shape = max(shapes[kind] for kind in kinds)
        found[name] = min(1.0, 2 * min(shape, above(variance, _GROWN**2 * first, error)))
    # A part of rows at right angles looks like normal draws.
    part = matrix.shape != (one.layer.outputs, one.layer.fan_in)
    found["orthogonal"] = max(shapes["normal"], shapes["truncated"]) if part else 0.0
    return found


def _edges(subject: Subject, trained: Sequence[Untouched]) -> Iterator[Evidence]:
    """Trained kernels whose weights still end where a uniform distribution began and ended."""
    for family in ("torch_default", "he_uniform", "glorot_uniform", "lecun_uniform"):
        ends = [one.layer for one in trained if _ends(subject, one.layer, family)]
        if ends:
            names = ", ".join(layer.weight for layer in ends)
            yield Evidence(
                LAW, "initialization",
                f"{names}: trained, but most weights still end at the limit of {family}",
                ends[0].weight,
            )  # fmt: skip


def _ends(subject: Subject, layer: Layer, family: str) -> bool:
    """Whether the density falls to a third across the limit, and was that of a uniform one.

    A normal density falls so steeply only where fewer than 1 in 50 weights are left.
    """
    limit = FAMILIES[family].limit(layer.fan_in, layer.fan_out)
    sizes = np.abs(block(subject, layer)) / limit
    inside = int(((sizes > 0.9) & (sizes <= 1)).sum())
    outside = int(((sizes > 1) & (sizes <= 1.1)).sum())
    return inside >= 100 and inside >= 0.05 * sizes.size and 3 * outside <= inside
