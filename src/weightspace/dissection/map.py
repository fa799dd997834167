"""A map of weight space: snapshots of nets as points in the plane, similar ones near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.part import Part
from weightspace.dissection.plane import Plane, near
from weightspace.dissection.reader import Reader
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import Source
from weightspace.progress import Progress

MAP_COLUMNS: dict[str, Any] = {
    "net": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
    "method": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
}


class Map(Part):
    """Snapshots of nets as points in the plane, by the methods "pca" and "tsne".

    The columns are `MAP_COLUMNS`, followed by the level of each property as text.

    Parameters
    ----------
    table : DataFrame
        A row for each net, snapshot and method.
    """

    NAME = "map"
    COLUMNS = MAP_COLUMNS


NETS, MOMENTS = 300, 7
"""The most nets and the most snapshots of each: more points could not be distinguished."""


def map_of(reader: Reader, length: int, moments: dict[int, float], progress: Progress) -> Map:
    """Place per-layer features of vectors in the plane by principal components and by t-SNE.

    At most `NETS` nets are chosen at random, each with up to `MOMENTS` of its snapshots, so that
    the path of a net can be followed. Features are normal scores. t-SNE (perplexity 30, at most a
    third of the points) reads 30 principal components and starts from the first two. The map is
    descriptive: it tests nothing, and large distances in a t-SNE map mean little.
    """
    labels = reader.labels
    rng = np.random.default_rng([reader.seed, 0x3A9])
    chosen = np.sort(rng.permutation(len(labels.nets))[:NETS])
    nets = [labels.nets[i] for i in chosen]
    numbers = list(moments)
    kept = np.unique(np.linspace(0, len(numbers) - 1, min(MOMENTS, len(numbers))).round())
    blocks = []
    for done, i in enumerate(kept.astype(int)):
        progress("map", done, len(kept) + 1)
        features, owners = net_rows(reader.zoo, nets, Source(length, (numbers[i],)))
        blocks.append((features, owners, np.full(len(owners), numbers[i])))
    features, owners, snapshots = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    components = Plane.fit(features)(features)
    embedded = near(components)
    progress("map", len(kept) + 1, len(kept) + 1)
    place = {
        name: np.array(levels)[labels.codes[name][chosen[owners]]]
        for name, levels in labels.levels.items()
    }
    about = {
        "net": np.array(nets)[owners],
        "snapshot": snapshots,
        "fraction": [moments[number] for number in snapshots.tolist()],
    }
    tables = [
        pl.DataFrame(about | {"x": xy[:, 0].astype(float), "y": xy[:, 1].astype(float)} | place)
        for xy in (components, embedded)
    ]
    both = pl.concat(
        table.with_columns(pl.lit(method).alias("method"))
        for table, method in zip(tables, ("pca", "tsne"), strict=True)
    )
    return Map(both.select(*MAP_COLUMNS, *labels.properties))
