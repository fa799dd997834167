"""`predict`: what a fitted model says of a checkpoint from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace.checkpoints.checkpoint import Checkpoint, read_checkpoint
from weightspace.meta import Answer, Model


@dataclass(frozen=True)
class Prediction:
    """A checkpoint, the account of its tensors, and the model's calibrated answer."""

    checkpoint: Checkpoint
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `file`, `answer`, and `tensors` with use and reason."""
        return {
            "file": str(self.checkpoint.path),
            "answer": self.answer.to_dict(),
            "tensors": self.checkpoint.frame().to_dicts(),
        }


def predict(model: Model | str | Path, file: str | Path) -> Prediction:
    """How the net in `file` was trained, by a fitted `model` or the folder it was saved in.

    Raises DataError, in one line, for a model or a checkpoint that cannot be read, holds values
    that are not finite, or is shorter than the model's slices.
    """
    checkpoint = read_checkpoint(file)
    fitted = model if isinstance(model, Model) else Model.load(model)
    return Prediction(checkpoint, fitted.predict(checkpoint.vector, checkpoint.layout))
