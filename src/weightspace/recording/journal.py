"""Writes the snapshots of one run in a thread of its own, so that the training does not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from weightspace.recording.vectors import Take, Vectors
from weightspace.space.recipe import FIELDS
from weightspace.zoo import UnitWriter

VERSION = 1
_MOST_WAITING = 2  # copies of the model in memory at a time
Numbers = Callable[[], Mapping[str, float]]
"""Metrics, worked out when they are asked for, in the journal's thread."""
Listener = Callable[[int, np.ndarray], None]
"""Called with the step and the vector of each snapshot."""


class Journal:
    """The snapshots of a run on their way to the disk.

    Every snapshot is on the disk, with a state to continue from, before the next is begun. An error
    in the thread is raised by the next call.

    Parameters
    ----------
    unit : UnitWriter
        The open stack of the run, which is the net alone.
    story : dict
        What is known of the run: plain JSON values that are saved with each snapshot. Its `rows`
        are those of the snapshots that were kept before.
    vectors : Vectors, optional
        Makes vectors of copies. Without it no snapshot can be added.
    listener : callable, optional
        Is told of each vector.
    """

    def __init__(
        self,
        unit: UnitWriter,
        story: dict[str, Any],
        vectors: Vectors | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._unit, self._story = unit, story
        self._vectors, self._listener = vectors, listener
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="weightspace-recording")
        self._waiting: deque[Future[None]] = deque()
        self._broken = False  # nothing is written after an error
        self._told = False

    def begin(self) -> None:
        """Save that the run has begun."""
        self._submit(self._save)

    def snapshot(self, row: Mapping[str, Any], taken: Take, means: Numbers) -> None:
        """Write a snapshot; `row` has its number, step and epoch."""
        self._submit(self._snapshot, dict(row), taken, means)

    def measured(self, metrics: Numbers) -> None:
        """Add metrics to the row of the latest snapshot."""
        self._submit(self._measured, metrics)

    def flush(self) -> None:
        """Wait until all is written."""
        while self._waiting:
            self._wait()

    def leave(self) -> None:
        """Write what waits, and keep the run so that it can be continued."""
        try:
            if not self._told:
                self.flush()
        finally:
            self._pool.shutdown()
            self._unit.__exit__(None, None, None)

    def commit(self, steps: int | None) -> None:
        """Bring the run into the zoo, after `flush`."""
        self._pool.submit(self._commit, steps).result()
        self._pool.shutdown()
        self._unit.__exit__(None, None, None)

    def _submit(self, act: Callable[..., None], *arguments: Any) -> None:
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= _MOST_WAITING):
            self._wait()
        self._waiting.append(self._pool.submit(self._act, act, *arguments))

    def _wait(self) -> None:
        try:
            self._waiting.popleft().result()
        except BaseException:
            self._told = True
            raise

    def _act(self, act: Callable[..., None], *arguments: Any) -> None:
        if self._broken:
            return
        self._broken = True
        act(*arguments)
        self._broken = False

    def _snapshot(self, row: dict[str, Any], taken: Take, means: Numbers) -> None:
        assert self._vectors is not None
        vector = self._vectors.vector(taken)
        self._unit.put(self._story["net"], row["snapshot"], vector)
        if not self._story["diverged"] and not np.isfinite(vector).all():
            self._story |= {"diverged": True, "diverged_step": row["step"]}
        self._story["rows"].append(row | dict(means()))
        self._save()
        if self._listener is not None:
            self._listener(row["step"], vector)

    def _measured(self, metrics: Numbers) -> None:
        self._story["rows"][-1].update(metrics())
        self._save()

    def _save(self) -> None:
        self._unit.save({}, self._story)

    def _commit(self, steps: int | None) -> None:
        story = self._story
        columns = {name for row in story["rows"] for name, value in row.items() if value == value}
        blank = dict.fromkeys(columns | {"step", "epoch"})
        moments = [
            {"net": story["net"]} | blank | {k: v for k, v in row.items() if k in blank}
            for row in story["rows"]
        ]
        net = {
            "net": story["net"],
            "index": story["index"],
            "split": story["split"],
            **{name: story["recipe"].get(name) for name in FIELDS},
            "steps": steps,
            "diverged": story["diverged"],
            "diverged_step": story["diverged_step"],
            "dead": None,  # whether it stayed at chance is not known here
            **story["facts"],
        }
        self._unit.commit(nets=[net], snapshots=moments)
