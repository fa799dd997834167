"""When a net is looked at, which of its moments are kept as snapshots, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from weightspace.errors import UsageError
from weightspace.space import Recipe
from weightspace.training.convergence import LEAST_EPOCHS, Convergence

TYPICAL_EPOCHS = 75
"""Epochs after which nets converge, roughly: the median was 73 for 24 nets of the NWS grid on 1,500
images. For estimates of time and for progress alone."""


@dataclass(frozen=True)
class Moment:
    """One net after `step` steps: its vector float32 [P], and sums over all its batches so far.

    `seen` is (loss, accuracy, batches), accuracies summed as fractions.
    """

    step: int
    vector: np.ndarray
    seen: tuple[float, float, float]


@dataclass
class Marks:
    """Moments whose steps are known in advance: each is a snapshot at once."""

    steps: list[int]

    def wants(self, step: int) -> bool:
        """Whether the moment after `step` steps is to be kept."""
        return step in self.steps

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a moment; the snapshots that are certain now."""
        return [moment]

    def close(self) -> list[Moment]:
        """The snapshots that remain when nothing follows."""
        return []


@dataclass
class Thinned:
    """Moments of a run whose length shows only at its end; `count` of them become snapshots.

    One is held at the start of every `interval`-th epoch, and the last. When 2 x count are held and
    another comes, every second one is let go and the interval doubles. At the end those nearest
    to equal fractions are chosen: none twice, as held ones lie closer than fractions.
    """

    count: int
    steps_per_epoch: int
    interval: int = 1
    held: list[Moment] = field(default_factory=list)

    def wants(self, step: int) -> bool:
        """Whether the moment after `step` steps is to be kept."""
        return step % (self.steps_per_epoch * self.interval) == 0

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a moment; no snapshot is certain before the end."""
        if len(self.held) == 2 * self.count and self.wants(moment.step):
            self.held, self.interval = self.held[::2], 2 * self.interval
        self.held.append(moment)
        return []

    def close(self) -> list[Moment]:
        """The snapshots, of a run that ends with the moment kept last."""
        held, self.held = self.held, []
        if len(held) <= self.count:
            return held
        steps = np.array([moment.step for moment in held])
        targets = steps[-1] * np.arange(self.count) / (self.count - 1)
        return [held[np.abs(steps - target).argmin()] for target in targets]


@dataclass
class Course:
    """One net's way through training: what is done with it at which step, and how far it has come.

    It ends after `last` steps at the latest, before where `rule` finds that it has converged.
    Of its latest snapshot: `given` is the number, `seen` the sums, `accuracy` that on test images.
    """

    steps_per_epoch: int
    last: int
    keeper: Marks | Thinned
    rule: Convergence | None
    converged: bool = False
    given: int = 0
    seen: tuple[float, float, float] = (0.0, 0.0, 0.0)
    accuracy: float = 0.0

    @property
    def expected(self) -> int:
        """Steps after which it ends, roughly where a rule ends it."""
        typical = self.last if self.rule is None else TYPICAL_EPOCHS * self.steps_per_epoch
        return min(self.last, typical)

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int, snapshots: int | Sequence[float]) -> Course:
        """The course of a recipe, at its beginning.

        `snapshots`: how many, at equal fractions of the run; or the epochs after which each is
        taken. A net that converges before the last of these epochs has its final state in place
        of the next. Raises UsageError where the run is too short.
        """
        last = recipe.epochs * steps_per_epoch
        if not isinstance(snapshots, int):
            marks = _epoch_steps(recipe, steps_per_epoch, snapshots)
            last = marks[-1]
        stops = recipe.stopping == "convergence" and last > LEAST_EPOCHS * steps_per_epoch
        keeper: Marks | Thinned
        if not isinstance(snapshots, int):
            keeper = Marks(marks)
        elif not stops:
            keeper = Marks(snapshot_steps(last, snapshots))
        elif 2 <= snapshots <= LEAST_EPOCHS + 1:
            keeper = Thinned(snapshots, steps_per_epoch)
        else:
            raise UsageError(
                f"snapshots: {snapshots} is not from 2 to {LEAST_EPOCHS + 1}, the epochs' starts "
                f"of the shortest run that converges; keep fewer, or name their epochs"
            )
        return cls(steps_per_epoch, last, keeper, Convergence() if stops else None)

    def due(self, step: int) -> bool:
        """Whether anything is done with the net after `step` steps."""
        return self.watched(step) or self.keeper.wants(step) or step == self.last

    def watched(self, step: int) -> bool:
        """Whether the rule waits for the validation accuracy after `step` steps."""
        return self.rule is not None and step % self.steps_per_epoch == 0

    def hear(self, accuracy: float) -> None:
        """Take the validation accuracy, a whole number of images by the number of images."""
        if self.rule is not None:
            self.converged = self.rule.hear(accuracy)

    def ended(self, step: int) -> bool:
        """Whether the net's training is over after `step` steps."""
        return self.converged or step == self.last

    def kept(self, step: int) -> bool:
        """Whether the moment after `step` steps is kept."""
        return self.keeper.wants(step) or self.ended(step)

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a moment; the snapshots that are certain now, in order."""
        ready = self.keeper.take(moment)
        return ready + self.keeper.close() if self.ended(moment.step) else ready

    def close(self) -> list[Moment]:
        """The snapshots that remain of a net that diverged: of what was sound of its run."""
        return self.keeper.close()

    def give(self, moment: Moment, accuracy: float) -> tuple[float, float]:
        """Count the next snapshot; mean loss and accuracy of the batches since the one before."""
        loss, right, batches = (
            now - then for now, then in zip(moment.seen, self.seen, strict=True)
        )
        self.given, self.seen, self.accuracy = self.given + 1, moment.seen, accuracy
        return (loss / batches, right / batches) if batches else (math.nan, math.nan)


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


def expected_epochs(recipe: Recipe) -> int:
    """How many epochs a net will train for: known, or a guess where it stops by itself."""
    return min(recipe.epochs, TYPICAL_EPOCHS) if recipe.stopping != "epochs" else recipe.epochs


def _epoch_steps(recipe: Recipe, steps_per_epoch: int, epochs: Sequence[float]) -> list[int]:
    """The steps after which these epochs are over."""
    if not epochs:
        raise UsageError("snapshot_epochs: none is named; name at least one, like 0,1,2,5,10")
    if min(epochs) < 0 or max(epochs) <= 0:
        raise UsageError("snapshot_epochs: none may be below 0, and one must be above")
    if max(epochs) > recipe.epochs:
        raise UsageError(
            f"snapshot_epochs: {max(epochs):g} lies beyond the {recipe.epochs} epochs of the run; "
            "train longer or leave it out"
        )
    steps = [round(epoch * steps_per_epoch) for epoch in epochs]
    for i, (before, after) in enumerate(pairwise(steps)):
        if before >= after:
            raise UsageError(
                f"snapshot_epochs: {epochs[i]:g} and {epochs[i + 1]:g} are not one after the other "
                f"where an epoch has {steps_per_epoch} steps; put them in order, further apart"
            )
    return steps
