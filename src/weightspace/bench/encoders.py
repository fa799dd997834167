"""`Encoder`: what joins the benchmark; and the classifiers of this package as encoders."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from weightspace.arrays import Float32, Float64, Int64
from weightspace.bench.rows import Rows
from weightspace.errors import UsageError
from weightspace.features import SLICES, layers, local, pooled, statistics
from weightspace.learners.registry import CLASSIFIERS, Classifier
from weightspace.meta.design.slices import even_slices
from weightspace.meta.design.study import USUAL_LENGTH

if TYPE_CHECKING:
    from types import ModuleType

    from weightspace.bench.tasks import Target

_SLICES = 8
"""The slices of a net that a classifier of slices reads."""

Answers = list[Float64[np.ndarray, "..."]]
"""For each target: log-probabilities, float64 [n, levels], or numbers, float64 [n]."""


class Encoder(Protocol):
    """Anything that learns to predict properties of nets from their weights.

    Attributes
    ----------
    name : str
        A short name for the leaderboard.
    about : str
        What it is, in one line, with its source.
    """

    name: str
    about: str

    def fit(
        self, rows: Rows, targets: Sequence[Target], *, seed: int, seconds: float
    ) -> Callable[[Rows], Answers]:
        """Learn targets from the weights of nets.

        Parameters
        ----------
        rows : Rows
            The nets.
        targets : sequence of Target
            What is true of them.
        seed : int
            The seed of all random numbers.
        seconds : float
            The processor seconds that it may take, perhaps infinite.

        Returns
        -------
        callable
            Gives for other rows the answers for each target, in order.
        """


class OfFeatures:
    """A classifier of this package as an encoder.

    Numbers are predicted from the same features, by the classifier's `regression`.

    Parameters
    ----------
    kind : Classifier
        An entry of `CLASSIFIERS`.
    """

    def __init__(self, kind: Classifier) -> None:
        self.name, self.about, self._kind = kind.name, kind.about, kind

    def fit(
        self, rows: Rows, targets: Sequence[Target], *, seed: int, seconds: float
    ) -> Callable[[Rows], Answers]:
        """Learn targets; see `Encoder.fit`. The time is not limited."""
        features, owners = self._read(rows)
        levels = [one for one in targets if one.levels]
        numbers = [one for one in targets if not one.levels]
        classes = None
        if levels:
            codes = np.stack([one.values[owners] for one in levels], axis=1)
            counts = tuple(len(one.levels) for one in levels)
            nets = np.unique(rows.nets, return_inverse=True)[1][owners]
            classes = self._kind.estimator(seed).fit_labelings(features, codes, counts, nets)
        regressions = [
            self._kind.regression(seed).fit(features, one.values[owners]) for one in numbers
        ]

        def read(others: Rows) -> Answers:
            features, owners = self._read(others)
            named = iter(classes.log_probabilities(features) if classes else ())
            guessed = (one.predict(features)[:, None] for one in regressions)
            found = (next(named) if one.levels else next(guessed) for one in targets)
            means = [_mean(values, owners) for values in found]
            return [m if t.levels else m[:, 0] for t, m in zip(targets, means, strict=True)]

        return read

    def _read(self, rows: Rows) -> tuple[Float32[np.ndarray, "m F"], Int64[np.ndarray, " m"]]:
        """The features of each net, or of its slices, and the row to which each belongs."""
        if self._kind.features == "weights":
            return rows.weights, np.arange(len(rows))
        if self._kind.features == "layers":
            found = [layers(rows.vector(i), rows.layout(i)) for i in range(len(rows))]
            return np.stack(found), np.arange(len(rows))
        if self._kind.features == "pooled":
            length = _length_of_slices(rows)
            found = [pooled(even_slices(rows.vector(i), length, SLICES)) for i in range(len(rows))]
            return np.stack(found), np.arange(len(rows))
        return _of_slices(rows, {"local": local, "statistics": statistics}[self._kind.features])


def _length_of_slices(rows: Rows) -> int:
    return min(USUAL_LENGTH, min(rows.layout(i).size for i in range(len(rows))))


def _of_slices(
    rows: Rows, describe: Callable[[Float32[np.ndarray, "k L"]], Float32[np.ndarray, "k F"]]
) -> tuple[Float32[np.ndarray, "m F"], Int64[np.ndarray, " m"]]:
    """The features of slices at equal distances, and the row to which each belongs."""
    length = _length_of_slices(rows)
    found, owners = [], []
    for i in range(len(rows)):
        vector = rows.vector(i)
        count = min(_SLICES, len(vector) - length + 1)
        found.append(describe(even_slices(vector, length, count)))
        owners.append(np.full(count, i))
    return np.concatenate(found), np.concatenate(owners)


def _mean(
    values: Float64[np.ndarray, "m k"], owners: Int64[np.ndarray, " m"]
) -> Float64[np.ndarray, "n k"]:
    """The means of the rows of each owner."""
    sums = np.zeros((int(owners.max()) + 1, values.shape[1]))
    np.add.at(sums, owners, values)
    means: np.ndarray = sums / np.bincount(owners)[:, None]
    return means


OWN = ("shallow", "kernel", "pooled", "layers", "boosted", "boosted-layers", "ensemble", "raw")
"""The classifiers of this package that are encoders of the benchmark."""


def encoder(name: str) -> Encoder:
    """Return an encoder of this package, or one from a file.

    Parameters
    ----------
    name : str
        A name of `OWN`, or "FILE.py:FUNCTION": a function without arguments, or a class, that
        gives an encoder. The file is run.

    Returns
    -------
    Encoder

    Raises
    ------
    UsageError
        If there is none of this name.

    Examples
    --------
    >>> encoder("layers").about
    'kernel ridge regression on statistics of every layer of a whole net'
    """
    if name in OWN:
        return OfFeatures(CLASSIFIERS[name])
    file, _, function = name.rpartition(":")
    if not file.endswith(".py"):
        known = ", ".join(OWN)
        raise UsageError(name, "no such encoder", f"known are {known}, or give FILE.py:FUNCTION")
    module = _module(Path(file))
    if not hasattr(module, function):
        raise UsageError(name, f"{file} has no {function}", "name a function or a class in it")
    made: Encoder = getattr(module, function)()
    for member in ("name", "about", "fit"):
        if not hasattr(made, member):
            raise UsageError(name, f"what it gives has no {member}", "see `Encoder` in the docs")
    return made


def _module(file: Path) -> ModuleType:
    """Run a file of the user as a module; files beside it can be imported."""
    if not file.is_file():
        raise UsageError(str(file), "no such file", "give the path of a Python file")
    sys.path.insert(0, str(file.parent.absolute()))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None, "the name ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    return module
