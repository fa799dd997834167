"""`Caution`: how far the answers about one property go, measured on nets that no classifier saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.temperature import temperature
from weightspace.meta.model.likeness import Likeness

COVERAGE = 0.95
"""The share of nets whose level shall not be ruled out."""
MOST_LOST = 0.05
"""The accuracy that nets of known levels may lose, where "none of these" is an answer."""
_WEAK = 0.02  # of it for weak probabilities; the rest is for nets that are unlike their level
_FEWEST = 15  # nets of a step
_STEPS = 8


@dataclass(frozen=True)
class Step:
    """How often answers were right at a confidence.

    `start` is the least probability of the step, which ends where the next one starts. Of `nets`
    held-out nets with such a probability, the share `right` was answered rightly.
    """

    start: float
    right: float
    nets: int


@dataclass(frozen=True)
class Caution:
    """What held-out nets tell of the answers about one property.

    Parameters
    ----------
    bounds : tuple of float
        For each level, the probability below which it is ruled out.
    coverage : float
        The share of held-out nets whose own level was not ruled out, by bounds from other nets.
    least : float
        The probability below which no level is named: "none of these, or not clear".
    likeness : Likeness
        The usual values of each level.
    most : float
        The strangeness above which no level is named.
    lost : float
        The accuracy that held-out nets lost by these, with the limits of other nets.
    told : float or None
        The share of nets of a level that was left out, for which no level was named, by a model
        that was trained without the level; the mean over levels. None if it was not measured.
    steps : tuple of Step
        How often answers were right, by their probability, ascending.
    """

    bounds: tuple[float, ...]
    coverage: float
    least: float
    likeness: Likeness
    most: float
    lost: float
    told: float | None
    steps: tuple[Step, ...]

    @classmethod
    def of(
        cls,
        logs: np.ndarray,
        codes: np.ndarray,
        fold: np.ndarray,
        rows: np.ndarray,
        told: float | None = None,
    ) -> Caution:
        """Measure it from cross-fitted log-probabilities.

        Parameters
        ----------
        logs : float64 [n, levels]
            Log-probabilities of n nets by classifiers that were trained on the other folds.
        codes : int [n]
            The levels of the nets.
        fold : int [n]
            The fold of each net. What is judged on the nets of a fold is calibrated on the others.
        rows : float [n, F]
            The features of the nets, one row for each.
        told : float, optional
            As the attribute.

        Returns
        -------
        Caution
        """
        covered, named = np.zeros((2, len(codes)), bool)
        chances, best = np.zeros_like(logs), logs.argmax(axis=1)
        far = strange(rows, codes, best, fold, logs.shape[1])
        for part in np.unique(fold):
            own = fold == part
            other = ~own
            scale = temperature(logs[other], codes[other], int(other.sum()))
            known = softmax(logs[other] / scale, axis=1)
            chances[own] = softmax(logs[own] / scale, axis=1)
            bounds = _bounds(known, codes[other])
            covered[own] = chances[own, codes[own]] >= bounds[codes[own]]
            limits = _limits(known, far[other], codes[other])
            named[own] = (chances[own].max(axis=1) >= limits[0]) & (far[own] <= limits[1])
        right = best == codes
        weight = _balanced(codes)
        final = softmax(logs / temperature(logs, codes, len(codes)), axis=1)
        least, most = _limits(final, far, codes)
        return cls(
            tuple(map(float, _bounds(final, codes))),
            _share(weight, covered),
            least,
            Likeness.fit(rows, codes, logs.shape[1]),
            most,
            _share(weight, right & ~named),
            told,
            tuple(_steps(chances.max(axis=1)[named], right[named])),
        )

    def step(self, probability: float) -> Step | None:
        """The step of a probability; None if there were no such nets."""
        below = [step for step in self.steps if step.start <= probability]
        return below[-1] if below else (self.steps[0] if self.steps else None)


def told_of_left_out(
    rows: np.ndarray,
    codes: np.ndarray,
    levels: int,
    owners: np.ndarray,
    fold: np.ndarray,
    estimator: MetaClassifier,
) -> float | None:
    """Leave each level out, and count its nets for which no level is named.

    Parameters
    ----------
    rows : float [n, F]
        One row for each vector.
    codes : int [n]
        The levels of the rows, 0 to `levels` - 1.
    levels : int
        The number of levels.
    owners : int [n]
        The nets of the rows.
    fold : int [n]
        The folds of the rows. Classifiers are trained on half of them and tested on the other half.
    estimator : MetaClassifier
        Unfitted.

    Returns
    -------
    float or None
        The mean over levels; None for fewer than three levels.
    """
    if levels < 3:
        return None
    found = []
    for out in range(levels):
        strange_rows = codes == out
        rest = codes - (codes > out)
        logs, far = np.zeros((len(rows), levels - 1)), np.zeros(len(rows))
        for half in (0, 1):
            tested = fold % 2 == half
            train = ~tested & ~strange_rows
            fitted = estimator.fit_labelings(
                rows[train], rest[train, None], (levels - 1,), owners[train]
            )
            logs[tested] = fitted.log_probabilities(rows[tested])[0]
            usual = Likeness.fit(rows[train], rest[train], levels - 1)
            far[tested] = usual.strangeness(rows[tested], logs[tested].argmax(axis=1))
        known = ~strange_rows
        scale = temperature(logs[known], rest[known], int(known.sum()))
        chances = softmax(logs / scale, axis=1)
        least, most = _limits(chances[known], far[known], rest[known])
        named = (chances.max(axis=1) >= least) & (far <= most)
        found.append(float((~named[strange_rows]).mean()))
    return float(np.mean(found))


def _balanced(codes: np.ndarray) -> NDArray[np.float64]:
    """The weight of each net, the same for all levels together: sum 1."""
    counts = np.bincount(codes)
    return np.asarray(1 / counts[codes] / (counts > 0).sum())


def _share(weight: np.ndarray, held: np.ndarray) -> float:
    """The weight of the nets for which something holds; rounding may not bring it beyond 1."""
    return min(1.0, float(weight @ held))


def _bounds(chances: np.ndarray, codes: np.ndarray) -> NDArray[np.float64]:
    """For each level the probability that at least `COVERAGE` of its nets reach (conformal).

    0 where a level has too few nets for that: fewer than 19.
    """
    bounds = np.zeros(chances.shape[1])
    for level in range(chances.shape[1]):
        own = np.sort(chances[codes == level, level])
        place = int(np.floor((len(own) + 1) * (1 - COVERAGE))) - 1
        if place >= 0:
            bounds[level] = own[place]
    return bounds


def strange(
    rows: np.ndarray, codes: np.ndarray, best: np.ndarray, fold: np.ndarray, levels: int
) -> NDArray[np.float64]:
    """How unlike the level `best` int [n] each row [n, F] is, by the nets of the other folds."""
    far = np.zeros(len(rows))
    for part in np.unique(fold):
        own = fold == part
        usual = Likeness.fit(rows[~own], codes[~own], levels)
        far[own] = usual.strangeness(rows[own], best[own])
    return far


def _limits(chances: np.ndarray, far: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """The least probability and the most strangeness at which a level is named.

    Each is the strictest one with which right answers that are not given are at most a part of
    `MOST_LOST` of all nets.
    """
    weight = _balanced(codes) * (chances.argmax(axis=1) == codes)
    sure = chances.max(axis=1)
    return _strictest(sure, weight, _WEAK), -_strictest(-far, weight, MOST_LOST - _WEAK)


def _strictest(values: np.ndarray, weight: np.ndarray, most: float) -> float:
    """The largest value below which values have at most this weight together."""
    order = np.argsort(values, kind="stable")
    place = int(np.searchsorted(np.cumsum(weight[order]), most, side="right"))
    return float(values[order[min(place, len(order) - 1)]])


def _steps(chances: np.ndarray, right: np.ndarray) -> Iterable[Step]:
    """Steps of about equal numbers of nets, by ascending probability."""
    order = np.argsort(chances, kind="stable")
    count = max(1, min(_STEPS, len(order) // _FEWEST))
    for part in np.array_split(order, count) if len(order) else ():
        yield Step(float(chances[part[0]]), float(right[part].mean()), len(part))
