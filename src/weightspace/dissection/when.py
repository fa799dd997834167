"""When: accuracy by snapshot, with classifiers trained and tested on that snapshot alone."""

from __future__ import annotations

from typing import Any

import polars as pl

from weightspace.dissection.part import SCORE, Part, ranked
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Reader
from weightspace.progress import Progress

WHEN_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
} | SCORE


class When(Part):
    """Accuracy by snapshot, with classifiers trained and tested on that snapshot alone.

    Parameters
    ----------
    table : DataFrame
        A row for each property and snapshot, with columns `WHEN_COLUMNS`; `fraction` is the
        fraction of training, 0..1.
    """

    NAME = "when"
    COLUMNS = WHEN_COLUMNS


def when(reader: Reader, place: Place, moments: dict[int, float], progress: Progress) -> When:
    """Test every snapshot of `moments` (number -> fraction of training) at the same place."""
    rows = []
    for done, (snapshot, fraction) in enumerate(moments.items()):
        progress("when", done, len(moments))
        (features,) = reader.features([place], snapshot)
        about = {"snapshot": snapshot, "fraction": fraction}
        rows += [about | score for score in reader.scores(place, features)]
    progress("when", len(moments), len(moments))
    return When(ranked(rows, WHEN_COLUMNS, reader.labels.properties))
