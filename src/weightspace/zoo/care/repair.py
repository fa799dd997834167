"""`repair`: move damaged files of a zoo aside, so that the rest is a sound zoo again."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from weightspace import disk
from weightspace.disk import InnerPath, Temporary, explained, write_file
from weightspace.errors import DataError, UsageError
from weightspace.networks import Plan
from weightspace.progress import Progress, silent
from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS
from weightspace.zoo.care.check import check, links
from weightspace.zoo.care.findings import Finding
from weightspace.zoo.files import hashing, places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.format import index, manifest, tables
from weightspace.zoo.format.layouts import read_layout
from weightspace.zoo.format.tables import ShardFacts

_FOLDERS = (places.SHARDS, places.SNAPSHOTS, places.NETS)  # in the order in which they are written
_NUMBER = re.compile(r"[0-9]{1,8}")


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    findings : tuple of Finding
        The errors that were repaired.
    aside : Path or None
        The folder, in the zoo, that now has the damaged files; None if nothing was damaged.
    kept, lost : tuple of str
        The nets of damaged stacks that are still in the zoo, and those that are not, as far as
        their names can be read.
    """

    findings: tuple[Finding, ...]
    aside: Path | None
    kept: tuple[str, ...]
    lost: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return dataclasses.asdict(self) | {"aside": self.aside and str(self.aside)}


def repair(path: str | Path, progress: Progress = silent) -> Repair:
    """Move the damaged files of a zoo aside, so that it passes `check(full=True)` again.

    Damaged files move into a numbered folder in `aside/`; nothing is deleted. If all rows and
    vectors of a net in a damaged stack are sound, the net stays in the zoo, in a stack with a new
    name. Run the same `sample` command to train the other nets again. A lost layout is made again
    from a recipe. Call `repair` again to finish one that was stopped.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Repair

    Raises
    ------
    DataError
        If the folder is not a zoo, its `zoo.json` is damaged, or the disk is full.
    """
    path = Path(path)
    dtype = manifest.dtype(manifest.read(path))
    with explained(path):
        _refuse_links(path)
        _finish(path)
        findings = tuple(f for f in check(path, True, progress) if f.severity == "error")
        if not findings:
            return Repair((), None, (), ())
        aside = _new_folder(path, findings)
        spoilt = _damaged_units(path, findings, aside)
        taken = _nets_of(path, set(places.units(path, places.NETS)) - set(spoilt))
        kept: list[str] = []
        lost: list[str] = []
        for i, unit in enumerate(spoilt):
            progress("repairing the zoo", i, len(spoilt))
            named, sound = _Unit(path, unit, dtype).replace(aside, taken.union(kept))
            kept += sound
            lost += named
        progress("repairing the zoo", len(spoilt), len(spoilt))
    return Repair(findings, aside.path, tuple(kept), tuple(sorted(set(lost) - taken.union(kept))))


def _refuse_links(path: Path) -> None:
    """Refuse a zoo with a folder that is a link: nothing behind it may be changed."""
    for finding in links(path):
        raise DataError(f"{path}/{finding.thing}", finding.message, finding.remedy)


def _finish(path: Path) -> None:
    """Put back the sound nets of damaged stacks that a stopped repair had moved aside."""
    aside = InnerPath(path) / places.ASIDE
    for number in disk.names(aside):
        if disk.is_folder(aside / number):
            disk.remove_leftovers(aside / number)
    stopped = places.unfinished_repairs(path)
    for stage in places.repairs(path):
        if stage in stopped:
            _publish(stage, path)
        else:  # the nets are in the zoo: their stack was not moved, or was sampled again
            _remove_stage(stage)


def _publish(source: InnerPath, path: Path) -> None:
    """Move a stack's files into the zoo, its table of nets last, and remove the empty folder."""
    for folder in _FOLDERS:
        for name in disk.names(source / folder):
            if name.endswith(places.SUFFIX[folder]):
                disk.rename(source / folder / name, InnerPath(path) / folder / name)
    _remove_stage(source)


def _remove_stage(stage: InnerPath) -> None:
    """Remove the files that a repair wrote into its own folder, and folders that are empty."""
    for folder in _FOLDERS:
        for name in disk.names(stage / folder):
            if name.endswith(places.SUFFIX[folder]):
                disk.remove(stage / folder / name)
        disk.remove_leftovers(stage / folder)
        disk.remove_empty(stage / folder)
    disk.remove_empty(stage)
    disk.remove_empty(stage.parent)


def _nets_of(path: Path, units: Iterable[str]) -> frozenset[str]:
    files = (places.part(path, places.NETS, unit) for unit in units)
    return frozenset(
        net for file in files for net in tables.read(file, tables.NETS)["net"].to_pylist()
    )


def _new_folder(path: Path, findings: Sequence[Finding]) -> InnerPath:
    """Make the next numbered folder and write the findings into it."""
    above = InnerPath(path) / places.ASIDE
    with explained(above):
        taken = [int(name) for name in disk.names(above) if _NUMBER.fullmatch(name)]
        number = max(taken, default=0) + 1
        while disk.exists(aside := above / f"{number:04d}"):
            number += 1
        disk.make_folder(aside)
    text = json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1)
    write_file(aside / "findings.json", text.encode() + b"\n")
    return aside


def _damaged_units(path: Path, findings: Sequence[Finding], aside: InnerPath) -> list[str]:
    """The stacks to move aside; damaged rounds and layouts are repaired at once."""
    units, keys = set(), set()
    for finding in findings:
        folder, _, name = finding.thing.partition("/")
        if folder == index.FOLDER:
            disk.remove(index.place(path) / index.CONTENTS)
        elif folder == places.ROUNDS:
            _move(InnerPath(path) / folder / name, aside / folder)
        elif folder == places.LAYOUTS:
            keys.add(Path(name).stem)
        else:
            units.add(Path(name).stem)
    for key in keys:
        units |= _units_without_layout(path, key, aside)
    return sorted(units & set(places.units(path, places.NETS)))


def _units_without_layout(path: Path, key: str, aside: InnerPath) -> set[str]:
    """Make a layout again from a recipe; if that fails, return the stacks that need it."""
    _move(places.part(path, places.LAYOUTS, key), aside / places.LAYOUTS)
    found = set()
    for unit in places.units(path, places.NETS):
        try:
            nets = tables.read(places.part(path, places.NETS, unit), tables.NETS).to_pylist()
        except DataError:
            continue  # reported by another finding
        mine = [row for row in nets if row["layout"] == key]
        if not mine:
            continue
        if not _remake_layout(path, key, mine[0]):
            found.add(unit)
    return found


def _remake_layout(path: Path, key: str, net: dict[str, Any]) -> bool:
    try:
        recipe = Recipe.from_dict({name: net[name] for name in FIELDS})
        layout = Plan.from_recipe(recipe).layout()
    except (UsageError, TypeError):
        return False
    if layout.key != key:
        return False
    write_file(places.layout_path(path, key), layout.to_json().encode())
    return True


def _move(file: InnerPath, folder: InnerPath) -> None:
    """Move a file if it exists."""
    disk.make_folder(folder)
    with suppress(FileNotFoundError):
        disk.rename(file, folder / file.name)


class _Unit:
    """One damaged stack: which of its nets are sound, and the stack that replaces it."""

    def __init__(self, path: Path, name: str, dtype: Dtype) -> None:
        self.path, self.name, self.dtype = path, name, dtype
        self.shard = places.part(path, places.SHARDS, name)

    def replace(self, aside: InnerPath, taken: frozenset[str]) -> tuple[list[str], list[str]]:
        """Move the stack aside and keep its sound nets, except nets in other stacks (`taken`).

        Returns the names of all its nets, as far as they can be read, and of those that are kept.
        """
        nets = moments = None
        try:
            nets = tables.read(places.part(self.path, places.NETS, self.name), tables.NETS)
            named = nets["net"].to_pylist()
            nets, moments = self._sound(nets, taken)
        except DataError:
            named = self._named_by_header() if nets is None else named
            nets = None
        stage = aside / places.KEPT / self.name
        if nets is not None and len(nets):
            self._write(stage, nets, moments)
        # If this is stopped from here on, `_finish` puts the sound nets back.
        for folder in reversed(_FOLDERS):  # without its table of nets it does not count as a stack
            _move(places.part(self.path, folder, self.name), aside / folder)
        if nets is None or not len(nets):
            return named, []
        _publish(stage, self.path)
        return named, nets["net"].to_pylist()

    def _named_by_header(self) -> list[str]:
        try:
            return list(shard.read(self.shard, self.dtype).nets)
        except DataError:
            return []

    def _sound(self, nets: pa.Table, taken: frozenset[str]) -> tuple[pa.Table, pa.Table]:
        """The rows of the nets in which everything is sound, and the rows of their vectors."""
        moments = tables.read(places.part(self.path, places.SNAPSHOTS, self.name), tables.SNAPSHOTS)
        rows, listed = nets.to_pylist(), moments.to_pylist()
        key = rows[0]["layout"] if rows else ""
        out = taken | self._spoilt(listed, read_layout(self.path, key).size)
        count = Counter(row["net"] for row in rows)
        kept = [
            row["net"] not in out
            and places.is_net(row["net"])
            and count[row["net"]] == 1
            and (row["unit"], row["layout"]) == (self.name, key)
            and row["split"] in ("train", "test")
            for row in rows
        ]
        names = {row["net"] for row, sound in zip(rows, kept, strict=True) if sound}
        return nets.filter(pa.array(kept)), moments.filter(
            pa.array([row["net"] in names for row in listed], pa.bool_())
        )

    def _spoilt(self, moments: list[dict[str, Any]], size: int) -> set[str]:
        """The nets with a vector that is not what was written."""
        count = Counter((row["net"], row["snapshot"]) for row in moments)
        held = disk.size(self.shard) if disk.is_file(self.shard) else 0
        most = held // (self.dtype.size * size)  # not more than the old shard
        wrong = {
            row["net"]
            for row in moments
            if count[row["net"], row["snapshot"]] > 1
            or not 1 <= row["snapshot"] <= most
            or (row["shard"], row["length"]) != (self.shard.name, size)
            or row["offset"] % self.dtype.size != 0
        }
        found = hashing.damaged(self.shard, moments, self.dtype.size, lambda share: None)
        return wrong | {moments[at]["net"] for at in found}

    def _write(self, stage: InnerPath, nets: pa.Table, moments: pa.Table) -> None:
        """Write the three files of a stack of these nets into a folder of their own."""
        names, rows = nets["net"].to_pylist(), moments.to_pylist()
        new = f"{self.name[:180]}-{shard.digest(' '.join(names).encode())}"
        size = read_layout(self.path, key := nets["layout"][0].as_py()).size
        most = max((row["snapshot"] for row in rows), default=1)
        blob, header = shard.compose(names, most, size, key, self.dtype)
        for folder in _FOLDERS:
            disk.make_folder(stage / folder)
        place = {net: i for i, net in enumerate(names)}
        offsets = [header.offset(place[row["net"]], row["snapshot"]) for row in rows]
        file = Temporary(places.part(stage, places.SHARDS, new), header.size)
        try:
            file.write(blob, 0)
            with disk.open_file(self.shard) as source:
                for row, offset in zip(rows, offsets, strict=True):
                    source.seek(row["offset"])
                    file.write(source.read(header.length), offset)
            file.sync()
            file.publish()
        finally:
            file.discard()
        facts = ShardFacts(file.final.name, header.size, most, header.checksum)
        moments = _with(moments, "shard", [file.final.name] * len(rows))
        moments = _with(moments, "offset", offsets)
        nets = _with(nets, "unit", [new] * len(names))
        for folder, data in (
            (places.SNAPSHOTS, tables.to_bytes(moments)),
            (places.NETS, tables.to_bytes(nets, facts)),
        ):
            write_file(places.part(stage, folder, new), data)


def _with(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    return table.set_column(at, field, pa.array(values, field.type))
