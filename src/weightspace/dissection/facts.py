"""The facts of a dissection: counts, borders of layers, times of snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from weightspace.meta import Labels
    from weightspace.networks import Layout
    from weightspace.zoo import Zoo


def population(zoo: Zoo, labels: Labels) -> dict[str, Any]:
    """Counts of nets, snapshots, vectors and values, and of nets that were left out."""
    return {
        "space": zoo.space.name,
        "nets": zoo.nets.height,
        "used": len(labels.nets),
        "diverged": labels.diverged,
        "dead": labels.dead,
        "layouts": zoo.nets["layout"].n_unique(),
        "snapshots": zoo.snapshots["snapshot"].n_unique(),
        "vectors": zoo.snapshots.height,
        "values": int(zoo.snapshots["length"].sum()),
        "datasets": zoo.nets["dataset"].drop_nulls().unique().sort().to_list(),
        "properties": list(labels.properties),
    }


def boundaries(layouts: Sequence[Layout]) -> list[dict[str, Any]]:
    """The start and the end of layers along the vector, 0..1, as means over nets.

    A row for each layer if all nets have the same layers, otherwise a row for each part.
    """
    names = [{(t.part, t.layer): t.name.split(".")[0] for t in lay.tensors} for lay in layouts]
    same = all(own == names[0] for own in names)
    keys = list(names[0]) if same else [("conv", -1), ("fc", -1)]
    rows = []
    for part, layer in keys:
        ends = [
            (min(t.offset for t in own) / layout.size, max(t.stop for t in own) / layout.size)
            for layout in layouts
            if (own := [t for t in layout.tensors if t.part == part and layer in (-1, t.layer)])
        ]
        if ends:
            start, stop = np.mean(ends, axis=0)
            name = names[0][part, layer] if same else part
            rows.append({"name": name, "part": part, "start": float(start), "stop": float(stop)})
    return rows


def fractions(zoo: Zoo, nets: Sequence[str]) -> dict[int, float]:
    """Snapshot number -> fraction of training, 0..1, as a mean over nets.

    Only snapshots that all nets have are included. The fraction is that of steps; where steps are
    not on record, that of epochs; where neither is, that of the number of the snapshot.
    """
    own = zoo.snapshots.filter(pl.col("net").is_in(list(nets)))
    share = pl.coalesce(_share("step"), _share("epoch"), _share("snapshot", first=1))
    table = own.with_columns(share.alias("fraction")).group_by("snapshot")
    means = table.agg(pl.col("fraction").mean(), pl.col("net").n_unique().alias("nets"))
    means = means.filter(pl.col("nets") == len(nets)).sort("snapshot")
    return dict(zip(means["snapshot"].to_list(), means["fraction"].to_list(), strict=True))


def _share(column: str, first: int = 0) -> pl.Expr:
    """Each snapshot's place between `first` and the last value of its net; null where unknown.

    Where the last value is `first`, the place is 0, or 1 if the column is the snapshot number.
    """
    way = pl.col(column).max().over("net") - first
    resting = 1.0 if first else 0.0
    return pl.when(way > 0).then((pl.col(column) - first) / way).when(way == 0).then(resting)
