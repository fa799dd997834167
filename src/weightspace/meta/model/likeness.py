"""`Likeness`: how far a net is from those of a level, in the features that show the level best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = 2
"""The number of features. With more, what a level changes is lost among what it does not."""
_FARTHEST = 10.0
_RELATED = 0.95
_LEAST_SHARE = 0.3
_MANY = 50_000  # columns; of more, such as single weights, only the first are looked at


@dataclass(frozen=True)
class Likeness:
    """The usual values of each level in a few features.

    Parameters
    ----------
    columns : tuple of int
        The features.
    centres, scales : tuple of tuple of float
        For each level and feature the median and half the width of the middle 68 % of its nets.
    """

    columns: tuple[int, ...]
    centres: tuple[tuple[float, ...], ...]
    scales: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, rows: np.ndarray, codes: np.ndarray, levels: int) -> Likeness:
        """From rows [n, F], one for each net, and their levels, int [n].

        The features are those in which levels differ most, relative to the differences within a
        level. One that is correlated with a feature before it within the levels is left out.
        """
        rows = _known(rows[:, :_MANY])
        parts = [own if len(own := rows[codes == level]) else rows for level in range(levels)]
        low, centre, high = (
            np.stack([np.quantile(part, share, axis=0) for part in parts])
            for share in (0.16, 0.5, 0.84)
        )
        scale = (high - low) / 2
        usual = scale.mean(axis=0)
        apart = np.divide(centre.std(axis=0), usual, out=np.zeros_like(usual), where=usual > 1e-9)
        rest = np.clip((rows - centre[codes]) / np.maximum(usual, 1e-9), -3, 3)
        chosen: list[int] = []
        for column in np.argsort(-apart, kind="stable")[:200]:
            if len(chosen) == COLUMNS or apart[column] <= 0:
                break
            if all(_related(rest[:, column], rest[:, other]) < _RELATED for other in chosen):
                chosen.append(int(column))
        scale = np.maximum(scale[:, chosen], _LEAST_SHARE * usual[chosen])
        return cls(
            tuple(chosen),
            tuple(tuple(map(float, row)) for row in centre[:, chosen]),
            tuple(tuple(map(float, row)) for row in scale),
        )

    def strangeness(self, rows: np.ndarray, levels: np.ndarray) -> NDArray[np.float64]:
        """How far each of the rows [n, F] is from nets of its level, int [n]: float64 [n].

        The root mean square over the features of the distance from the median, in scales, each at
        most 10. A missing feature is no distance; 0 without features.
        """
        if not self.columns:
            return np.zeros(len(rows))
        centres, scales = np.array(self.centres)[levels], np.array(self.scales)[levels]
        own = rows[:, list(self.columns)].astype(np.float64)
        far = np.where(np.isnan(own), 0.0, np.abs(own - centres) / scales)
        return np.asarray(np.sqrt(np.square(np.minimum(far, _FARTHEST)).mean(axis=1)))


def _known(rows: np.ndarray) -> NDArray[np.float64]:
    """The rows with the median of each column in place of what is missing."""
    found = rows.astype(np.float64)
    for column in np.flatnonzero(np.isnan(found).any(axis=0)):
        missing = np.isnan(found[:, column])
        found[missing, column] = 0.0 if missing.all() else np.median(found[~missing, column])
    return found


def _related(one: np.ndarray, other: np.ndarray) -> float:
    size = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return abs(float(one @ other)) / size if size > 0 else 0.0
