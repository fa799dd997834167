"""When a net is evaluated, which of its states become snapshots, and when its training ends."""

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
"""The epochs after which nets converge, roughly: the median was 73 for 24 nets of the NWS grid on
1,500 images. It is used only for estimates of time and for progress."""


@dataclass(frozen=True)
class Moment:
    """One net after `step` steps: its vector float32 [P], and sums over all its batches so far.

    `seen` is (loss, accuracy, batches); loss and accuracy are sums over the batches.
    """

    step: int
    vector: np.ndarray
    seen: tuple[float, float, float]


@dataclass
class Marks:
    """The states of a run whose snapshot steps are known in advance."""

    steps: list[int]

    def wants(self, step: int) -> bool:
        """Whether to keep the state after `step` steps."""
        return step in self.steps

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a state; returns the snapshots that are now decided."""
        return [moment]

    def close(self) -> list[Moment]:
        """The snapshots that remain at the end."""
        return []


@dataclass
class Thinned:
    """The states of a run whose length is not known before its end; `count` become snapshots.

    A state is kept at the start of every `interval`-th epoch, and the last state. When 2 x count
    are kept and another comes, every second one is dropped and the interval doubles. At the end,
    those nearest to equal fractions of the run are chosen. None is chosen twice, because kept
    states are closer together than the fractions.
    """

    count: int
    steps_per_epoch: int
    interval: int = 1
    held: list[Moment] = field(default_factory=list)

    def wants(self, step: int) -> bool:
        """Whether to keep the state after `step` steps."""
        return step % (self.steps_per_epoch * self.interval) == 0

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a state; no snapshot is decided before the end."""
        if len(self.held) == 2 * self.count and self.wants(moment.step):
            self.held, self.interval = self.held[::2], 2 * self.interval
        self.held.append(moment)
        return []

    def close(self) -> list[Moment]:
        """The snapshots, where the run ends with the state that was kept last."""
        held, self.held = self.held, []
        if len(held) <= self.count:
            return held
        steps = np.array([moment.step for moment in held])
        targets = steps[-1] * np.arange(self.count) / (self.count - 1)
        return [held[np.abs(steps - target).argmin()] for target in targets]


@dataclass
class Course:
    """The schedule of one net: at which steps something is done with it, and when it ends.

    Attributes
    ----------
    steps_per_epoch : int
        Optimizer steps in an epoch.
    last : int
        The most steps of the run.
    keeper : Marks or Thinned
        Which states are kept as possible snapshots.
    rule : Convergence or None
        The stopping rule, which may end the run before `last` steps.
    converged : bool
        Whether the rule has found that the net has converged.
    given : int
        The number of the latest snapshot; 0 before the first.
    seen : tuple of float
        The sums of loss, accuracy and batches at the latest snapshot.
    accuracy : float
        The test accuracy at the latest snapshot.
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
        """The number of steps of the run; a rough guess if a stopping rule ends it."""
        typical = self.last if self.rule is None else TYPICAL_EPOCHS * self.steps_per_epoch
        return min(self.last, typical)

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int, snapshots: int | Sequence[float]) -> Course:
        """Make the schedule of a recipe, at the start of training.

        Parameters
        ----------
        recipe : Recipe
            The recipe of the net.
        steps_per_epoch : int
            Optimizer steps in an epoch.
        snapshots : int or sequence of float
            The number of snapshots, at equal fractions of the run, or the epochs after which they
            are taken. A net that converges before the last of these epochs has its final state as
            its next and last snapshot.

        Returns
        -------
        Course

        Raises
        ------
        UsageError
            If the run is too short for the snapshots.
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
                "snapshots",
                f"{snapshots} is not from 2 to {LEAST_EPOCHS + 1}, the epochs' starts of the "
                "shortest run that converges",
                "keep fewer, or give their epochs",
            )
        return cls(steps_per_epoch, last, keeper, Convergence() if stops else None)

    def due(self, step: int) -> bool:
        """Whether anything is done with the net after so many steps.

        Parameters
        ----------
        step : int
            Optimizer steps taken.

        Returns
        -------
        bool
        """
        return self.watched(step) or self.keeper.wants(step) or step == self.last

    def watched(self, step: int) -> bool:
        """Whether the stopping rule needs the validation accuracy after so many steps.

        Parameters
        ----------
        step : int
            Optimizer steps taken.

        Returns
        -------
        bool
        """
        return self.rule is not None and step % self.steps_per_epoch == 0

    def hear(self, accuracy: float) -> None:
        """Give the stopping rule the validation accuracy of this epoch.

        Parameters
        ----------
        accuracy : float
            The share of correct predictions, from 0 to 1.
        """
        if self.rule is not None:
            self.converged = self.rule.hear(accuracy)

    def ended(self, step: int) -> bool:
        """Whether the training of the net is over after so many steps.

        Parameters
        ----------
        step : int
            Optimizer steps taken.

        Returns
        -------
        bool
        """
        return self.converged or step == self.last

    def kept(self, step: int) -> bool:
        """Whether to keep the state after so many steps, as a possible snapshot.

        Parameters
        ----------
        step : int
            Optimizer steps taken.

        Returns
        -------
        bool
        """
        return self.keeper.wants(step) or self.ended(step)

    def take(self, moment: Moment) -> list[Moment]:
        """Keep a state of the net.

        Parameters
        ----------
        moment : Moment
            The state.

        Returns
        -------
        list of Moment
            The states that are now decided to be snapshots, in order.
        """
        ready = self.keeper.take(moment)
        return ready + self.keeper.close() if self.ended(moment.step) else ready

    def close(self) -> list[Moment]:
        """The remaining snapshots of a net that diverged, from the states before the divergence.

        Returns
        -------
        list of Moment
        """
        return self.keeper.close()

    def give(self, moment: Moment, accuracy: float) -> tuple[float, float]:
        """Count the next snapshot.

        Parameters
        ----------
        moment : Moment
            The state that becomes a snapshot.
        accuracy : float
            Its test accuracy.

        Returns
        -------
        tuple of (float, float)
            The mean loss and accuracy of the batches since the previous snapshot.
        """
        loss, right, batches = (
            now - then for now, then in zip(moment.seen, self.seen, strict=True)
        )
        self.given, self.seen, self.accuracy = self.given + 1, moment.seen, accuracy
        return (loss / batches, right / batches) if batches else (math.nan, math.nan)


def snapshot_steps(total: int, snapshots: int) -> list[int]:
    """The steps of snapshots at equal fractions of a run, including its start and its end.

    Parameters
    ----------
    total : int
        The steps of the run.
    snapshots : int
        The number of snapshots, at least 2.

    Returns
    -------
    list of int

    Raises
    ------
    UsageError
        If the run has too few steps.

    Examples
    --------
    >>> snapshot_steps(100, 5)
    [0, 25, 50, 75, 100]
    """
    if snapshots < 2:
        raise UsageError(
            "snapshots", f"{snapshots} is below 2", "the first and the last are always kept"
        )
    if total < snapshots - 1:
        raise UsageError(
            "snapshots",
            f"{snapshots} do not fit in a run of {total} steps",
            "train longer or keep fewer",
        )
    return [round(total * k / (snapshots - 1)) for k in range(snapshots)]


def expected_epochs(recipe: Recipe) -> int:
    """The number of epochs that a net will train for; a guess if it stops when it has converged.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the net.

    Returns
    -------
    int
    """
    return min(recipe.epochs, TYPICAL_EPOCHS) if recipe.stopping != "epochs" else recipe.epochs


def _epoch_steps(recipe: Recipe, steps_per_epoch: int, epochs: Sequence[float]) -> list[int]:
    """The steps at the end of these epochs."""
    if not epochs:
        raise UsageError("snapshot_epochs", "none is named", "name at least one, like 0,1,2,5,10")
    if min(epochs) < 0 or max(epochs) <= 0:
        raise UsageError("snapshot_epochs", "none may be below 0, and one must be above")
    if max(epochs) > recipe.epochs:
        raise UsageError(
            "snapshot_epochs",
            f"{max(epochs):g} lies beyond the {recipe.epochs} epochs of the run",
            "train longer or leave it out",
        )
    steps = [round(epoch * steps_per_epoch) for epoch in epochs]
    for i, (before, after) in enumerate(pairwise(steps)):
        if before >= after:
            raise UsageError(
                "snapshot_epochs",
                f"{epochs[i]:g} and {epochs[i + 1]:g} are not one after the other where an epoch "
                f"has {steps_per_epoch} steps",
                "put them in order, further apart",
            )
    return steps
