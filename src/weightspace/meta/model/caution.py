"""`Caution`: how far the answers about one property go, measured on nets that no classifier saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.temperature import temperature

COVERAGE = 0.95
"""The share of nets whose level shall not be ruled out."""
MOST_LOST = 0.05
"""The accuracy that nets of known levels may lose, where "none of these" is an answer."""
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
    lost : float
        The accuracy that held-out nets lost by that, with the `least` of other nets.
    told : float or None
        The share of nets of a level that was left out, for which no level was named, by a model
        that was trained without the level; the mean over levels. None if it was not measured.
    steps : tuple of Step
        How often answers were right, by their probability, ascending.
    """

    bounds: tuple[float, ...]
    coverage: float
    least: float
    lost: float
    told: float | None
    steps: tuple[Step, ...]

    @classmethod
    def of(
        cls, logs: np.ndarray, codes: np.ndarray, fold: np.ndarray, told: float | None = None
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
        told : float, optional
            As the attribute.

        Returns
        -------
        Caution
        """
        covered, named, right = np.zeros((3, len(codes)), bool)
        chances = np.zeros_like(logs)
        for part in np.unique(fold):
            own = fold == part
            other = ~own
            scale = temperature(logs[other], codes[other], int(other.sum()))
            known = softmax(logs[other] / scale, axis=1)
            chances[own] = softmax(logs[own] / scale, axis=1)
            bounds = _bounds(known, codes[other])
            covered[own] = chances[own, codes[own]] >= bounds[codes[own]]
            named[own] = chances[own].max(axis=1) >= _least(known, codes[other])
            right[own] = chances[own].argmax(axis=1) == codes[own]
        weight = _balanced(codes)
        final = softmax(logs / temperature(logs, codes, len(codes)), axis=1)
        return cls(
            tuple(map(float, _bounds(final, codes))),
            float(weight @ covered),
            _least(final, codes),
            float(weight @ (right & ~named)),
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
        strange = codes == out
        rest = codes - (codes > out)
        logs = np.zeros((len(rows), levels - 1))
        for half in (0, 1):
            tested = fold % 2 == half
            train = ~tested & ~strange
            fitted = estimator.fit_labelings(
                rows[train], rest[train, None], (levels - 1,), owners[train]
            )
            logs[tested] = fitted.log_probabilities(rows[tested])[0]
        known = ~strange
        scale = temperature(logs[known], rest[known], int(known.sum()))
        chances = softmax(logs / scale, axis=1)
        least = _least(chances[known], rest[known])
        found.append(float((chances[strange].max(axis=1) < least).mean()))
    return float(np.mean(found))


def _balanced(codes: np.ndarray) -> NDArray[np.float64]:
    """The weight of each net, the same for all levels together: sum 1."""
    counts = np.bincount(codes)
    return np.asarray(1 / counts[codes] / (counts > 0).sum())


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


def _least(chances: np.ndarray, codes: np.ndarray) -> float:
    """The largest probability below which right answers are at most `MOST_LOST` of all nets."""
    most = chances.max(axis=1)
    order = np.argsort(most)
    lost = np.cumsum((_balanced(codes) * (chances.argmax(axis=1) == codes))[order])
    place = int(np.searchsorted(lost, MOST_LOST, side="right"))
    return float(most[order[min(place, len(order) - 1)]])


def _steps(chances: np.ndarray, right: np.ndarray) -> Iterable[Step]:
    """Steps of about equal numbers of nets, by ascending probability."""
    order = np.argsort(chances, kind="stable")
    count = max(1, min(_STEPS, len(order) // _FEWEST))
    for part in np.array_split(order, count) if len(order) else ():
        yield Step(float(chances[part[0]]), float(right[part].mean()), len(part))
