"""What a model reads off the nets of a zoo, beside what is true of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weightspace.errors import DataError, UsageError
from weightspace.meta import Answer, Model, Reading
from weightspace.meta.design.labels import labels_of
from weightspace.networks import Layout
from weightspace.printable import printable
from weightspace.report.claims.words import label
from weightspace.report.exploring.columns import Column, levels_column
from weightspace.zoo import Zoo

RIGHT, WRONG, SILENT, UNKNOWN = "right", "wrong", "no level named", "truth not known"
_LONGEST = 300


def read(model: Model, vector: np.ndarray, layout: Layout) -> dict[str, Any]:
    """The readings of one vector as plain values, or the reason why there are none."""
    try:
        answer = model.predict(vector, layout)
    except DataError as error:
        return {"reasons": [printable(str(error), _LONGEST)], "readings": []}
    return _plain(answer)


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "reasons": [printable(reason, _LONGEST) for reason in answer.reasons],
        "readings": [_reading(one) for one in answer.readings.values()],
    }


def _reading(one: Reading) -> dict[str, Any]:
    return {
        "property": one.property,
        "level": one.level,
        "probability": None if one.probability is None else round(one.probability, 4),
        "source": one.source,
        "conditional": one.conditional,
        "reason": printable(one.reason, _LONGEST),
        "possible": list(one.possible),
        "right": None if one.right is None else round(one.right, 3),
        "right_nets": one.right_nets,
    }


def truths(zoo: Zoo, model: Model) -> dict[str, dict[str, str]]:
    """The true level of nets by property and net, where the zoo and the model name equal levels.

    Of a property whose levels differ, such as thirds of another range, nothing is said.
    """
    found: dict[str, dict[str, str]] = {}
    for ability in model.readers[0].abilities:
        if ability.property not in zoo.space.properties:
            continue
        try:
            labels = labels_of(zoo, (ability.property,))
        except UsageError:  # no net has a level on record
            continue
        levels = labels.levels[ability.property]
        if set(levels) <= set(ability.levels):
            codes = labels.codes[ability.property].tolist()
            found[ability.property] = {
                net: levels[code] for net, code in zip(labels.nets, codes, strict=True)
            }
    return found


def judged(level: str | None, truth: str | None) -> str:
    """Whether a reading is right, as a word.

    >>> judged("adam", "adam"), judged(None, "adam"), judged("adam", None)
    ('right', 'no level named', 'truth not known')
    """
    if level is None:
        return SILENT
    if truth is None:
        return UNKNOWN
    return RIGHT if level == truth else WRONG


def reading_columns(
    nets: Sequence[str],
    found: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, str]],
    model: Model,
) -> list[Column]:
    """Two columns for each property: the level that is read, and whether it is right."""
    columns = []
    for name in model.properties:
        own = [
            next((one["level"] for one in answer["readings"] if one["property"] == name), None)
            for answer in found
        ]
        truth = known.get(name, {})
        words = [judged(level, truth.get(net)) for net, level in zip(nets, own, strict=True)]
        shown = printable(label(name), 60)
        columns.append(levels_column(f"{shown}, as read", "read", own))
        columns.append(levels_column(f"{shown}: reading", "read", list(words)))
    return columns
