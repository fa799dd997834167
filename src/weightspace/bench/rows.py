"""`Rows`: the nets that an encoder reads, one snapshot each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from weightspace.arrays import Bool, Float32, Int, Int64, Shaped
from weightspace.errors import UsageError
from weightspace.networks import Layout, TensorSpec
from weightspace.zoo import Zoo


@dataclass(frozen=True, eq=False)
class Rows:
    """Some snapshots of some nets of a zoo, in order.

    This is all that an encoder is given to read. It holds no label and no recipe.

    Parameters
    ----------
    nets : ndarray of str, shape (n,)
        The net of each row.
    snapshots : ndarray of int64, shape (n,)
        The snapshot of each row, from 1, or back from -1.
    """

    _zoo: Zoo = field(repr=False)
    nets: Shaped[np.ndarray, " n"]
    snapshots: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.nets)

    def __getitem__(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> Rows:
        """Return the rows at these positions, or those that are marked."""
        return Rows(self._zoo, self.nets[chosen], self.snapshots[chosen])

    def vector(self, row: int) -> Float32[np.ndarray, " P"]:
        """Return the flat vector of a row.

        Parameters
        ----------
        row : int
            The position of the row.

        Returns
        -------
        ndarray of float32, shape (P,)
            Read-only. P depends on the architecture.
        """
        return self._zoo.vector(str(self.nets[row]), int(self.snapshots[row]))

    def layout(self, row: int) -> Layout:
        """Return the layout of a row: `tensors` with name, role, part, layer, shape and offset.

        Parameters
        ----------
        row : int
            The position of the row.

        Returns
        -------
        Layout
        """
        return self._zoo.layout(str(self.nets[row]))

    def tensors(self, row: int) -> Iterator[tuple[TensorSpec, Float32[np.ndarray, "..."]]]:
        """Give the tensors of a row, in the order of the vector.

        Parameters
        ----------
        row : int
            The position of the row.

        Yields
        ------
        (TensorSpec, ndarray of float32)
            What it is (`name`, `role`, `part`, `layer`), and its values, in torch's shape.
        """
        vector = self.vector(row)
        for one in self.layout(row).tensors:
            yield one, vector[one.offset : one.stop].reshape(one.shape)

    @cached_property
    def weights(self) -> Float32[np.ndarray, "n P"]:
        """All vectors, float32 [n, P]; UsageError if the architectures differ."""
        keys = {self.layout(row).key for row in range(len(self))}
        if len(keys) > 1:
            raise UsageError(
                "population",
                f"its nets have {len(keys)} architectures, this encoder reads one",
                "take a population of one architecture, such as bench-small",
            )
        return np.stack([self.vector(row) for row in range(len(self))])

    def set_aside(self, share: float = 0.2, seed: int = 0) -> Bool[np.ndarray, " n"]:
        """Mark the rows of a share of the nets, such as for early stopping.

        Parameters
        ----------
        share : float
            The share of the nets, between 0 and 1.
        seed : int
            The seed of the choice.

        Returns
        -------
        ndarray of bool, shape (n,)
            All rows of a net are on one side.
        """
        nets = np.unique(self.nets)
        rng = np.random.default_rng([seed, 0xA51DE])
        chosen = rng.permutation(nets)[: max(1, round(share * len(nets)))]
        return np.isin(self.nets, chosen)
