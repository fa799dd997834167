"""`Model`: reads off one vector how its net was trained, as far as a population allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from weightspace.meta.model import storage
from weightspace.meta.model.reader import Reader

if TYPE_CHECKING:
    from weightspace.networks import Layout


@dataclass(frozen=True)
class Reading:
    """What a vector says about one property.

    `probabilities` of `levels` are calibrated on nets of the population that taught the model, all
    levels equally likely beforehand; `level` is the most probable. `accuracy`, with its 95 %
    interval `low`..`high`, is how often such a reading is right there (class-balanced), against
    `chance`.
    """

    property: str
    levels: tuple[str, ...]
    probabilities: tuple[float, ...]
    level: str
    accuracy: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Answer:
    """What a vector says about every property of a model.

    `novelty` is the fraction of features beyond the middle 99 % of the population, `novelty_limit`
    what about 1 % of its own vectors exceed. `outside` (novelty above the limit) means that the
    vector is unlike the population: its probabilities are then not to be trusted.
    """

    readings: dict[str, Reading]
    classifier: str
    slices: int
    novelty: float
    novelty_limit: float

    @property
    def outside(self) -> bool:
        """Whether the vector is unlike the population that taught the model."""
        return self.novelty > self.novelty_limit

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `readings` (one a property) and the numbers on novelty."""
        return {
            "readings": [
                vars(r) | {"levels": list(r.levels), "probabilities": list(r.probabilities)}
                for r in self.readings.values()
            ],
            "classifier": self.classifier,
            "slices": self.slices,
            "novelty": self.novelty,
            "novelty_limit": self.novelty_limit,
            "outside": self.outside,
        }

    def frame(self) -> pl.DataFrame:
        """One row a property x level: property, level, probability, named (the one answered)."""
        return pl.DataFrame(
            [
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
                for level, probability in zip(r.levels, r.probabilities, strict=True)
            ]
        )


@dataclass(frozen=True)
class Model:
    """Calibrated meta-classifiers of every property of a population.

    `readers` in order of preference: the first that the vector at hand allows is used (those
    that need a layout are passed over where none is given). `facts` says what taught it: space,
    nets, snapshots, versions.
    """

    readers: tuple[Reader, ...]
    facts: dict[str, Any]

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties it reads."""
        return tuple(ability.property for ability in self.readers[0].abilities)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `properties` (by the preferred classifier), `facts`."""
        return {
            "properties": [
                {
                    "property": a.property,
                    "levels": list(a.levels),
                    "accuracy": a.accuracy,
                    "low": a.low,
                    "high": a.high,
                    "chance": a.chance,
                }
                for a in self.readers[0].abilities
            ],
            "classifiers": [r.view.classifier for r in self.readers],
            "facts": self.facts,
        }

    def predict(self, vector: np.ndarray, layout: Layout | None = None) -> Answer:
        """Read off a vector how its net was trained.

        `vector` float32 [values]; `layout` of it, where known: some classifiers need one and are
        better for it. Raises DataError, with the numbers, for a vector that is too short, not
        finite, or not of the layout.
        """
        usable = [r for r in self.readers if layout is not None or not r.view.needs_layout]
        reader = (usable or self.readers)[0]
        rows = reader.view.rows(vector, layout)
        readings = {
            ability.property: Reading(
                ability.property,
                ability.levels,
                tuple(float(p) for p in chances),
                ability.levels[int(chances.argmax())],
                ability.accuracy,
                ability.low,
                ability.high,
                ability.chance,
            )
            for ability, chances in zip(reader.abilities, reader.probabilities(rows), strict=True)
        }
        return Answer(
            readings,
            reader.view.classifier,
            len(rows),
            reader.range.outside(rows),
            reader.range.limit,
        )

    def save(self, directory: str | Path) -> Path:
        """Write model.json and arrays.safetensors into a folder, made where it is missing.

        A model that is there is replaced in one step (its arrays then have another name, which
        model.json says), and stays where writing fails. UsageError where the model.json there is
        none of weightspace.
        """
        return storage.save(Path(directory), self.readers, self.facts)

    @classmethod
    def load(cls, directory: str | Path) -> Model:
        """Read what `save` wrote; nothing in the files is executed.

        DataError where a file is missing, of a newer format, larger than any that `save` writes
        (4 MiB of JSON, 4 GiB of arrays), or holds what no model holds.
        """
        return cls(*storage.load(Path(directory)))
