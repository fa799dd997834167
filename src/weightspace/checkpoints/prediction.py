"""`predict`: how the net in a file was trained, according to a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace.checkpoints.checkpoint import Checkpoint, read_checkpoint
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
            The keys are `file`, `answer`, and `tensors` with use and reason.
        """
        return {
            "file": str(self.checkpoint.path),
            "answer": self.answer.to_dict(),
            "tensors": self.checkpoint.frame().to_dicts(),
        }


def predict(model: Model | str | Path, file: str | Path) -> Prediction:
    """Predict how the net in a file was trained.

    Parameters
    ----------
    model : Model, str or Path
        A fitted model, or the folder in which it was saved.
    file : str or Path
        A checkpoint, as for `read_checkpoint`.

    Returns
    -------
    Prediction

    Raises
    ------
    DataError
        If the model or the checkpoint cannot be read, a value is not finite, or the vector is
        shorter than the model's slices. The message is one line.
    """
    checkpoint = read_checkpoint(file)
    fitted = model if isinstance(model, Model) else Model.load(model)
    return Prediction(checkpoint, fitted.predict(checkpoint.vector, checkpoint.layout))
