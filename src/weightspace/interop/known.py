"""`add`: make a zoo of checkpoints that someone else trained, with a table of what is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.interop import sheets
from weightspace.interop.arrivals import Arrival, LeftOut, Origin, Vectors, plain_name, settle
from weightspace.interop.checkpoints import read
from weightspace.interop.inside import below, folder_of
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo

TABLE = "known.csv"
SUFFIXES = (".pt", ".pth", ".safetensors")
METRICS = tuple(
    f"{of}_{what}" for of in ("train", "validation", "test") for what in ("loss", "accuracy")
)
COLUMNS = ("file", "net", "snapshot", "step", "epoch", *METRICS, "split", "dead", *FIELDS)
"""The columns of the table; only `file` is required."""
_ORIGIN = Origin("checkpoints", "added", "Nets that others trained, added with what is known.")


def add(
    folder: str | Path,
    out: str | Path,
    *,
    known: str | Path | None = None,
    left_out: LeftOut | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo of the checkpoints in a folder, with a table of what is known about them.

    The files (.pt, .pth, .safetensors) are read as by `read_checkpoint`; nothing in them is
    executed.

    Parameters
    ----------
    folder : str or Path
        The folder with the checkpoints.
    out : str or Path
        The folder of the new zoo.
    known : str or Path, optional
        A CSV file. A row has the column `file`, relative to the folder, and any of net, snapshot,
        step, epoch, the metrics, split (train or test), dead and the hyper-parameters of a recipe.
        Rows with the same `net` are its snapshots, in the order of `snapshot`, `step` or `epoch`;
        without that column each file is a net. An empty cell, a missing column and a file without a
        row mean unknown.
    left_out : callable, optional
        As for `import_zoo`.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Zoo

    Raises
    ------
    DataError
        If a file or the table cannot be read; one line with file and net.
    UsageError
        If `out` contains anything else.
    """
    inside = folder_of(folder, "the checkpoints")
    arrivals = list(_arrivals(inside, Path(known) if known else None))
    if not arrivals:
        raise DataError(folder, f"contains no files {', '.join(SUFFIXES)}", "name another folder")
    return settle(Path(out), arrivals, _ORIGIN, left_out, progress)


@dataclass(frozen=True)
class _File:
    """A checkpoint: its row in the table, and the place of the row."""

    at: InnerPath
    net: str
    place: str
    recipe: Mapping[str, Any]
    moment: Mapping[str, Any]
    number: int | None = None
    split: str | None = None
    dead: bool | None = None

    @property
    def file(self) -> str:
        """Its path in the folder."""
        return self.at.thing


def _arrivals(folder: InnerPath, table: Path | None) -> Iterator[Arrival]:
    files = [*_listed(folder, table)] if table else []
    listed = {file.file for file in files}
    for place in disk.walk(folder):
        name = place.thing
        if place.suffix in SUFFIXES and name not in listed:
            files.append(_File(place, _net_of(name), printable(name), {}, {}))
    nets: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        nets[file.net].append(file)
    for net, own in nets.items():
        yield _arrival(net, _in_order(own))


def _arrival(net: str, files: Sequence[_File]) -> Arrival:
    first = files[0]
    recipe: dict[str, Any] = {}
    for file in files:
        own = {**file.recipe, "split": file.split, "dead": file.dead}
        sheets.agree(own, recipe, f"net {printable(net)}", file.place)
        recipe |= {name: value for name, value in own.items() if value is not None}
    split, dead = recipe.pop("split", None), recipe.pop("dead", None)
    return Arrival(
        source=first.file,
        recipe=recipe,
        moments=[file.moment for file in files],
        read=partial(_read, [file.at for file in files], recipe),
        split=split,
        name=net,
        facts={} if dead is None else {"dead": dead},
    )


def _read(files: Sequence[InnerPath], recipe: Mapping[str, Any]) -> Vectors:
    return (read(file, recipe) for file in files)


def _listed(folder: InnerPath, table: Path) -> Iterator[_File]:
    """The files in the table, each of which must exist and occur once."""
    seen: dict[str, str] = {}
    for place, cells in sheets.rows(table, COLUMNS[:1], COLUMNS[1:]):
        file = below(folder, cells["file"])
        if file is None:
            raise DataError(
                place,
                f"file: {printable(cells['file'], 80)!r} leads out of the folder",
                "make it relative to it, without '..'",
            )
        name = file.thing
        if name in seen:
            raise DataError(place, f"file {name}: is already in {seen[name]}", "remove one")
        seen[name] = place
        if not disk.is_file(file):
            raise DataError(place, f"file {name}: is not in {folder}", "correct or remove the row")
        yield _described(file, cells, place)


def _described(file: InnerPath, cells: Mapping[str, str], place: str) -> _File:
    split = cells.get("split", "").strip().lower()
    if split not in sheets.NOTHING | {"train", "test"}:
        raise DataError(place, f"split: {printable(split, 60)!r} is neither train nor test")
    numbers = {
        column: sheets.number(column, cells.get(column, ""), place, whole=whole)
        for column, whole in {"snapshot": True, "step": True, "epoch": False}.items()
    }
    metrics = {name: sheets.number(name, cells.get(name, ""), place) for name in METRICS}
    recipe = {field: sheets.value(field, cells.get(field, ""), place) for field in FIELDS}
    return _File(
        at=file,
        net=cells.get("net", "").strip() or _net_of(file.thing),
        place=place,
        recipe={field: value for field, value in recipe.items() if value is not None},
        moment={"step": numbers["step"], "epoch": numbers["epoch"], **metrics},
        number=numbers["snapshot"],
        split=split if split in ("train", "test") else None,
        dead=sheets.switch("dead", cells.get("dead", ""), place),
    )


def _in_order(files: list[_File]) -> list[_File]:
    """The snapshots of a net from first to last, if the table says the order."""
    if len(files) == 1:
        return files
    for column in ("snapshot", "step", "epoch"):
        at: list[Any] = [f.number if column == "snapshot" else f.moment.get(column) for f in files]
        if all(value is None for value in at):
            continue
        if any(value is None for value in at):
            file = files[at.index(None)]
            raise DataError(
                file.place,
                f"file {file.file}: has no {column}, other snapshots of net "
                f"{printable(file.net)} have",
                "fill it in",
            )
        order = sorted(range(len(files)), key=lambda i: at[i])
        for i, j in pairwise(order):
            if at[i] == at[j] and column == "snapshot":
                raise DataError(
                    files[j].place,
                    f"net {printable(files[j].net)}: has two snapshots {at[j]}",
                    "number them differently",
                )
        return [files[i] for i in order]
    raise UsageError(
        files[0].place,
        f"net {printable(files[0].net)}: has {len(files)} files and nothing says in which order",
        "add a column snapshot, step or epoch",
    )


def _net_of(file: str) -> str:
    """The name of a net from the name of its file, without the suffix."""
    stem = file
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return plain_name(stem)
