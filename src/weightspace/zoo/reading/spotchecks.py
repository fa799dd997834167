"""Which vectors of a zoo at a URL are read whole, to compare slices with a checksum.

A slice has no checksum of its own. So some of the vectors from which slices were read are fetched
whole: the first ones of each shard. This costs at most a quarter of the bytes of the slices, plus a
small constant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weightspace.arrays import Int, Shaped
from weightspace.zoo.reading.rows import Rows
from weightspace.zoo.reading.selecting import Selected

_OF_SHARD = 2  # vectors that are compared in each shard
_SHARE = 0.25  # of the bytes of slices, that may be fetched in addition
_ADVANCE = 2**23  # bytes that may always be fetched


class SpotChecks:
    """Compares slices with their whole vectors, for some vectors or, with `every`, for all.

    Threads may use it at the same time; then one vector more or fewer may be compared.
    """

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._compared: dict[int, set[int]] = {}
        self._credit = float(_ADVANCE)

    def compare(
        self,
        table: Rows,
        selected: Selected,
        which: Int[np.ndarray, " n"],
        rows: Int[np.ndarray, " n"],
        starts: Int[np.ndarray, " n"],
        stored: Shaped[np.ndarray, "n length"],
        whole: Callable[[int], Shaped[np.ndarray, " P"]],
    ) -> int | None:
        """The first row whose slices differ from its whole vector; None if there is none.

        The arguments are those of `Zoo.gather`; `stored` is what was read, and `whole`
        fetches the vector of a row and compares it with its checksum. The check comes after the
        slices were read, so that a server cannot know which of them are checked.
        """
        for row in self._choose(table, rows, stored):
            vector = whole(row)
            for i in np.flatnonzero(rows == row).tolist():
                selection = selected.selections[selected.kinds[which[i]]]
                pieces = selection.pieces(int(starts[i]), stored.shape[1])
                part = np.concatenate([vector[at : at + count] for at, count in pieces])
                if part.tobytes() != stored[i].tobytes():
                    return row
        return None

    def _choose(
        self, table: Rows, rows: Int[np.ndarray, " n"], stored: Shaped[np.ndarray, "n length"]
    ) -> list[int]:
        """The rows to fetch, each once."""
        if self._every:
            distinct: list[int] = np.unique(rows).tolist()
            return distinct
        self._credit += _SHARE * stored.nbytes
        sizes = stored.itemsize * table.lengths[rows]
        chosen = []
        for row, code, size in zip(
            rows.tolist(), table.shards[rows].tolist(), sizes.tolist(), strict=True
        ):
            done = self._compared.setdefault(code, set())
            if len(done) < _OF_SHARD and row not in done and size <= self._credit:
                self._credit -= size
                done.add(row)
                chosen.append(row)
        return chosen
