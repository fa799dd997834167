"""When a net is looked at: the steps of its snapshots, and where its training ends."""

from __future__ import annotations

from dataclasses import dataclass

from weightspace.errors import UsageError
from weightspace.space import Recipe


def snapshot_steps(total: int, snapshots: int) -> list[int]:
    """The steps of `snapshots` moments at equal fractions of a run, first and last included."""
    if snapshots < 2:
        raise UsageError(f"snapshots: {snapshots} is below 2, the first and the last")
    if total < snapshots - 1:
        raise UsageError(
            f"snapshots: {snapshots} do not fit in a run of {total} steps; "
            "train longer or keep fewer"
        )
    return [round(total * k / (snapshots - 1)) for k in range(snapshots)]


@dataclass
class Course:
    """One net's way through training: what it does at which step, and how far it has come.

    `marks` are the steps of its snapshots; it ends at the last. `accuracy` is its test accuracy at
    the latest snapshot.
    """

    marks: list[int]
    accuracy: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int, snapshots: int) -> Course:
        """The course of a recipe, at its beginning."""
        return cls(snapshot_steps(recipe.epochs * steps_per_epoch, snapshots))

    @property
    def last(self) -> int:
        """The step it ends at."""
        return self.marks[-1]

    def due(self, step: int) -> bool:
        """Whether the net is looked at after `step` steps."""
        return step in self.marks

    def number(self, step: int) -> int:
        """The snapshot that is taken after `step` steps, from 1."""
        return self.marks.index(step) + 1
