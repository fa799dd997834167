"""Which steps of a run become snapshots."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from weightspace.errors import UsageError


def marks_of(snapshots: int | Sequence[int], total: int | None) -> tuple[int, ...]:
    """The steps of the snapshots, ascending.

    A number means equal fractions of the run, with its start and its end, as `sample` has them;
    `total` is the steps of the run. A sequence names the steps. Raises UsageError if that is not
    possible, or if a number is given without `total`.

    >>> marks_of(5, 100)
    (0, 25, 50, 75, 100)
    >>> marks_of([0, 10, 100], None)
    (0, 10, 100)
    """
    if isinstance(snapshots, int):
        return _even(snapshots, total)
    marks = tuple(snapshots)
    wrong = next((m for m in marks if not isinstance(m, int) or isinstance(m, bool) or m < 0), None)
    if not marks or wrong is not None or any(a >= b for a, b in itertools.pairwise(marks)):
        said = "is empty" if not marks else f"{marks[:8]!r} are no ascending whole numbers from 0"
        raise UsageError("snapshots", said, "name the steps, such as [0, 100, 1000]")
    if total is not None and marks[-1] > total:
        raise UsageError(
            "snapshots", f"step {marks[-1]:,} is after the last of {total:,}", "leave it out"
        )
    return marks


def _even(count: int, total: int | None) -> tuple[int, ...]:
    if count < 2:
        raise UsageError("snapshots", f"{count} is below 2", "the first and the last are kept")
    if total is None:
        raise UsageError(
            "total_steps",
            f"{count} equal parts of a run need the number of its steps",
            "give `total_steps=`, or the steps themselves as `snapshots=[0, 100, 1000]`",
        )
    if total < count - 1:
        raise UsageError(
            "snapshots",
            f"{count} do not fit in a run of {total:,} steps",
            "train longer or keep fewer",
        )
    return tuple(round(total * k / (count - 1)) for k in range(count))
