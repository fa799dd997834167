"""What a fitted model reads off the weights while they are trained, one line for each snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weightspace.errors import DataError, WeightspaceError
from weightspace.networks import Layout

if TYPE_CHECKING:
    from weightspace.meta import Answer, Model


class Live:
    """Says what a model reads off vectors.

    Parameters
    ----------
    model : Model, str or Path
        A fitted model, or its folder.
    say : callable
        Is called with each line.
    """

    def __init__(self, model: Model | str | Path, say: Callable[[str], None]) -> None:
        from weightspace.meta import Model

        self._model = model if isinstance(model, Model) else Model.load(model)
        self._say = say

    def tell(
        self, who: str, vector: np.ndarray, layout: Layout, known: Mapping[str, Any] | None
    ) -> None:
        """Say what the model reads off a vector, or why it cannot; `known` is what is true."""
        try:
            if not np.isfinite(vector).all():
                raise DataError("", "has values that are not finite")
            text = line(self._model.predict(vector, layout), known)
        except WeightspaceError as error:
            text = str(error)
        self._say(f"{who}: {text}")


def line(answer: Answer, known: Mapping[str, Any] | None = None) -> str:
    """The readings in one line, each beside what is true; None leaves the truth out."""
    if answer.outside:
        return f"outside of the model's population: {'; '.join(answer.reasons)}"
    said = []
    for reading in answer.readings.values():
        text = f"{reading.property} {reading.level or 'none of these?'}"
        if reading.level and reading.probability is not None:
            text += f"{'?' if reading.conditional else ''} {100 * reading.probability:.0f} %"
        if known is not None:
            text += f" ({_text(known.get(reading.property))})"
        said.append(text)
    return ", ".join(said)


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
