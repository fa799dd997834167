"""What the names and settings of modules say of what stands between two kernels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weightspace.networks.grammar import Pool
from weightspace.networks.roles import Entry, Placed

Modules = Mapping[str, Mapping[str, object]]
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Between:
    """What is known of a kernel and of the modules that follow it; None where nothing is known.

    Attributes
    ----------
    stride, padding : int or None
        Of the convolution.
    pools : tuple of Pool or None
        The pools up to the next kernel.
    adaptive : int or None
        The side that an adaptive pool leaves.
    gap : int or None
        The number of modules without tensors up to the next kernel.
    """

    stride: int | None = None
    padding: int | None = None
    pools: tuple[Pool, ...] | None = None
    adaptive: int | None = None
    gap: int | None = None


def between(
    kernels: Sequence[Entry], placed: Sequence[Placed], modules: Modules
) -> dict[str, Between]:
    """What is known of each kernel, by its name.

    A `Sequential` numbers its modules, so numbers that no tensor has are modules without tensors,
    such as activations and pools. `modules` has the settings of each module by its name, where the
    file holds whole modules; with a state dict, names alone.
    """
    with_tensors = {one.entry.module for one in placed}
    found: dict[str, Between] = {}
    for kernel, following in zip(kernels, [*kernels[1:], None], strict=True):
        own = modules.get(kernel.module, {})
        gap = _gap(kernel.module, following.module if following else "", with_tensors, modules)
        pools, adaptive = None, None
        if gap is not None:
            settings = [modules.get(name, {}) for name in gap]
            if settings and all("class" in one for one in settings):
                pools = tuple(pool for one in settings if (pool := _pool(one)))
                sizes = (_adaptive(one) for one in settings)
                adaptive = next((size for size in sizes if size), None)
        found[kernel.name] = Between(
            _whole(own.get("stride")), _whole(own.get("padding")), pools, adaptive,
            None if gap is None else len(gap) - _flattens(kernel, following),
        )  # fmt: skip
    return found


def _flattens(kernel: Entry, following: Entry | None) -> bool:
    """Whether one of the modules between two of one `Sequential` must be `Flatten`."""
    if following is None or following.module.rpartition(".")[0] != kernel.module.rpartition(".")[0]:
        return False
    return len(kernel.shape) > len(following.shape)


def _gap(module: str, following: str, with_tensors: set[str], modules: Modules) -> list[str] | None:
    """The modules without tensors between two of one `Sequential`; None if they cannot be known."""
    parent, _, number = module.rpartition(".")
    if not _NUMBER.fullmatch(number):
        return None
    other, _, end = following.rpartition(".")
    prefix = f"{parent}." if parent else ""
    if other == parent and _NUMBER.fullmatch(end):
        stop = int(end)
    elif modules:  # the rest of this `Sequential`; modules of another may follow
        own = (name[len(prefix) :].partition(".")[0] for name in modules if name.startswith(prefix))
        stop = 1 + max((int(one) for one in own if _NUMBER.fullmatch(one)), default=0)
    else:
        return None
    names = [f"{prefix}{i}" for i in range(int(number) + 1, stop)]
    if len(names) > 64 or stop <= int(number):
        return None
    inside = [name for name in names if any(m.startswith(f"{name}.") for m in modules)]
    if inside:
        return None
    return [name for name in names if name not in with_tensors]


def _pool(settings: Mapping[str, object]) -> Pool | None:
    kind = str(settings.get("class", "")).rpartition(".")[2]
    if kind not in ("MaxPool2d", "AvgPool2d"):
        return None
    size = _whole(settings.get("kernel_size")) or 2
    stride, padding = _whole(settings.get("stride")), _whole(settings.get("padding"))
    step = 0 if stride in (None, size) else stride or 0
    return Pool(size, step, padding or 0, "max" if kind == "MaxPool2d" else "average")


def _adaptive(settings: Mapping[str, object]) -> int | None:
    kind = str(settings.get("class", "")).rpartition(".")[2]
    return _whole(settings.get("output_size")) if kind == "AdaptiveAvgPool2d" else None


def _whole(value: object) -> int | None:
    """A whole number, or one that all members of a tuple are."""
    if isinstance(value, tuple | list) and value and all(one == value[0] for one in value):
        value = value[0]
    return value if isinstance(value, int) and not isinstance(value, bool) else None
