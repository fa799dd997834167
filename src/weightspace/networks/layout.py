"""`Layout`: where every tensor of a net lies in its flat vector, and what it is for."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from weightspace.errors import DataError, UsageError

TRAINABLE = ("weight", "bias", "shift", "scale")
RUNNING = ("running_mean", "running_var")
ROLES = TRAINABLE + RUNNING
PARTS = ("conv", "fc")


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of the vector: its name, role, part (conv or fc), layer, shape and offset.

    `offset` and `size` count values, not bytes; `layer` counts from 0 through the whole net.
    """

    name: str
    role: str
    part: str
    layer: int
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """Offset of the first value after the tensor."""
        return self.offset + self.size


@dataclass(frozen=True)
class Layout:
    """The tensors of a flat vector, in order, without gaps."""

    tensors: tuple[TensorSpec, ...]

    @cached_property
    def size(self) -> int:
        """Length of the vector in values."""
        return self.tensors[-1].stop if self.tensors else 0

    @cached_property
    def key(self) -> str:
        """16 hex digits that name this layout."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    def select(self, part: str = "all", running_stats: bool = True) -> list[tuple[int, int]]:
        """The ranges [start, stop) of the vector that belong to a part, merged where they touch.

        `part` is "conv", "fc" or "all"; without `running_stats` the running means and variances
        of the norms are left out. A part that the net has not gives no ranges.
        """
        if part not in ("all", *PARTS):
            raise UsageError(f"part: {part!r} is none of all, {', '.join(PARTS)}")
        ranges: list[tuple[int, int]] = []
        for spec in self.tensors:
            if part not in ("all", spec.part) or (not running_stats and spec.role in RUNNING):
                continue
            if ranges and ranges[-1][1] == spec.offset:
                ranges[-1] = (ranges[-1][0], spec.stop)
            else:
                ranges.append((spec.offset, spec.stop))
        return ranges

    def indices(self, part: str = "all", running_stats: bool = True) -> np.ndarray:
        """The same selection as int64 positions [selected]."""
        ranges = self.select(part, running_stats)
        return np.concatenate([np.zeros(0, np.int64), *(np.arange(a, b) for a, b in ranges)])

    def to_json(self) -> str:
        """The layout as one line of JSON."""
        rows: list[dict[str, Any]] = [
            {
                "name": t.name,
                "role": t.role,
                "part": t.part,
                "layer": t.layer,
                "shape": list(t.shape),
                "offset": t.offset,
            }
            for t in self.tensors
        ]
        return json.dumps(rows, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The inverse of `to_json`; DataError where the text is no layout without gaps."""
        try:
            rows = json.loads(text)
            specs = tuple(TensorSpec(**(row | {"shape": tuple(row["shape"])})) for row in rows)
            offset = 0
            for spec in specs:
                if spec.role not in ROLES or spec.part not in PARTS or spec.offset != offset:
                    raise ValueError(f"{spec.name} has an unknown role or part, or a wrong offset")
                offset = spec.stop
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"layout: damaged ({error}); restore the file it stands in") from None
        return cls(specs)
