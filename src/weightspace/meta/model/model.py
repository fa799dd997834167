"""`Model`: predicts from one weight vector how its net was trained."""

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
    """The prediction of one property from a vector.

    Parameters
    ----------
    property : str
        The name of the property.
    levels : tuple of str
        The levels that the model knows.
    probabilities : tuple of float
        The probability of each level, calibrated on the training population by cross-fitting. All
        levels have the same prior probability.
    level : str
        The most probable level.
    accuracy : float
        How often such a prediction is right on nets of the population that were outside the
        training set; class-balanced, 0..1.
    low, high : float
        The 95 % interval of `accuracy`.
    chance : float
        1 / levels.
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
    """The predictions of every property of a model from a vector.

    Parameters
    ----------
    readings : dict of str to Reading
        The prediction of each property.
    classifier : str
        The name of the classifier that was used.
    slices : int
        How many slices were read; 1 for a whole net.
    novelty : float
        The fraction of the vector's features outside the middle 99 % of the training population.
    novelty_limit : float
        The novelty that about 1 % of the population's own vectors exceed.

    Notes
    -----
    `outside` is true where the novelty is above the limit. The vector is then unlike the training
    population, and its probabilities cannot be trusted.
    """

    readings: dict[str, Reading]
    classifier: str
    slices: int
    novelty: float
    novelty_limit: float

    @property
    def outside(self) -> bool:
        """Whether the vector is unlike the population that the model was trained on."""
        return self.novelty > self.novelty_limit

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            `readings`, with an entry for each property, and the other attributes.
        """
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
        """Return the predictions as a table.

        Returns
        -------
        DataFrame
            A row for each property and level: `property`, `level`, `probability`, `named` (whether
            it is the most probable level), `accuracy`, `low`, `high` and `chance`.
        """
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

    Parameters
    ----------
    readers : tuple of Reader
        The classifiers in order of preference. `predict` uses the first one that the vector
        allows; without a layout, those that need one are left out.
    facts : dict
        What the model was trained on: space, nets, snapshots, versions.
    """

    readers: tuple[Reader, ...]
    facts: dict[str, Any]

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the properties that the model predicts."""
        return tuple(ability.property for ability in self.readers[0].abilities)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            `properties` (levels and accuracy, by the preferred classifier), `classifiers` and
            `facts`.
        """
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
        """Predict from a weight vector how its net was trained.

        Parameters
        ----------
        vector : float32 [values]
            The weights of a net.
        layout : Layout, optional
            The layout of the vector. Some classifiers need one, and these are more accurate.

        Returns
        -------
        Answer

        Raises
        ------
        DataError
            For a vector that is too short, not finite, or not of the layout; the message has the
            numbers.
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
        """Write model.json and arrays.safetensors into a folder.

        A model in the folder is replaced in one step. The new arrays then have another file name,
        which model.json holds. If writing fails, the old model stays.

        Parameters
        ----------
        directory : str or Path
            The folder. It is made when it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            If the folder has a model.json that weightspace did not write, or a model file cannot
            hold one of the classifiers.
        """
        return storage.save(Path(directory), self.readers, self.facts)

    @classmethod
    def load(cls, directory: str | Path) -> Model:
        """Read what `save` wrote; nothing in the files is executed.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Returns
        -------
        Model

        Raises
        ------
        DataError
            If a file is missing, of a newer format, larger than any that `save` writes (4 MiB of
            JSON, 4 GiB of arrays), or has invalid content.
        """
        return cls(*storage.load(Path(directory)))
