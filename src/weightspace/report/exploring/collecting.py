"""Everything that the page of a zoo shows, read in batches of few nets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import loky
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from weightspace.dissection.plane import DIMENSIONS, Plane, near
from weightspace.errors import UsageError
from weightspace.features import layers
from weightspace.meta import Model
from weightspace.networks import Layout
from weightspace.progress import Progress, silent
from weightspace.report.exploring.columns import Column, columns_of, shown
from weightspace.report.exploring.details import detail, metrics_of, tensors_of
from weightspace.report.exploring.packing import as_text, packed
from weightspace.report.exploring.readings import read, reading_columns, truths
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo

BLOCK = 16
"""Nets that are read together, and unpacked together by the page."""
KERNEL_BYTES = 16 * 2**20
"""For the kernels of all nets; those of more snapshots are kept where there is room."""
FIT_NETS, FIT_SNAPSHOTS = 300, 7
"""The most nets and snapshots of each that the plane is fitted to, as for a dissection's map."""
NEAR = 6000
"""The most vectors that t-SNE places; its time grows faster than their number."""
_FEW = 8  # blocks; for fewer, starting processes takes longer than they save


@dataclass(frozen=True)
class Collected:
    """What the page of a zoo shows.

    Parameters
    ----------
    zoo : Zoo
        The zoo.
    nets : tuple of str
        The names of the n nets.
    columns : list of Column
        The columns of the table of nets, and of what a model reads.
    first : int64 [n + 1]
        The rows of net i are first[i]..first[i + 1]; a row is a snapshot.
    numbers : int64 [rows]
        The numbers of the snapshots.
    plane, tsne : float64 [rows, 2]
        Where a map places each row, NaN if nowhere.
    blocks : list of str
        Details of `BLOCK` nets each, packed.
    layouts : dict
        The tensors of each layout by its key.
    metrics : tuple of str
        The names of the curves.
    model : dict or None
        What the page says of the model.
    """

    zoo: Zoo
    nets: tuple[str, ...]
    columns: list[Column]
    first: np.ndarray
    numbers: np.ndarray
    plane: np.ndarray
    tsne: np.ndarray
    blocks: list[str]
    layouts: dict[str, Any]
    metrics: tuple[str, ...]
    model: dict[str, Any] | None


@dataclass(frozen=True)
class _Job:
    """What every batch needs to know."""

    zoo: Zoo
    plane: Plane | None
    model: Model | None
    known: dict[str, dict[str, str]]
    metrics: tuple[str, ...]
    texts: dict[str, str]
    allowance: int


@dataclass(frozen=True)
class _Batch:
    """What is made of a batch of nets."""

    block: str
    numbers: list[np.ndarray]
    components: list[np.ndarray]
    readings: list[dict[str, Any]]


def collect(
    zoo: Zoo,
    model: Model | None = None,
    *,
    most_nets: int = 10_000,
    seed: int = 0,
    progress: Progress = silent,
) -> Collected:
    """Read a zoo once, in batches, on all cores if it is large.

    `most_nets` are taken at random, with this seed, if there are more. UsageError if there is no
    net, or for an impossible number.
    """
    table = _chosen(zoo, most_nets, seed)
    nets = table["net"].to_list()
    columns = columns_of(table, zoo.space, FIELDS)
    job = _Job(
        zoo,
        _plane(zoo, nets, progress),
        model,
        truths(zoo, model) if model else {},
        metrics_of(zoo.snapshots),
        {one.key: one.name for one in columns if one.kind == "text"},
        max(1, KERNEL_BYTES // len(nets)),
    )
    batches = []
    pieces = [table[i : i + BLOCK] for i in range(0, len(nets), BLOCK)]
    for done, batch in enumerate(_done(job, pieces), 1):
        batches.append(batch)
        progress("reading nets", min(done * BLOCK, len(nets)), len(nets))
    numbers = [own for batch in batches for own in batch.numbers]
    components = np.concatenate([own for batch in batches for own in batch.components])
    first = np.cumsum([0, *map(len, numbers)])
    if model is not None:
        found = [own for batch in batches for own in batch.readings]
        columns += reading_columns(nets, found, job.known, model)
    return Collected(
        zoo=zoo,
        nets=tuple(nets),
        columns=columns,
        first=first,
        numbers=np.concatenate(numbers),
        plane=components[:, :2].astype(np.float64),
        tsne=_tsne(components, first, progress),
        blocks=[batch.block for batch in batches],
        layouts={
            key: tensors_of(zoo.layout(net))
            for key, net in table.unique("layout", keep="first", maintain_order=True)
            .select("layout", "net")
            .iter_rows()
        },
        metrics=job.metrics,
        model=None if model is None else model.to_dict(),
    )


def _chosen(zoo: Zoo, most: int, seed: int) -> pl.DataFrame:
    """The nets that the page shows, in the zoo's order."""
    if most < 1:
        raise UsageError("most_nets", f"{most} nets", "show at least one")
    if not zoo.nets.height:
        raise UsageError(zoo.name, "has no nets to show", "sample some first")
    if zoo.nets.height <= most:
        return zoo.nets
    chosen = np.random.default_rng(seed).permutation(zoo.nets.height)[:most]
    return zoo.nets[np.sort(chosen)]


def _plane(zoo: Zoo, nets: Sequence[str], progress: Progress) -> Plane | None:
    """The plane of the vectors of some nets; None if there are fewer than three vectors."""
    some = np.sort(np.random.default_rng(0).permutation(len(nets))[:FIT_NETS])
    rows = []
    with threadpool_limits(1, "blas"):
        for done, found in enumerate(zoo.vectors([nets[i] for i in some.tolist()]), 1):
            layout, chosen = zoo.layout(found.net), _even(len(found.values))
            rows += [layers(one, layout) for one in found.values[chosen]]
            progress("finding the plane", done, len(some))
    sound = [row for row in rows if np.isfinite(row[~np.isnan(row)]).all()]
    return Plane.fit(np.stack(sound)) if len(sound) > 2 else None


def _even(count: int) -> np.ndarray:
    """At most `FIT_SNAPSHOTS` positions among `count`, at equal distances, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, FIT_SNAPSHOTS)).round().astype(int))


def _tsne(components: np.ndarray, first: np.ndarray, progress: Progress) -> np.ndarray:
    """Where t-SNE places rows: the last of each net, and others while there are at most `NEAR`."""
    most = max(1, NEAR // (len(first) - 1))
    chosen = []
    for low, high in pairwise(first.tolist()):
        own = np.arange(high - 1, low - 1, -1)
        chosen.append(own[_even(len(own))] if most >= FIT_SNAPSHOTS else own[:1])
    rows = np.sort(np.concatenate(chosen))
    rows = rows[np.isfinite(components[rows]).all(axis=1)]
    found = np.full((len(components), 2), np.nan)
    progress("placing nets by t-SNE", 0, 1)
    if len(rows) > 3 and components[rows, 0].std() > 0:
        found[rows] = near(components[rows])
    progress("placing nets by t-SNE", 1, 1)
    return found


def _done(job: _Job, pieces: Sequence[pl.DataFrame]) -> Iterator[_Batch]:
    """The batches in order, made on all cores if there are many."""
    workers = loky.cpu_count()
    if workers < 2 or len(pieces) < _FEW:
        yield from (_batch(job, piece) for piece in pieces)
        return
    with loky.ProcessPoolExecutor(workers, initializer=_open, initargs=(job,)) as pool:
        yield from pool.map(_in_worker, pieces)


_opened: list[_Job] = []


def _open(job: _Job) -> None:
    _opened[:] = [job]


def _in_worker(piece: pl.DataFrame) -> _Batch:
    return _batch(_opened[0], piece)


def _batch(job: _Job, piece: pl.DataFrame) -> _Batch:
    """Read a batch of nets and pack their details."""
    made = _Batch("", [], [], [])
    headers: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    with threadpool_limits(1, "blas"):  # matrices are small: threads would cost more than they save
        for net, layout, vectors, rows in _read(job.zoo, piece):
            found = detail(layout, vectors, rows, job.metrics, _image(net), job.allowance)
            arrays |= {f"{len(headers)}.{name}": array for name, array in found.arrays.items()}
            answer = read(job.model, vectors[-1], layout) if job.model and len(vectors) else None
            texts = {name: shown(net[key]) for key, name in job.texts.items()}
            truth = {name: level.get(net["net"]) for name, level in job.known.items()}
            known = {"layout": net["layout"], "texts": texts, "answer": answer, "truth": truth}
            headers.append(known | found.header)
            made.numbers.append(rows["snapshot"].to_numpy())
            made.components.append(_placed(job.plane, vectors, layout))
            made.readings.append(answer or {"reasons": [], "readings": []})
    return replace(made, block=as_text(packed({"nets": headers}, arrays)))


def _read(
    zoo: Zoo, piece: pl.DataFrame
) -> Iterator[tuple[dict[str, Any], Layout, np.ndarray, pl.DataFrame]]:
    """Each net of a piece of the table, its layout, its vectors [k, P] and its k snapshots."""
    rows = zoo.snapshots.filter(pl.col("net").is_in(piece["net"].to_list()))
    held = {net: own.sort("snapshot") for (net,), own in rows.group_by("net")}
    reading = zoo.vectors([net for net in piece["net"] if net in held]) if held else iter(())
    for net in piece.iter_rows(named=True):
        layout = zoo.layout(net["net"])
        if net["net"] in held:
            yield net, layout, next(reading).values, held[net["net"]]
        else:
            yield net, layout, np.empty((0, layout.size), np.float32), rows.clear()


def _placed(plane: Plane | None, vectors: np.ndarray, layout: Layout) -> np.ndarray:
    """Components float32 [k, D] of vectors; NaN of those that are not finite."""
    wide = DIMENSIONS if plane is None else plane.components.n_components_
    found = np.full((len(vectors), wide), np.nan, np.float32)
    sound = np.isfinite(vectors).all(axis=1)
    if plane is not None and sound.any():
        found[sound] = plane(np.stack([layers(one, layout) for one in vectors[sound]]))
    return found


def _image(net: dict[str, Any]) -> tuple[int | None, int | None]:
    """Side and channels of a net's images, where they are on record and its inputs are images."""
    if net.get("features"):
        return None, None
    return net.get("input_size"), net.get("channels")
