"""Where: accuracy by place in the vector, at the last snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.part import SCORE, Part, ranked
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Reader, distinct
from weightspace.progress import Progress

WHERE_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "axis": pl.String,
    "place": pl.String,
    "start": pl.Float64,
    "stop": pl.Float64,
} | SCORE


class Where(Part):
    """Accuracy by place in the net.

    Parameters
    ----------
    table : DataFrame
        A row for each property and place, with columns `WHERE_COLUMNS`. `axis` is "position"
        (windows at equal relative positions along the vector), "part" (conv or fc, with and without
        batch norm's running statistics) or "depth" (first, middle, last layer of a part).
        `start`..`stop` is the relative range of the vector that was read, as a mean over nets;
        `slice_length` is the number of values read there, the same for every net.
    """

    NAME = "where"
    COLUMNS = WHERE_COLUMNS


def where(reader: Reader, spots: Sequence[Place], progress: Progress) -> Where:
    """Test every place at the last snapshot."""
    rows = []
    for done, (place, features) in enumerate(zip(spots, reader.features(spots, -1), strict=True)):
        progress("where", done, len(spots))
        extents = {lay.key: place.extent(lay) for lay in distinct(reader.layouts)}
        ends = [extents[layout.key] for layout in reader.layouts.values()]
        start, stop = map(float, np.mean(ends, axis=0))
        about = {"axis": place.axis, "place": place.name, "start": start, "stop": stop}
        rows += [about | score for score in reader.scores(place, features)]
    progress("where", len(spots), len(spots))
    return Where(ranked(rows, WHERE_COLUMNS, reader.labels.properties))
