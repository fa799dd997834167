"""`add`: make a zoo of checkpoints that someone else trained, with a table of what is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop import sheets
from weightspace.interop.arrivals import (
    Arrival,
    LeftOut,
    NoNet,
    Origin,
    Vectors,
    settle,
    sparing,
)
from weightspace.interop.candidates import (
    STATE,
    UNREADABLE,
    Candidate,
    Note,
    NotTaken,
    candidates,
    stem_of,
)
from weightspace.interop.checkpoints import read
from weightspace.interop.inside import below, folder_of
from weightspace.interop.netnames import check_name, different, twice
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo

TABLE = "known.csv"
_USUAL = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
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
    not_taken: Note = lambda file: None,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo of the checkpoints in a folder, with a table of what is known about them.

    The files are read as by `read_checkpoint`; nothing in them is executed. Files without a suffix
    of a checkpoint, hidden files, and those that hold the state of an optimizer are not taken. The
    shards of a net are one net, with their index. Of a net in two formats, one file is taken.

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
        row mean unknown. Every file of a row is taken.
    left_out : callable, optional
        As for `import_zoo`.
    not_taken : callable, optional
        Called with a `NotTaken` (file, reason, detail) for each file that is not taken.
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
    arrivals = list(_arrivals(inside, Path(known) if known else None, left_out, not_taken))
    if not arrivals:
        raise DataError(
            folder, f"contains no nets in files {', '.join(_USUAL)}", "name another folder"
        )

    def no_net(file: str, error: DataError) -> None:
        not_taken(NotTaken(file, error.cause, error.remedy))

    return settle(Path(out), arrivals, _ORIGIN, left_out, progress, no_net)


@dataclass(frozen=True)
class _File:
    """A checkpoint, and what the table says about it; `row` is the place of its row."""

    file: Candidate
    row: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    moment: Mapping[str, Any] = field(default_factory=dict)
    net: str | None = None
    number: int | None = None
    split: str | None = None
    dead: bool | None = None

    @property
    def listed(self) -> bool:
        """Whether the table has a row for it."""
        return self.row != self.file.way


def _arrivals(
    folder: InnerPath, table: Path | None, left_out: LeftOut | None, note: Note
) -> Iterator[Arrival]:
    """The nets, each with the name that the table gives or a name that is made of its path."""
    rows = _Rows(folder, left_out)
    files = [*rows.read(table)] if table else []
    found = candidates(folder, rows.ways, note)
    files += [_File(file, file.way) for file in found]
    nets: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        nets[file.net or f"/{file.file.way}"].append(file)
    alone = [own[0].file for own in nets.values() if own[0].net is None]
    made = dict(zip(alone, different([(file.stem, file.way) for file in alone]), strict=True))
    for net, own in nets.items():
        name = own[0].net or made[own[0].file]
        with sparing(name, left_out):
            if own[0].net is None and name in nets:
                raise twice(name, nets[name][0].file.way, own[0].file.way)
            if own[0].net not in rows.wrong:
                yield _arrival(name, _in_order(net, own))


def _arrival(net: str, files: Sequence[_File]) -> Arrival:
    first = files[0]
    recipe: dict[str, Any] = {}
    for file in files:
        own = {**file.recipe, "split": file.split, "dead": file.dead}
        sheets.agree(own, recipe, f"net {printable(net)}", file.row)
        recipe |= {name: value for name, value in own.items() if value is not None}
    split, dead = recipe.pop("split", None), recipe.pop("dead", None)
    return Arrival(
        source=first.file.way,
        recipe=recipe,
        moments=[file.moment for file in files],
        read=partial(_read, files, recipe),
        split=split,
        name=net,
        facts={} if dead is None else {"dead": dead},
    )


def _read(files: Sequence[_File], recipe: Mapping[str, Any]) -> Vectors:
    for file in files:
        one = file.file
        if one.index:
            raise DataError(
                one.place,
                f"is a part of a net whose list of parts, {printable(one.index)}, is missing",
                "fetch it; give a row in `known=` to each part that is a net of its own",
            )
        try:
            yield read(one.place, recipe)
        except DataError as error:
            if not file.listed and one.is_an_optimizer():
                raise NoNet(one.place, STATE) from None
            if not file.listed and not one.is_surely_a_net():
                raise NoNet(one.place, UNREADABLE, error.cause) from None
            raise


class _Rows:
    """The rows of the table, each about one file, which must exist and occur once.

    `ways` are the files of all rows. `wrong` are the names of nets with a row that was left out.
    """

    def __init__(self, folder: InnerPath, left_out: LeftOut | None) -> None:
        self._folder, self._left_out = folder, left_out
        self._seen: dict[str, str] = {}
        self.wrong: set[str] = set()

    @property
    def ways(self) -> Collection[str]:
        return self._seen

    def read(self, table: Path) -> Iterator[_File]:
        """The files of the rows; a wrong row is left out with its net, or is an error."""
        for row, cells in sheets.rows(table, COLUMNS[:1], COLUMNS[1:]):
            net = cells.get("net", "").strip()
            try:
                yield _described(self._file(cells["file"], row), cells, row)
            except DataError as error:
                if self._left_out is None:
                    raise
                self._left_out(net or cells["file"], error)
                self.wrong |= {net} - {""}

    def _file(self, said: str, row: str) -> Candidate:
        file = below(self._folder, said)
        if file is None:
            raise DataError(
                row,
                f"file: {printable(said, 80)!r} leads out of the folder",
                "make it relative to it, without '..'",
            )
        way = file.thing
        if way in self._seen:
            raise DataError(row, f"file {way}: is already in {self._seen[way]}", "remove one")
        self._seen[way] = row
        if not disk.is_file(file):
            real = disk.without_links(file)  # it may be in a folder behind a link
            if real is None or not disk.is_file(real):
                raise DataError(
                    row, f"file {way}: is not in {self._folder}", "correct or remove the row"
                )
            file = real
        return Candidate(way, file, stem_of(way))


def _described(file: Candidate, cells: Mapping[str, str], place: str) -> _File:
    net = cells.get("net", "").strip()
    if net:
        check_name(net, file.way)
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
        file,
        place,
        net=net or None,
        recipe={field: value for field, value in recipe.items() if value is not None},
        moment={"step": numbers["step"], "epoch": numbers["epoch"], **metrics},
        number=numbers["snapshot"],
        split=split if split in ("train", "test") else None,
        dead=sheets.switch("dead", cells.get("dead", ""), place),
    )


def _in_order(net: str, files: list[_File]) -> list[_File]:
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
                file.row,
                f"file {file.file.way}: has no {column}, other snapshots of net {net} have",
                "fill it in",
            )
        order = sorted(range(len(files)), key=lambda i: at[i])
        for i, j in pairwise(order):
            if at[i] == at[j] and column == "snapshot":
                raise DataError(
                    files[j].row,
                    f"net {net}: has two snapshots {at[j]}",
                    "number them differently",
                )
        return [files[i] for i in order]
    raise DataError(
        files[0].row,
        f"net {net}: has {len(files)} files and nothing says in which order",
        "add a column snapshot, step or epoch",
    )
