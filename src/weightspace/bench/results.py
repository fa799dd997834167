"""`Result`: what an encoder answered, as a small JSON file from which scores are computed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.arrays import Float64, Int64
from weightspace.bench.populations import POPULATIONS
from weightspace.bench.tasks import JUDGES, control_order
from weightspace.errors import DataError, UsageError
from weightspace.meta.statistics.intervals import Interval, bootstrap
from weightspace.meta.statistics.numbers import kendall, r_squared_interval

FORMAT = "weightspace-bench-result"
VERSION = 1
NAME = re.compile(r"[\w.+-][\w.+ -]{0,39}")
"""What an encoder may be called."""
_LARGEST = 2**24  # bytes of a result
_RESAMPLES = 1000


@dataclass(frozen=True)
class Answered:
    """The answers to one target of one task.

    Parameters
    ----------
    task, target : str
        Such as "properties" and "optimizer".
    levels : tuple of str
        The names of the levels; empty for a number.
    nets : tuple of str
        The net of each answer.
    truth, answers : tuple of int or of float
        Positions of levels, or numbers.
    """

    task: str
    target: str
    levels: tuple[str, ...]
    nets: tuple[str, ...]
    truth: tuple[float, ...]
    answers: tuple[float, ...]

    @cached_property
    def score(self) -> Interval:
        """Class-balanced accuracy, or R2, with its 95 % bootstrap interval over nets."""
        truth, answers = np.array(self.truth, float), np.array(self.answers, float)
        if self.levels:
            return bootstrap((truth == answers).astype(float), truth.astype(np.int64))
        # One split, not cross-fitted: nets are independent.
        return r_squared_interval(truth, answers[:, None], np.array(self.nets), dependence=1.0)

    @property
    def chance(self) -> float:
        """The score of a guess: 1 / levels, or 0 for R2."""
        return 1 / len(self.levels) if self.levels else 0.0

    @cached_property
    def tau(self) -> float | None:
        """Kendall's tau-b of a number; None for levels."""
        return None if self.levels else kendall(np.array(self.truth), np.array(self.answers))


@dataclass(frozen=True)
class Result:
    """What an encoder answered in all tasks of a population.

    Parameters
    ----------
    encoder, about : str
        Its name, and what it is.
    population, pin, weights : str
        The population, with the hashes of its recipes and of its weights.
    judged : {"test", "validation"}
        The nets that judged.
    seed : int
        The seed.
    limit : float or None
        The processor seconds that each lesson was allowed, or None.
    lessons : dict
        For each lesson the nets and rows that were taught, and the processor seconds.
    about_run : dict
        The machine and the versions of libraries.
    answered : tuple of Answered
        The answers.
    """

    encoder: str
    about: str
    population: str
    pin: str
    weights: str
    judged: str
    seed: int
    limit: float | None
    lessons: Mapping[str, Mapping[str, float]]
    about_run: Mapping[str, str]
    answered: tuple[Answered, ...]

    @property
    def label(self) -> str:
        """The encoder, with the seconds that it was allowed."""
        return self.encoder if self.limit is None else f"{self.encoder}, {self.limit:g} s"

    @property
    def accuracy(self) -> Interval:
        """The mean accuracy over the properties, which ranks encoders; see `mean`."""
        found = self.mean("properties")
        if found is None:
            raise UsageError(self.encoder, "has no answers for properties", "run it again")
        return found

    def of(self, task: str) -> list[Answered]:
        """Return the answers of a task.

        Parameters
        ----------
        task : str
            Such as "properties", or "without " for all such tasks together.

        Returns
        -------
        list of Answered
        """
        return [one for one in self.answered if one.task.startswith(task)]

    def mean(self, task: str) -> Interval | None:
        """Return the mean accuracy over the properties of a task.

        Parameters
        ----------
        task : str
            As for `of`.

        Returns
        -------
        Interval or None
            The class-balanced accuracies, averaged over properties, with the 95 % bootstrap
            interval over nets. None if the task was not run.
        """
        own = [one for one in self.of(task) if one.levels]
        return _interval(*_means(own)) if own else None

    def less(self, other: Result, task: str = "properties") -> Interval | None:
        """Return by how much the mean accuracy is above that of another encoder.

        Parameters
        ----------
        other : Result
            Of the same population.
        task : str
            As for `of`.

        Returns
        -------
        Interval or None
            The difference, with the 95 % bootstrap interval over nets, paired by net. None if they
            were not judged by the same nets and properties.
        """
        own, others = ([o for o in one.of(task) if o.levels] for one in (self, other))
        if not own or [(o.target, o.nets) for o in own] != [(o.target, o.nets) for o in others]:
            return None
        (value, drawn), (against, theirs) = _means(own), _means(others)
        return _interval(value - against, drawn - theirs)

    @property
    def seconds(self) -> float:
        """The processor seconds of the lesson on the properties."""
        return float(self.lessons["properties"]["seconds"])

    def write(self, path: str | Path) -> None:
        """Write the result as JSON, sealed by its own SHA-256.

        Parameters
        ----------
        path : str or Path
            The file; one that exists is replaced.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        text = json.dumps(_sealed(self._plain), allow_nan=False) + "\n"
        disk.write_file(disk.inner_of(path), text.encode())

    @property
    def _plain(self) -> dict[str, Any]:
        tasks: dict[str, Any] = {}
        for one in self.answered:
            task = tasks.setdefault(one.task, {"nets": list(one.nets), "targets": {}})
            task["targets"][one.target] = {
                "levels": list(one.levels),
                "truth": list(one.truth),
                "answers": list(one.answers),
                "score": [round(x, 4) for x in vars(one.score).values()],
            }
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        del own["answered"]
        return {"format": FORMAT, "version": VERSION, **own, "tasks": tasks}


def read_result(path: str | Path) -> Result:
    """Read a result, and check all that can be checked without the nets.

    Its hash must fit its content. What it says to be true of nets of a population must be what
    their recipes say, and the nets must be those that judge. Scores are computed from the answers,
    never taken from the file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If the file is no result, was changed, or belongs to another version of the population.
    """
    file, again = Path(path), "run `weightspace bench run` again"
    try:
        plain = json.loads(disk.read_text(file, _LARGEST))
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is no JSON ({error})", again) from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise DataError(path, f"is no {FORMAT}", "give a file that `weightspace bench run` wrote")
    if plain.pop("sha256", None) != _hash(plain):
        raise DataError(path, "was changed after it was written: its hash does not fit", again)
    try:
        result = _of_plain(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(path, f"is damaged ({type(error).__name__}: {error})", again) from None
    known = POPULATIONS.get(result.population)
    if known is None or known.pin != result.pin:
        raise DataError(path, "is of a population that this version does not know", again)
    for one in result.answered:
        _require_true(path, result, one)
    return result


def _require_true(path: str | Path, result: Result, one: Answered) -> None:
    """Raise DataError if a truth differs from the recipes, or if a net may not judge."""
    population = POPULATIONS[result.population]
    if len(one.truth) != len(one.nets) or len(one.answers) != len(one.nets):
        raise DataError(path, f"task {one.task}: not one answer for each net", "run it again")
    if not one.levels or one.task == "outside":
        return
    labels = population.labels
    place = {net: i for i, net in enumerate(labels.nets)}
    if not place.keys() >= set(one.nets):
        raise DataError(path, f"task {one.task}: a net is none of {population.name}")
    codes = labels.codes[one.target][[place[net] for net in one.nets]]
    if one.task == "control":
        codes = codes[control_order(len(codes))]
    for net, code, truth in zip(one.nets, codes.tolist(), one.truth, strict=True):
        if code != truth:
            raise DataError(path, f"task {one.task}: {net} is not {truth} of {one.target}")
        if not one.task.startswith("without") and population.split[net] != result.judged:
            raise DataError(path, f"task {one.task}: {net} is no {result.judged} net")


def _of_plain(plain: Mapping[str, Any]) -> Result:
    own = {k: v for k, v in plain.items() if k not in ("format", "version", "tasks")}
    answered = tuple(
        Answered(
            name, target, tuple(found["levels"]), tuple(task["nets"]), tuple(found["truth"]),
            tuple(found["answers"]),
        )
        for name, task in plain["tasks"].items()
        for target, found in task["targets"].items()
    )  # fmt: skip
    result = Result(**own, answered=answered)
    _require_shown(result)
    return result


def _require_shown(result: Result) -> None:
    """Raise ValueError if what the leaderboard shows is not of the form that `run` writes."""
    if not NAME.fullmatch(result.encoder):
        raise ValueError(f"{result.encoder!r} is no name of an encoder")
    if result.judged not in JUDGES:
        raise ValueError(f"{result.judged!r} cannot judge")
    float(result.lessons["properties"]["nets"]), float(result.seconds)
    if result.limit is not None:
        float(result.limit)
    for one in result.answered:
        numbers = np.array([one.truth, one.answers], float)
        if not one.levels and not np.isfinite(numbers).all():
            raise ValueError(f"task {one.task}: an answer is no number")
        if one.levels and not ((numbers >= 0) & (numbers < len(one.levels))).all():
            raise ValueError(f"task {one.task}: an answer is no level of {one.target}")


def _sealed(plain: dict[str, Any]) -> dict[str, Any]:
    return {**plain, "sha256": _hash(plain)}


def _hash(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _balanced(
    truth: Int64[np.ndarray, " n"],
    answers: Int64[np.ndarray, " n"],
    weight: Int64[np.ndarray, "resamples n"],
) -> Float64[np.ndarray, " resamples"]:
    """Class-balanced accuracies of resamples, in which each answer has a weight."""
    hits, found = (truth == answers).astype(float), []
    for level in np.unique(truth):
        own = truth == level
        count = weight[:, own].sum(axis=1)
        found.append(np.where(count > 0, weight[:, own] @ hits[own] / np.maximum(count, 1), np.nan))
    means: np.ndarray = np.nanmean(found, axis=0)
    return means


def _means(own: Sequence[Answered]) -> tuple[float, Float64[np.ndarray, " resamples"]]:
    """The mean accuracy over properties, and its resamples over nets, the same for all encoders."""
    nets, inverse = np.unique(np.concatenate([one.nets for one in own]), return_inverse=True)
    rng = np.random.default_rng(0xB0)
    weight = rng.multinomial(len(nets), np.full(len(nets), 1 / len(nets)), size=_RESAMPLES)
    total, start = np.zeros(_RESAMPLES), 0
    for one in own:
        owner = inverse[start : start + len(one.nets)]
        start += len(one.nets)
        total += _balanced(np.array(one.truth), np.array(one.answers), weight[:, owner])
    return float(np.mean([one.score.value for one in own])), total / len(own)


def _interval(value: float, drawn: Float64[np.ndarray, " resamples"]) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, min(value, float(low)), max(value, float(high)))
