"""True and permuted labels together in arrays with named axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightspace.meta.design.folds import Cells


@dataclass(frozen=True, eq=False)
class Labelings:
    """The labels of all nets under several labelings; the first is the true one.

    Parameters
    ----------
    codes : int64 [net, labeling, property]
        The level of each net. Labeling 0 holds the true labels, each other one permutes them over
        nets.
    levels : tuple of int
        The number of levels of each property.
    """

    codes: np.ndarray[tuple[int, int, int]]
    levels: tuple[int, ...]

    @classmethod
    def of(cls, codes: np.ndarray, cells: Cells | None = None, permutations: int = 0) -> Labelings:
        """The labels int [net, property], followed by permutations of them within `cells`."""
        permuted = [codes[cells.permutation(i)] for i in range(permutations)] if cells else []
        return cls(np.stack([codes, *permuted], axis=1), tuple(int(c.max()) + 1 for c in codes.T))

    @property
    def permutations(self) -> int:
        """The number of permuted labelings."""
        return self.codes.shape[1] - 1

    @property
    def targets(self) -> np.ndarray:
        """The targets of an estimator of many targets: int64 [net, labeling x property]."""
        return self.codes.reshape(len(self.codes), -1)

    @property
    def target_levels(self) -> tuple[int, ...]:
        """The number of levels of each target."""
        return self.levels * self.codes.shape[1]

    def by_property(self, targets: np.ndarray) -> np.ndarray:
        """Reshape an array [..., labeling x property] to [..., labeling, property]."""
        return targets.reshape(*targets.shape[:-1], *self.codes.shape[1:])
