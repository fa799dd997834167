"""`Answer`: what a model reads off one vector, property by property, or why it reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from weightspace.markup import summary

if TYPE_CHECKING:
    from weightspace.meta.model.reader import Ability

ENOUGH = 0.9
"""The share of nets of unknown levels that must be told, for a level to be named without an if."""
NONE = "none of these, or not clear"
"""What is said where no level is named."""
BLIND = "not predicted better than by chance for other nets of the population"
"""What is said of a property that the model cannot read."""


@dataclass(frozen=True)
class Reading:
    """What a model reads of one property from a vector.

    Parameters
    ----------
    property : str
        The name of the property.
    levels : tuple of str
        The levels that the model knows.
    level : str or None
        The level that is read; None where the vector is outside of the population, or where it may
        be of none of the levels.
    probability : float or None
        The probability of the most probable level, calibrated on the training population by
        cross-fitting, if the net is of one of the levels. None outside of the population.
    probabilities : tuple of float
        The probability of each level; empty outside of the population. All levels have the same
        prior probability.
    source : {"weights", "shapes"}
        Whether a classifier read it from the weights, or the shapes of the tensors show it.
    reason : str
        Why there is no level; "" where there is one.
    right : float or None
        How often such an answer, with about this probability, was right for nets of the population
        that no classifier had seen. 1 for what shapes show; None where there is no level.
    right_nets : int
        The number of these nets.
    possible : tuple of str
        The levels that are not ruled out. For a share `coverage` of nets that no classifier had
        seen, their own level was among these.
    coverage : float or None
        See `possible`; None outside of the population, and for what shapes show.
    told : float or None
        For which share of nets of a level that the model does not know no level is named, measured
        by leaving out each level in turn; None if that was not measured.
    lost : float or None
        The accuracy that nets of known levels lose by that.
    conditional : bool
        Whether the level holds only if the net is of one of the levels: less than 90 % of nets of
        unknown levels were told, or it was not measured. Never for a switch, which is true or
        false, and for what shapes show.
    accuracy : float
        How often a classifier's prediction is right on nets of the population that were outside the
        training set; class-balanced, 0..1.
    low, high : float
        The 95 % interval of `accuracy`.
    chance : float
        1 / levels.
    """

    property: str
    levels: tuple[str, ...]
    level: str | None
    probability: float | None
    probabilities: tuple[float, ...]
    source: str
    reason: str
    right: float | None
    right_nets: int
    possible: tuple[str, ...]
    coverage: float | None
    told: float | None
    lost: float | None
    conditional: bool
    accuracy: float
    low: float
    high: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            The attributes; `level` is called `value`.
        """
        plain = {"property": self.property, "value": self.level} | vars(self)
        del plain["level"]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def reading(ability: Ability, chances: np.ndarray, row: np.ndarray) -> Reading:
    """The reading of a property whose levels have these calibrated probabilities [levels].

    `row` [F] has the mean features of the vector.
    """
    caution, best = ability.caution, int(chances.argmax())
    switch = set(ability.levels) == {"false", "true"}
    most = float(chances[best])
    possible = tuple(
        level
        for level, chance, bound in zip(ability.levels, chances, caution.bounds, strict=True)
        if chance >= bound
    )
    blind = ability.low <= ability.chance
    far = float(caution.likeness.strangeness(row[None], np.array([best]))[0])
    named = most >= caution.least and far <= caution.most and bool(possible) and not blind
    step = caution.step(most) if named else None
    return _of(
        ability,
        level=ability.levels[best] if named else None,
        probability=most,
        probabilities=tuple(map(float, chances)),
        reason="" if named else (BLIND if blind else f"{NONE}: {', '.join(ability.levels)}"),
        right=step.right if step else None,
        right_nets=step.nets if step else 0,
        possible=possible,
        coverage=caution.coverage,
        told=caution.told,
        lost=caution.lost,
        conditional=not switch and (caution.told or 0.0) < ENOUGH,
    )


def from_shapes(ability: Ability, level: str | None) -> Reading:
    """The reading of a property that the shapes of the tensors show."""
    if level is None:
        return nothing(ability, "the shapes of its tensors are those of none of the levels")
    return _of(
        ability,
        level=level,
        probability=1.0,
        probabilities=tuple(float(one == level) for one in ability.levels),
        source="shapes",
        right=1.0,
        possible=(level,),
    )


def nothing(ability: Ability, reason: str) -> Reading:
    """No reading of a property, and why."""
    return _of(ability, reason=reason)


def _of(ability: Ability, **found: Any) -> Reading:
    blank: dict[str, Any] = {
        "level": None,
        "probability": None,
        "probabilities": (),
        "source": "weights",
        "reason": "",
        "right": None,
        "right_nets": 0,
        "possible": (),
        "coverage": None,
        "told": None,
        "lost": None,
        "conditional": False,
    }
    known = {
        name: getattr(ability, name)
        for name in ("property", "levels", "accuracy", "low", "high", "chance")
    }
    return Reading(**known | blank | found)


@dataclass(frozen=True)
class Answer:
    """What a model reads off a vector.

    Parameters
    ----------
    readings : dict of str to Reading
        The reading of each property.
    classifier : str
        The name of the classifier that was used.
    slices : int
        How many slices were read; 1 for a whole net, 0 if its architecture is outside.
    novelty : float or None
        The fraction of the vector's features outside the middle 99 % of the training population;
        None if its architecture is outside.
    novelty_limit : float
        The novelty that about 1 % of the population's own vectors exceed.
    reasons : tuple of str
        Why the vector is outside of the population, the shapes of its tensors first; empty if it
        is inside.

    Notes
    -----
    Outside of the population no reading has a level or a probability.
    """

    readings: dict[str, Reading]
    classifier: str
    slices: int
    novelty: float | None
    novelty_limit: float
    reasons: tuple[str, ...] = ()

    @property
    def outside(self) -> bool:
        """Whether the vector is unlike the population that the model was trained on."""
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            `readings`, with an entry for each property, and the other attributes.
        """
        return {
            "outside": self.outside,
            "reasons": list(self.reasons),
            "readings": [one.to_dict() for one in self.readings.values()],
            "classifier": self.classifier,
            "slices": self.slices,
            "novelty": self.novelty,
            "novelty_limit": self.novelty_limit,
        }

    def _repr_html_(self) -> str:
        facts = [("classifier", self.classifier)]
        facts += [("outside of the population", reason) for reason in self.reasons]
        rows = [
            (r.property, r.level, r.probability, r.right, r.conditional, r.reason)
            for r in self.readings.values()
        ]
        headings = ("property", "level", "probability", "right", "if of a known level", "reason")
        return summary("What the model reads", facts, headings, rows)

    def frame(self) -> pl.DataFrame:
        """Return the predictions as a table.

        Returns
        -------
        DataFrame
            A row for each property and level: `property`, `level`, `probability`, `named` (whether
            it is the level that is read), `accuracy`, `low`, `high` and `chance`. Without rows
            outside of the population.
        """
        rows = [
            {
                "property": r.property,
                "level": level,
                "probability": probability,
                "named": level == r.level,
                "accuracy": r.accuracy,
                "low": r.low,
                "high": r.high,
                "chance": r.chance,
            }
            for r in self.readings.values()
            for level, probability in zip(r.levels, r.probabilities, strict=False)
        ]
        schema: dict[str, Any] = dict.fromkeys(
            ("probability", "accuracy", "low", "high", "chance"), pl.Float64
        )
        types = {"property": pl.String, "level": pl.String, "named": pl.Boolean} | schema
        order = ("property", "level", "probability", "named", "accuracy", "low", "high", "chance")
        return pl.DataFrame(rows, schema={name: types[name] for name in order})
