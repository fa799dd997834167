"""Which whole vectors are compared with their checksums while parts of vectors come from afar.

A part has no checksum of its own, so some of the vectors that parts were taken of are fetched
whole: of each shard the first that are touched. That costs a quarter of what the parts cost at
most, and a little in advance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weightspace.zoo.reading.rows import Rows
from weightspace.zoo.reading.selecting import Selected

_OF_SHARD = 2  # vectors that are compared
_SHARE = 0.25  # of the bytes read as parts, that may be fetched besides
_ADVANCE = 2**23  # bytes that may be fetched before that


class SpotChecks:
    """Whole vectors, compared with parts that were read of them; with `every`, all of them.

    Threads may ask at the same time: then one vector more is compared, or one less.
    """

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._compared: dict[int, set[int]] = {}
        self._credit = float(_ADVANCE)

    def compare(
        self,
        table: Rows,
        selected: Selected,
        which: np.ndarray,
        rows: np.ndarray,
        starts: np.ndarray,
        stored: np.ndarray,
        whole: Callable[[int], np.ndarray],
    ) -> int | None:
        """The first row whose slices are not what its vector holds; None where there is none.

        The arguments are those of `Zoo.gather`, `stored` [n, length] as read; `whole` fetches the
        vector of a row and compares it with its checksum. It is called when the slices are there:
        a server cannot tell before which of them are looked at.
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

    def _choose(self, table: Rows, rows: np.ndarray, stored: np.ndarray) -> list[int]:
        """Rows to fetch, each once."""
        if self._every:
            return np.unique(rows).tolist()
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
