"""`Layout`: where every tensor of a net lies in its flat vector, and what it is."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightspace.errors import DataError, UsageError

TRAINABLE = ("weight", "bias", "shift", "scale")
RUNNING = ("running_mean", "running_var")
ROLES = TRAINABLE + RUNNING
PARTS = ("conv", "fc")


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a flat vector.

    Parameters
    ----------
    name : str
        The name, such as "conv1.weight".
    role : str
        weight, bias, shift (beta of a norm), scale (gamma), running_mean or running_var.
    part : {"conv", "fc"}
        Whether it belongs to a convolution or to a dense layer.
    layer : int
        The number of the layer in the net, from 0.
    shape : tuple of int
        The shape, as PyTorch has it.
    offset : int
        The position of its first value in the vector.
    """

    name: str
    role: str
    part: str
    layer: int
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """The position after its last value in the vector."""
        return self.offset + self.size


@dataclass(frozen=True)
class Layout:
    """The tensors of a flat vector, in order and without gaps.

    Parameters
    ----------
    tensors : tuple of TensorSpec
        The tensors.

    Examples
    --------
    >>> layout = Layout((TensorSpec("output.weight", "weight", "fc", 0, (10, 64), 0),))
    >>> layout.size
    640
    >>> vector = np.arange(layout.size, dtype=np.float32)
    >>> one = layout.tensors[0]
    >>> vector[one.offset : one.stop].reshape(one.shape)[1, :2].tolist()
    [64.0, 65.0]
    """

    tensors: tuple[TensorSpec, ...]

    @cached_property
    def size(self) -> int:
        """The length of the vector in values."""
        return self.tensors[-1].stop if self.tensors else 0

    @cached_property
    def key(self) -> str:
        """The name of the layout: 16 hex digits of its hash."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    def select(self, part: str = "all", running_stats: bool = True) -> list[tuple[int, int]]:
        """The ranges of the vector that belong to a part.

        Parameters
        ----------
        part : {"all", "conv", "fc"}
            The part of the net. A net without this part gives no ranges.
        running_stats : bool
            Whether the running means and variances of norms are included.

        Returns
        -------
        list of (int, int)
            Ranges [start, stop); ranges that touch are joined.

        Raises
        ------
        UsageError
            If there is no such part.
        """
        if part not in ("all", *PARTS):
            raise UsageError("part", f"{part!r} is not one of all, {', '.join(PARTS)}")
        ranges: list[tuple[int, int]] = []
        for spec in self.tensors:
            if part not in ("all", spec.part) or (not running_stats and spec.role in RUNNING):
                continue
            if ranges and ranges[-1][1] == spec.offset:
                ranges[-1] = (ranges[-1][0], spec.stop)
            else:
                ranges.append((spec.offset, spec.stop))
        return ranges

    def indices(self, part: str = "all", running_stats: bool = True) -> NDArray[np.int64]:
        """The positions in the vector that belong to a part.

        Parameters
        ----------
        part : {"all", "conv", "fc"}
            As for `select`.
        running_stats : bool
            As for `select`.

        Returns
        -------
        ndarray of int64, shape (selected,)
        """
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
        """Make a layout from what `to_json` returned.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Layout

        Raises
        ------
        DataError
            If the text is not a layout, or its tensors have gaps.
        """
        try:
            rows = json.loads(text)
            specs = tuple(TensorSpec(**(row | {"shape": tuple(row["shape"])})) for row in rows)
            offset = 0
            for spec in specs:
                if spec.role not in ROLES or spec.part not in PARTS or spec.offset != offset:
                    raise ValueError(f"{spec.name} has an unknown role or part, or a wrong offset")
                offset = spec.stop
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                "layout", f"damaged ({error})", "restore its file from a copy"
            ) from None
        return cls(specs)
