"""`Run`: one training run that is being recorded, step by step."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from weightspace.errors import UsageError
from weightspace.recording.journal import Journal, Numbers
from weightspace.recording.recipes import MEASURED, check_column, metric_column
from weightspace.recording.vectors import Vectors
from weightspace.zoo.format.tables import SNAPSHOTS

_FOLD = 256  # values of a metric on a device that wait for their sum


class Run:
    """A training run that is being recorded; made by `Recorder.run`, for a `with` block.

    At the end of the block the run is committed: its net is in the zoo. If the block ends with an
    error or the process is killed, the snapshots so far stay on the disk, and `Recorder.run` can
    continue them.

    Attributes
    ----------
    name : str
        The name of the net in the zoo.
    steps : int
        How many steps the run has made.
    kept : tuple of int
        The steps of the snapshots so far, those of an earlier process too.
    """

    def __init__(
        self,
        name: str,
        vectors: Vectors,
        journal: Journal,
        marks: tuple[int, ...],
        kept: tuple[int, ...],
        steps: int,
        settle: Callable[[int], None],
    ) -> None:
        self.name, self.steps, self.kept = name, steps, kept
        self._vectors, self._journal, self._settle = vectors, journal, settle
        self._marks = marks
        last = kept[-1] if kept else -1
        self._due = [mark for mark in marks if mark >= steps and mark > last]
        self._means = _Means()
        self._columns: dict[str, str] = {}
        self._epoch: float | None = None
        # Where a library ends with an error, nobody else says that the run is over.
        self._leave = weakref.finalize(self, journal.leave)
        if not steps:
            self._epoch = 0.0
        self._look()

    def step(self, *, step: int | None = None, epoch: float | None = None, **metrics: Any) -> bool:
        """Say that the optimizer has made a step.

        Parameters
        ----------
        step : int, optional
            How many steps it has made in all; by default one more than before. If the number is the
            same as before, only the metrics count, as in gradient accumulation.
        epoch : float, optional
            How many epochs it has made in all.
        **metrics : float or tensor
            Metrics of this batch, such as `loss` and `accuracy`. Their means since the previous
            snapshot are stored with the next one, in columns `batch_loss` and so on. A tensor on a
            GPU is not waited for.

        Returns
        -------
        bool
            Whether a snapshot was taken. Then `measured` can say how good it is.
        """
        self._refuse_closed()
        self.steps = self.steps + 1 if step is None else int(step)
        self._epoch = epoch
        for name, value in metrics.items():
            if value is not None:
                self._means.add(self._columns.get(name) or self._column(name), value)
        return bool(self._due) and self._look()

    def measured(self, **metrics: Any) -> bool:
        """Say how good the weights are now, where they are a snapshot.

        Parameters
        ----------
        **metrics : float or tensor
            The metrics that every zoo has (`train_loss`, `train_accuracy`, `validation_loss` ...
            `test_accuracy`; a loss is the mean cross entropy), or others with names of your own.

        Returns
        -------
        bool
            Whether they were stored: False if the weights have changed since the latest snapshot.
        """
        self._refuse_closed()
        named = {metric_column(name): value for name, value in metrics.items() if value is not None}
        if not named or not self.kept or self.kept[-1] != self.steps:
            return False
        self._journal.measured(_numbers(named))
        return True

    def close(self) -> None:
        """Commit the run, as the end of the `with` block does; may be called twice.

        If the last weights are not a snapshot yet, they become one.
        """
        if not self._leave.alive:
            return
        if not self.last():
            warnings.warn(
                f"run {self.name}: made {self.steps:,} steps, and its last snapshot is of step "
                f"{self.kept[-1]:,}; give the `total_steps` that it makes",
                stacklevel=2,
            )
        self._leave.detach()
        self._settle(self.steps)

    def leave(self) -> None:
        """Stop without committing: the run can be continued, or committed with `finish`."""
        self._leave()

    def last(self) -> bool:
        """Make the weights as they are the last snapshot, where training ends before its time.

        Returns
        -------
        bool
            Whether they are a snapshot; False if all were taken before.
        """
        self._refuse_closed()
        if self.kept and self.kept[-1] >= self.steps:
            return True
        if len(self.kept) == len(self._marks):
            return False
        self._take()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.leave()

    def _look(self) -> bool:
        """Take a snapshot if one is due; several that are due at once are one."""
        if not self._due or self.steps < self._due[0]:
            return False
        while self._due and self._due[0] <= self.steps:
            self._due.pop(0)
        if len(self.kept) == len(self._marks):
            return False
        self._take()
        return True

    def _take(self) -> None:
        self.kept = (*self.kept, self.steps)
        row = {"snapshot": len(self.kept), "step": self.steps, "epoch": self._epoch}
        self._journal.snapshot(row, self._vectors.copy(), self._means.take())

    def _column(self, name: str) -> str:
        """The column of the mean of a metric of batches."""
        if name in MEASURED:
            raise UsageError(
                name, "is a metric of the weights, not of a batch", "give it to `run.measured`"
            )
        column = f"batch_{name}"
        check_column(column, SNAPSHOTS.names)
        self._columns[name] = column
        return column

    def _refuse_closed(self) -> None:
        if not self._leave.alive:
            raise UsageError(f"run {self.name}", "is over", "use it within its `with` block")


class _Means:
    """The means of metrics since the previous snapshot; tensors on a device are not waited for."""

    def __init__(self) -> None:
        self._sums: dict[str, list[Any]] = {}
        self._counts: dict[str, int] = {}

    def add(self, column: str, value: Any) -> None:
        """Count the value of a batch."""
        waits = self._sums.setdefault(column, [])
        self._counts[column] = self._counts.get(column, 0) + 1
        value = value.detach() if hasattr(value, "detach") else value
        if getattr(value, "is_cpu", True):
            value = float(value)
            if waits:
                waits[0] += value
            else:
                waits.append(value)
            return
        waits.append(value)
        if len(waits) >= _FOLD:
            waits[:] = [sum(waits)]

    def take(self) -> Numbers:
        """The means so far; what follows is counted anew."""
        sums, counts = self._sums, self._counts
        self._sums, self._counts = {}, {}
        return lambda: {name: sum(map(float, own)) / counts[name] for name, own in sums.items()}


def _numbers(metrics: Mapping[str, Any]) -> Numbers:
    kept = {n: v.detach() if hasattr(v, "detach") else float(v) for n, v in metrics.items()}
    return lambda: {name: float(value) for name, value in kept.items()}
