"""`Model`: predicts from one weight vector how its net was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weightspace.markup import summary
from weightspace.meta.model import storage
from weightspace.meta.model.answer import Answer, from_shapes, nothing, reading
from weightspace.meta.model.range import Range
from weightspace.meta.model.reader import Reader
from weightspace.meta.model.shapes import shapes
from weightspace.meta.model.structures import Rule, Structures

if TYPE_CHECKING:
    from weightspace.networks import Layout


_MORE_ZEROS = 0.01
"""The share of zeros that a vector may have beyond those of the population."""


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
    structures : Structures
        Which architectures the population has. Other nets are outside.
    rules : dict of str to Rule
        The properties that are read from shapes, and how.
    """

    readers: tuple[Reader, ...]
    facts: dict[str, Any]
    structures: Structures = field(default_factory=lambda: Structures({}))
    rules: Mapping[str, Rule] = field(default_factory=dict)

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

    def _repr_html_(self) -> str:
        facts = [(name, str(value)) for name, value in self.facts.items()]
        rows = [
            (a.property, ", ".join(a.levels), a.accuracy, a.low, a.high, a.chance)
            for a in self.readers[0].abilities
        ]
        headings = ("property", "levels", "accuracy", "low", "high", "chance")
        return summary("Model", facts, headings, rows, "Accuracies are those of other nets.")

    def predict(self, vector: np.ndarray, layout: Layout | None = None) -> Answer:
        """Predict from a weight vector how its net was trained.

        Parameters
        ----------
        vector : float32 [values]
            The weights of a net.
        layout : Layout, optional
            The layout of the vector. Some classifiers need one, and these are more accurate. With
            it, nets of other architectures are recognised, and architecture is read from shapes.

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
        vector = reader.view.checked(vector, layout)
        own = None if layout is None else shapes(layout)
        reasons = () if own is None else self.structures.reasons(own)
        name = reader.view.classifier
        if reasons:  # its features need not be like those of any net that the model knows
            rows, far = np.empty((0, 0)), None
        else:
            rows = reader.view.rows(vector, layout)
            far = reader.range.outside(rows)
            reasons = _unlike(far, reader.range) or self._zeroed(vector)
        limit = reader.range.limit
        if reasons:
            readings = {a.property: nothing(a, reasons[0]) for a in reader.abilities}
            return Answer(readings, name, len(rows), far, limit, reasons)
        row = rows.mean(axis=0)
        readings = {
            ability.property: reading(ability, chances, row)
            if own is None or ability.property not in self.rules
            else from_shapes(ability, self.rules[ability.property].level(own))
            for ability, chances in zip(reader.abilities, reader.probabilities(rows), strict=True)
        }
        return Answer(readings, name, len(rows), far, limit)

    def _zeroed(self, vector: np.ndarray) -> tuple[str, ...]:
        """Why a vector with so many zeros is outside, if it is: pruned nets are read wrongly."""
        most = self.facts.get("most_zeros", 1.0)
        share = float((vector == 0).mean())
        if share <= most + _MORE_ZEROS:
            return ()
        return (
            f"{100 * share:.1f} % of its values are exactly 0, as after pruning or rounding to "
            f"few bits; at most {100 * most:.1f} % are in a net of the population",
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
        parts = storage.Parts(self.readers, self.facts, self.structures, dict(self.rules))
        return storage.save(Path(directory), parts)

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
            If a file is missing, of another format version, larger than any that `save` writes (4
            MiB of JSON, 4 GiB of arrays), or has invalid content.
        """
        return cls(*storage.load(Path(directory)))


def _unlike(far: float, known: Range) -> tuple[str, ...]:
    """Why a vector with this share of features out of range is outside, if it is."""
    if far <= known.limit:
        return ()
    return (
        f"{100 * far:.1f} % of its features are beyond the middle 99 % of the population's; "
        f"more than {100 * known.limit:.1f} % are in {100 * known.alarms:.2g} % of its own nets",
    )
