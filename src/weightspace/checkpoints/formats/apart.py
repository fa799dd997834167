"""Whether the values of different tensors lie apart: an offset that is wrong leads into others."""

from __future__ import annotations

from collections.abc import Iterable


def overlap(
    values: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]] = ()
) -> tuple[int, int] | None:
    """The first range of values that shares bytes with another range, if one does.

    Parameters
    ----------
    values : iterable of (int, int)
        Start and end of each tensor's values. Equal ones are one tensor with several names.
    others : iterable of (int, int)
        Start and end of what is no value. These may share bytes with each other.

    Returns
    -------
    (int, int) or None

    Examples
    --------
    >>> overlap([(8, 16), (0, 8), (8, 16)])
    >>> overlap([(0, 8), (7, 15)])
    (7, 15)
    >>> overlap([(0, 8)], [(7, 9)])
    (0, 8)
    """
    rows = [(*row, True) for row in set(values) if row[0] < row[1]]
    rows += [(*row, False) for row in others if row[0] < row[1]]
    last: tuple[int, int] | None = None  # the values that reach farthest
    end = 0
    for start, stop, is_value in sorted(rows):
        if is_value and start < end:
            return start, stop
        if last is not None and start < last[1]:
            return last
        if is_value:
            last = start, stop
        end = max(end, stop)
    return None
