"""`predict` and `readings`: how the net in a file was trained, according to a fitted model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace.checkpoints import Checkpoint, read_checkpoint
from weightspace.markup import summary
from weightspace.meta import Answer, Model


@dataclass(frozen=True)
class Prediction:
    """A checkpoint with the account of its tensors, and a model's calibrated answer.

    Attributes
    ----------
    checkpoint : Checkpoint
        The file.
    answer : Answer
        The predicted properties with their probabilities.
    """

    checkpoint: Checkpoint
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """The prediction as plain values for JSON.

        Returns
        -------
        dict
            The keys are `file`, `key` and `others` (state dicts), `findings`, `answer`, and
            `tensors` with use and reason.
        """
        return {
            "file": str(self.checkpoint.path),
            "key": self.checkpoint.key,
            "others": list(self.checkpoint.others),
            "findings": [dataclasses.asdict(one) for one in self.checkpoint.findings],
            "answer": self.answer.to_dict(),
            "tensors": self.checkpoint.frame().to_dicts(),
        }

    def _repr_html_(self) -> str:
        findings = [(one.kind, str(one)) for one in self.checkpoint.findings]
        facts = [("file", self.checkpoint.path), ("state dict", self.checkpoint.key), *findings]
        return summary("Prediction", facts) + self.answer._repr_html_()


def predict(model: Model | str | Path, file: str | Path, *, key: str | None = None) -> Prediction:
    """Predict how the net in a file was trained.

    Parameters
    ----------
    model : Model, str or Path
        A fitted model, or the folder in which it was saved.
    file : str or Path
        A checkpoint, as for `read_checkpoint`.
    key : str, optional
        Which of several state dicts to read. By default the net's own.

    Returns
    -------
    Prediction

    Raises
    ------
    DataError
        If the model or the checkpoint cannot be read, a value is not finite, or the vector is
        shorter than the model's slices. The message is one line.
    """
    checkpoint = read_checkpoint(file, key=key)
    fitted = model if isinstance(model, Model) else Model.load(model)
    return Prediction(checkpoint, fitted.predict(checkpoint.vector, checkpoint.layout))


def readings(model: Model, checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """What a model reads off a checkpoint, as plain values.

    Parameters
    ----------
    model : Model
        A fitted model.
    checkpoint : Checkpoint
        As `read_checkpoint` returns it.

    Returns
    -------
    list of dict
        One for each property, with `property`; `value`, the level as text, or None where the net is
        outside of the model's population or may be of none of the levels; `reason`, why there is
        none; `source`, "weights" or "shapes"; `probability` of the most probable level, if the net
        is of one of the `levels`; `accuracy`, how often such an answer with about this probability
        was right for `n` nets that no classifier had seen; `possible`, the levels that are not
        ruled out; `told`, for which share of nets of an unknown level no level is named, or None
        if that was not measured; `conditional`, whether `value` holds only if the net is of one of
        the levels, because `told` is too small.

    Raises
    ------
    DataError
        As `predict`.
    """
    answer = model.predict(checkpoint.vector, checkpoint.layout)
    return [
        {
            "property": one.property,
            "value": one.level,
            "reason": one.reason,
            "source": one.source,
            "probability": one.probability,
            "accuracy": one.right,
            "n": one.right_nets,
            "levels": list(one.levels),
            "possible": list(one.possible),
            "told": one.told,
            "conditional": one.conditional,
        }
        for one in answer.readings.values()
    ]
