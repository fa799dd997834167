"""Arrow tables put in order and made polars frames, without the threads of polars.

Polars works with a pool of threads that a forked process does not have, so most of its functions
hang there. A zoo is used in forked processes, such as the workers of a data loader. So everything
that a zoo needs to read vectors is computed with Arrow and NumPy in the thread of the caller.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from weightspace.arrays import Int64, Shaped


def framed(table: pa.Table) -> pl.DataFrame:
    """A table as a frame, column by column: `pl.from_arrow` uses the pool for whole tables."""
    columns = zip(table.column_names, table.columns, strict=True)
    return pl.DataFrame([pl.Series(name, one_chunk(values)) for name, values in columns])


def arranged(
    table: pa.Table, key: Int64[np.ndarray, " rows"]
) -> tuple[pa.Table, Int64[np.ndarray, " rows"]]:
    """The rows in ascending order of a key, and where each of them was."""
    if (np.diff(key) >= 0).all():
        return table, np.arange(len(key))
    order = np.argsort(key, kind="stable")  # uses the runs that are in order already
    return table.combine_chunks().take(pa.array(order)), order


def numbers(values: pa.ChunkedArray) -> Shaped[np.ndarray, " rows"]:
    """A column of numbers without missing values, as an array."""
    found: Shaped[np.ndarray, " rows"] = one_chunk(values).to_numpy(zero_copy_only=False)
    return found


def one_chunk(values: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    if values.num_chunks == 1:
        return values.chunk(0)
    found = values.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
