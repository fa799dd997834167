"""Number formats: tensors whose values all lie on a narrower format's grid, or on few levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace.evidence.context import Context
from weightspace.evidence.record import Evidence, Hypothesis, Value, unable
from weightspace.evidence.subject import Subject

LAW = "number formats"
LEVELS = "few levels"
"""The name of the hypothesis that kernels were quantised."""
_LOOKED_AT = 2**16  # values of a tensor
_MANY = 32  # tensors, above which a quarter of that is looked at in each
_MOST_TENSORS = 256  # spread evenly over the net
_ENOUGH = 32  # different values that are neither 0 nor powers of 2
_MOST_LEVELS = 256
_PER_LEVEL = 8  # values, that a coincidence cannot give
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "float32": ("float32", "fp32", "float"),
    "bfloat16": ("bfloat16", "bf16"),
    "float16": ("float16", "fp16", "half"),
    "float8_e4m3": ("float8_e4m3", "fp8"),
    "float8_e5m2": ("float8_e5m2", "fp8"),
}
_NARROW = tuple(_SPELLINGS)[1:]


@dataclass(frozen=True)
class Grid:
    """The grid on which a tensor's values lie.

    Attributes
    ----------
    name : str
        The tensor.
    form : str
        "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "levels" or "float32".
    levels : int
        How many different values there are, for "levels" the most of a row.
    even : bool
        Whether levels have equal distances, as quantised integers have.
    rows : bool
        Whether each row has levels of its own.
    values : int
        How many values were looked at.
    """

    name: str
    form: str
    levels: int
    even: bool = False
    rows: bool = False
    values: int = 0


def grid_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the precision in which the weights were stored."""
    names = _candidates(subject)
    most = _LOOKED_AT if len(names) <= _MANY else _LOOKED_AT // 4
    found = [grid for name in names if (grid := grid_of(subject, name, most))]
    if not found:
        reason = "no tensor of 32-bit numbers has enough different values"
        yield unable(LAW, "precision", reason)
        return
    counts = Counter(grid.form for grid in found)
    for form in _NARROW:
        if counts[form]:
            yield _narrow(form, [grid for grid in found if grid.form == form], found)
    if counts["levels"]:
        yield _levels([grid for grid in found if grid.form == "levels"], found)
    if counts["float32"] == len(found):
        yield Evidence(
            LAW, "precision",
            f"{len(found):,} tensors need all bits of float32: they were not stored in less",
            statistic=float(len(found)),
            hypotheses=(Hypothesis(_SPELLINGS["float32"], 1.0, "float32"),),
        )  # fmt: skip


def _candidates(subject: Subject) -> Sequence[str]:
    """The tensors of layers and norms that are stored as float32 or float64."""
    names: dict[str, None] = {}
    for layer in subject.layers:
        names |= dict.fromkeys([layer.weight, *([layer.bias] if layer.bias else [])])
        for norm in layer.norms:
            names |= dict.fromkeys(norm.names.values())
    wide = ("float32", "float64")
    names = {n: None for n in names if subject.dtypes.get(n, "float32") in wide}
    every = -(-len(names) // _MOST_TENSORS)
    return list(names)[:: max(1, every)]


def grid_of(subject: Subject, name: str, most: int = _LOOKED_AT) -> Grid | None:
    """The grid of a tensor, from its first values.

    Parameters
    ----------
    subject : Subject
        The net.
    name : str
        The tensor.
    most : int
        About how many values are looked at.

    Returns
    -------
    Grid or None
        None if there are too few different values to tell.
    """
    looked = _looked(subject, name, most)
    telling = np.unique(looked[looked != 0])
    if not telling.size or not np.isfinite(telling).all():
        return None
    levels = _few_levels(name, looked) if len(subject.shapes[name]) > 1 else None
    if levels is not None and levels.even:
        return levels
    mantissas = telling.view(np.uint32) & np.uint32(0x7FFFFF)
    if np.count_nonzero(mantissas) < _ENOUGH:
        return levels
    form = _form(telling, mantissas)
    if form != "float32":
        return Grid(name, form, telling.size, values=looked.size)
    if levels is not None:
        return levels
    wide = subject.dtypes.get(name) == "float64"
    return None if wide else Grid(name, form, telling.size, values=looked.size)


def _looked(subject: Subject, name: str, most: int) -> NDArray[np.float32]:
    """The first rows of a tensor, and of long ones the first values: [rows, values]."""
    shape = subject.shapes[name]
    width = max(1, int(np.prod(shape[1:])))
    rows = min(shape[0], max(1, most // width)) if shape else 1
    found = subject.read(name, 0, rows).reshape(rows, -1)
    return np.ascontiguousarray(found[:, :most], np.float32)


def _form(telling: NDArray[np.float32], mantissas: NDArray[np.uint32]) -> str:
    """The narrowest format, from the bits of the mantissas that are never set."""
    used = int(np.bitwise_or.reduce(mantissas))
    kept = 23 - ((used & -used).bit_length() - 1) if used else 0
    sizes = np.abs(telling)
    if kept <= 2 and sizes.max() <= 57_344 and sizes.min() >= 2.0**-16:
        return "float8_e5m2"
    if kept <= 3 and sizes.max() <= 448 and sizes.min() >= 2.0**-9:
        return "float8_e4m3"
    if kept <= 7:
        return "bfloat16"
    with np.errstate(over="ignore"):
        return "float16" if (telling.astype(np.float16) == telling).all() else "float32"


def _few_levels(name: str, looked: NDArray[np.float32]) -> Grid | None:
    """The levels of a tensor, or of each row, if they are far fewer than its values."""
    levels = np.unique(looked)
    nonzero = int(np.count_nonzero(looked))
    if 2 < levels.size <= _MOST_LEVELS and nonzero >= _PER_LEVEL * levels.size:
        return Grid(name, "levels", levels.size, _even(levels), False, looked.size)
    if looked.shape[0] < 4 or levels.size < _ENOUGH or looked.shape[1] < _ENOUGH:
        return None
    rows = [np.unique(row) for row in looked]
    most = max(row.size for row in rows)
    enough = np.count_nonzero(looked, 1) >= _PER_LEVEL * np.array([row.size for row in rows])
    if 2 < most <= _MOST_LEVELS and enough.all():
        return Grid(name, "levels", most, all(map(_even, rows)), True, looked.size)
    if most <= _MOST_LEVELS and all(map(_even_integers, rows)):
        return Grid(name, "levels", most, True, True, looked.size)
    return None


def _even(levels: NDArray[np.float32]) -> bool:
    """Whether levels are multiples of one distance, at most 255 of them from end to end."""
    if levels.size < 3:
        return True
    gaps = np.diff(levels.astype(np.float64))
    step = gaps.min()
    whole = gaps / step
    near = np.abs(whole - np.round(whole)) < 0.02 + 1e-6 * np.abs(levels).max() / step
    return bool(near.all() and (levels[-1] - levels[0]) / step < 256.5)


def _even_integers(levels: NDArray[np.float32]) -> bool:
    """Whether so many levels are even that chance cannot make it so."""
    return levels.size >= 16 and _even(levels)


def _narrow(form: str, on: list[Grid], found: list[Grid]) -> Evidence:
    every = len(on) == len(found)
    share = "all" if every else f"{len(on):,} of"
    says = f"{share} {len(found):,} tensors, though stored wider, hold only values of {form}"
    return Evidence(
        LAW, "precision", f"{says}: they were stored so once", where="" if every else on[0].name,
        statistic=float(len(on)),
        hypotheses=(
            Hypothesis(_SPELLINGS[form], 1.0, form),
            Hypothesis(_SPELLINGS["float32"], 0.0, "float32 throughout"),
        ) if every else (),
    )  # fmt: skip


def _levels(on: list[Grid], found: list[Grid]) -> Evidence:
    most = max(on, key=lambda grid: grid.levels)
    kind = "evenly spaced levels" if all(grid.even for grid in on) else "levels"
    each = " in each row" if any(grid.rows for grid in on) else ""
    bits = max(1, (most.levels - 1).bit_length())
    every = len(on) == len(found)
    share = "all" if every else f"{len(on):,} of"
    values: tuple[Value, ...] = ("int8",) if most.even and 4 < bits <= 8 else (f"{bits} bits",)
    return Evidence(
        LAW, "precision",
        f"{share} {len(found):,} tensors have at most {most.levels:,} {kind}{each}: they were "
        f"quantised to {bits} bits",
        where=on[0].name, statistic=float(most.levels),
        hypotheses=(Hypothesis(values, 1.0, LEVELS),),
    )  # fmt: skip
