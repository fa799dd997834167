"""The options of `sample` and `estimate` with their defaults, defined only here.

This module imports nothing large, so that the command line can show the defaults quickly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from weightspace.errors import UsageError

if TYPE_CHECKING:
    from weightspace.space import Space

LEAST: Mapping[str, int] = MappingProxyType(
    {"nets": 1, "seed": 0, "epochs": 1, "snapshots": 2, "evaluation_images": 1, "workers": 1}
)
"""The least value of each option that is a number."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `sample`, where they are explained; each is validated alone.

    Raises
    ------
    UsageError
        For a value that is invalid for every space.
    """

    space: Space | str = field(kw_only=False)
    nets: int
    out: str | Path
    seed: int = 0
    shard: tuple[int, int] = (1, 1)
    data_dir: str | None = None
    datasets: Sequence[str] | None = None
    epochs: int | None = None
    snapshots: int = 20
    snapshot_epochs: Sequence[float] | None = None
    evaluation_images: int = 500
    workers: int | None = None
    device: str = "auto"
    dtype: str = "float32"
    engine: str = "local"
    address: str | None = None
    via: str = "auto"
    module: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        from weightspace.zoo.files.dtypes import dtype_of  # large

        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(name, f"{value} is below {least}")
        dtype_of(self.dtype)
        number, count = self.shard
        if not 1 <= number <= count:
            raise UsageError("shard", f"{number}/{count} is no shard", "the first of four is 1/4")
        if self.datasets is not None and (isinstance(self.datasets, str) or not self.datasets):
            raise UsageError("datasets", f"{self.datasets!r} is no list of names")
        for epoch in self.snapshot_epochs or ():
            if not isinstance(epoch, int | float) or not math.isfinite(epoch):
                raise UsageError("snapshot_epochs", f"{epoch!r} is no number of epochs")

    @property
    def modules_named(self) -> tuple[str, ...]:
        """The files of modules of one's own that were named, each with its function or without."""
        return (self.module,) if isinstance(self.module, str) else tuple(self.module or ())

    @property
    def epochs_named(self) -> list[float] | None:
        """The epochs after which snapshots are taken; None for equal fractions of training."""
        if self.snapshot_epochs is None:
            return None
        return [float(epoch) for epoch in self.snapshot_epochs]

    @property
    def schedule(self) -> int | tuple[float, ...]:
        """How many snapshots are taken, or after which epochs."""
        return self.snapshots if self.epochs_named is None else tuple(self.epochs_named)

    @property
    def count(self) -> int:
        """The most snapshots of a net."""
        return self.snapshots if self.epochs_named is None else len(self.epochs_named)

    @property
    def most_epochs(self) -> float:
        """The epoch after which all training ends; infinity where recipes decide."""
        return max(self.epochs_named or [math.inf])

    def narrow(self, space: Space) -> Space:
        """The space with the data sets and epochs that replace its own."""
        names = list(self.datasets or [])
        dataset: object = names[0] if len(names) == 1 else names or None
        return space.with_constants(dataset=dataset, epochs=self.epochs)
