"""What the callbacks of all libraries share: one run at a time, and names of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weightspace.errors import UsageError
from weightspace.recording.recipes import metric_column
from weightspace.recording.run import Run

_NO_METRICS = ("runtime", "samples_per_second", "steps_per_second", "epoch")


class Session:
    """The run that a callback records; before its beginning and after its end there is none.

    Parameters
    ----------
    begin : callable
        `Recorder.begin`.
    name : str or None
        The name of the run.
    told : mapping
        What the user says of the recipe.
    """

    def __init__(
        self, begin: Callable[..., Run], name: str | None, told: Mapping[str, Any]
    ) -> None:
        self._begin, self._name, self._told = begin, name, told
        self.run: Run | None = None

    def begin(self, model: Any, read: Mapping[str, Any], step: int, total: int | None) -> None:
        """Begin a run at a step; one that an error has ended is left."""
        self.leave()
        self.run = self._begin(model, self._name, read, step, total, self._told)

    def measured(self, metrics: Mapping[str, Any], prefix: str) -> None:
        """Store the metrics of held-out data, whose names begin with `prefix`, of these weights."""
        if self.run is None:
            return
        found = {}
        for name, value in metrics.items():
            if name.startswith(prefix) and not name.endswith(_NO_METRICS):
                column = held_out(name.removeprefix(prefix).lstrip("_"))
                if _is_number(value) and _fits(column):
                    found[column] = value
        self.run.measured(**found)

    def close(self) -> None:
        """Commit the run."""
        run, self.run = self.run, None
        if run is not None:
            run.close()

    def leave(self) -> None:
        """Stop, so that the run can be continued."""
        run, self.run = self.run, None
        if run is not None:
            run.leave()


def held_out(name: str) -> str:
    """The column of a metric of held-out data.

    >>> held_out("loss"), held_out("acc"), held_out("f1")
    ('validation_loss', 'validation_accuracy', 'validation_f1')
    """
    return f"validation_{'accuracy' if name == 'acc' else name}"


def whole(value: Any) -> int | None:
    """A number of epochs or steps if it is whole and limited, as -1 and infinity are not."""
    if isinstance(value, int | float) and 0 < value < 2**53 and value == int(value):
        return int(value)
    return None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or getattr(value, "ndim", None) == 0


def _fits(column: str) -> bool:
    try:
        metric_column(column)
    except UsageError:
        return False
    return True
