"""Apply a feature function to many slices, on all cores and in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import loky
import numpy as np

from weightspace.arrays import Asked, Float, Float32
from weightspace.errors import UsageError

VALUES = 160_000
"""Values of one chunk: its float64 temporaries fit in a core's second-level cache."""

SHORTEST = 64
"""The shortest slice, in values, for which features are defined."""

RowFunction = Callable[[Float32[np.ndarray, "n length"]], Float[np.ndarray, "n columns"]]


def by_chunks(
    function: RowFunction, values: Asked[np.ndarray, "n length"], columns: int
) -> Float32[np.ndarray, "n {columns}"]:
    """Apply `function` to chunks of rows of `values`.

    Rows do not depend on each other, so the result is that of one call. Threads help because
    sorting, transforms and arithmetic on whole chunks release the interpreter lock.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] < SHORTEST:
        raise UsageError(
            "values",
            f"of shape {list(values.shape)} are not slices",
            f"give [n, length] with a length of at least {SHORTEST}",
        )
    out = np.empty((len(values), columns), np.float32)
    rows = max(1, VALUES // values.shape[1])

    def work(start: int) -> None:
        chunk = np.ascontiguousarray(values[start : start + rows], dtype=np.float32)
        with np.errstate(all="ignore"):
            block = function(chunk)
        # The output is always finite, with values from -1e30 to 1e30.
        out[start : start + rows] = np.clip(
            np.nan_to_num(block, nan=0.0, posinf=1e30, neginf=-1e30), -1e30, 1e30
        )

    starts = range(0, len(values), rows)
    workers = min(len(starts), loky.cpu_count())
    if workers <= 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, starts))
    return out
