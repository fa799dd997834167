"""Numbers in few bins: how trees that split histograms see their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace.arrays import Float, Float32, Float64, Shaped


@dataclass(frozen=True)
class Bins:
    """The edges between the bins of each feature, in ascending order.

    Bin k holds numbers above edge k - 1 and at most edge k.
    """

    edges: tuple[Float64[np.ndarray, " _"], ...]

    @classmethod
    def of(cls, features: Float[np.ndarray, "n F"], most: int) -> Bins:
        """Bins of about equal counts, at most so many, or one for each number that occurs."""
        return cls(tuple(_edges(column, most) for column in features.T))

    def numbers(self, features: Float[np.ndarray, "n F"]) -> Float32[np.ndarray, "n F"]:
        """The number of the bin of each value."""
        out = np.empty(features.shape, np.float32)
        for j, edges in enumerate(self.edges):
            out[:, j] = np.searchsorted(edges, features[:, j])
        return out

    def thresholds(
        self, feature: Shaped[np.ndarray, " nodes"], number: Float64[np.ndarray, " nodes"]
    ) -> Float64[np.ndarray, " nodes"]:
        """The values of features at which a split lies that parts bins at a number."""
        return np.array(
            [self.edges[j][int(k)] for j, k in zip(feature, number, strict=True)], np.float64
        )


def _edges(column: Float[np.ndarray, " n"], most: int) -> NDArray[np.float64]:
    values = np.unique(column).astype(np.float64)
    if len(values) <= most:
        return (values[1:] + values[:-1]) / 2
    parts = np.linspace(0, 1, most + 1)[1:-1]
    return np.unique(np.quantile(column.astype(np.float64), parts, method="averaged_inverted_cdf"))
