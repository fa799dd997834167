"""`merge`: join zoos, those of one sampling run and those of recorded runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from weightspace import zoo as rooms
from weightspace.disk import InnerPath, adopt, remove_leftovers, write_file
from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress, silent
from weightspace.recording import stories
from weightspace.recording.recipes import KINDS
from weightspace.recording.register import ENTRY, Register, joined_kinds, split_of
from weightspace.zoo import Writer, Zoo, refresh_index
from weightspace.zoo.care.merge import (
    files_missing,
    refuse_other_units,
    refuse_without_room,
    sound_zoo,
    sound_zoos,
)
from weightspace.zoo.files import places
from weightspace.zoo.format import manifest, tables

log = logging.getLogger("weightspace")
_KINDS = {pl.String: KINDS[str], pl.Boolean: KINDS[bool], pl.Float64: KINDS[float]}
_PLACE = {"index", "split", "unit"}
"""Columns that say where a run is in its zoo, not what it is."""
_WHERE = {"shard", "offset"}


def merge(
    out: str | Path,
    zoos: Sequence[str | Path],
    *,
    copy: bool = False,
    progress: Progress = silent,
) -> Zoo:
    """Join zoos into one: parts of one sampling run, such as its shards, or recorded runs.

    Zoos of a sampling run must agree in space, seed, number of snapshots, evaluation images and the
    images themselves. Zoos of recorded runs may differ in all of that, and in the layouts of their
    nets; the space of the result has the values that occur in any of them. Nothing in `out` is
    overwritten, and the given zoos do not change. Call it again to continue a merge that was
    stopped.

    A net that is in several zoos is taken once if all its vectors are equal bit for bit, and for
    recorded runs, if what is known of it is equal, too. Recorded runs get numbers in the order of
    the zoos, and their split with it; those of the first zoo keep theirs. Runs that have not ended
    stay where they are.

    Parameters
    ----------
    out : str or Path
        The folder of the result: a new one, or a zoo of the same kind.
    zoos : sequence of str or Path
        The folders of the zoos.
    copy : bool
        Copy the files. By default they get a second name (a hard link) if the file system allows
        it.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Zoo
        The zoo at `out`.

    Raises
    ------
    UsageError
        If sampled zoos do not belong to one run, or zoos contradict each other about a net. Nothing
        is written.
    DataError
        If a zoo is damaged (every vector is compared with its checksum) or the disk is too small.
        Nothing is written.
    """
    out = Path(out)
    paths = [] if isinstance(zoos, str | Path) else [Path(path) for path in zoos]
    if not any(_is_recorded(path) for path in (out, *paths)):
        return rooms.merge(out, zoos, copy=copy, progress=progress)
    parts = sound_zoos(out, zoos, progress)
    into = [sound_zoo(out, False, progress)] if (out / places.MANIFEST).exists() else []
    whole = [*into, *parts]
    _refuse_another_kind(whole)
    kinds = _kinds(whole)
    _refuse_other_runs(whole)
    todo = files_missing(out, into, parts)
    _refuse_open(out, {target.stem for _, target in todo if _is_nets(target)})
    refuse_without_room(out, todo, copy)
    for part in parts:
        _tell_of_open_runs(part.path)
    register = Register(out, parts[0].dtype.name)
    most = max(zoo.meta["info"].get("snapshots", 0) for zoo in whole)
    with register.alone() as writer:
        register.admit(writer, (row for zoo in parts for row in zoo.nets.to_dicts()), kinds, most)
        there = writer.finished
        todo = [one for one in todo if one[1].stem not in there]  # runs that ended meanwhile
        for done, (file, target) in enumerate(todo):
            progress("merging zoos", done, len(todo))
            remove_leftovers(target.parent, target.stem)
            if not (_is_nets(target) and _renumbered(file, target, register, writer)):
                adopt(file, target, copy=copy)
        progress("merging zoos", len(todo), len(todo))
    refresh_index(out, progress)
    return Zoo(out)


def _is_recorded(path: Path) -> bool:
    """Whether a zoo has recorded runs; a folder that is no zoo is refused later."""
    try:
        return ENTRY in manifest.read(path)["info"]
    except (DataError, UsageError):
        return False


def _is_nets(target: InnerPath) -> bool:
    return target.parent.name == places.NETS


def _renumbered(file: InnerPath, target: InnerPath, register: Register, writer: Writer) -> bool:
    """Write the table of a run with its number in the result; False if the file has it already."""
    table = tables.read(file, tables.NETS)
    for row in table.to_pylist():
        number = register.number(writer, row["index"])
        new = {"index": number, "split": split_of(number)}
        if {name: row[name] for name in new} == new:
            return False
        for name, value in new.items():
            at = table.schema.get_field_index(name)
            field = table.schema.field(at)
            table = table.set_column(at, field, pa.array([value], field.type))
    write_file(target, tables.to_bytes(table, tables.facts(file, table)))
    return True


def _refuse_another_kind(zoos: Sequence[Zoo]) -> None:
    for zoo in zoos:
        if ENTRY not in zoo.meta["info"]:
            other = next(one.path for one in zoos if ENTRY in one.meta["info"])
            raise UsageError(
                zoo.path,
                f"is no zoo of recorded runs, and {other} is one",
                "merge zoos of one kind",
            )
        if zoo.dtype != zoos[0].dtype:
            raise UsageError(
                zoo.path,
                f"stores {zoo.dtype.name}, and {zoos[0].path} {zoos[0].dtype.name}",
                "merge zoos that store the same",
            )
        if zoo.nets["unit"].n_unique() < zoo.nets.height:
            raise UsageError(zoo.path, "has stacks of several nets, and a recorded run is alone")


def _kinds(zoos: Sequence[Zoo]) -> dict[str, str]:
    """What the further columns of all zoos hold; UsageError if two disagree."""
    found: dict[str, str] = {}
    for zoo in zoos:
        extra = {
            name: kind for name, kind in zoo.nets.schema.items() if name not in tables.NETS.names
        }
        own = {name: _KINDS.get(type(kind), str(kind)) for name, kind in extra.items()}
        try:
            found = joined_kinds(found, own, "another zoo")
        except UsageError as error:
            raise UsageError(zoo.path, f"column {error.thing} {error.cause}", _RECORD) from None
    return found


_RECORD = "leave one of the two zoos out, or record one of them again"


def _refuse_other_runs(zoos: Sequence[Zoo]) -> None:
    """Refuse zoos that say or hold different things of one run."""
    units: dict[str, tuple[Path, frozenset[str]]] = {}
    first: dict[str, Zoo] = {}
    for zoo in zoos:
        refuse_other_units(zoo, units)
        both = [net for net in zoo.nets["net"] if net in first]
        for net in both:
            if odd := _difference(net, zoo, first[net]):
                raise UsageError(
                    zoo.path,
                    f"run {net} is also in {first[net].path} and {odd}",
                    "leave one of the two zoos out, or record that run under another name",
                )
        first |= dict.fromkeys(zoo.nets["net"], zoo) | {net: first[net] for net in both}


def _difference(net: str, zoo: Zoo, other: Zoo) -> str:
    """In what the same run differs in two zoos; "" if it does not."""
    moments = [one.snapshots.filter(net=net) for one in (zoo, other)]
    marks = [frame.select("snapshot", "step", "checksum", "length").rows() for frame in moments]
    layouts = [one.layout(net).key for one in (zoo, other)]
    if layouts[0] != layouts[1]:
        return "has other tensors there"
    if marks[0] != marks[1]:
        return "has other weights there"
    for frames, skip in (
        ([one.nets.filter(net=net) for one in (zoo, other)], _PLACE),
        (moments, _WHERE),
    ):
        for here, there in zip(*(frame.to_dicts() for frame in frames), strict=True):
            for name in (here.keys() | there.keys()) - skip:
                if not _same(here.get(name), there.get(name)):
                    return f"its {name} is {there.get(name)} there, not {here.get(name)}"
    return ""


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _refuse_open(out: Path, units: set[str]) -> None:
    """Refuse to bring runs into a zoo in which runs of the same names have not ended."""
    for name in stories.not_ended(out):
        if stories.unit_of(name) in units:
            raise UsageError(
                f"run {name}",
                f"has not ended in {out}",
                "finish or discard it there (`Recorder.finish`, `Recorder.discard`), then merge",
            )


def _tell_of_open_runs(path: Path) -> None:
    if names := stories.not_ended(path):
        log.warning(
            f"{path}: runs that have not ended are not merged: {', '.join(names)}; "
            "merge again when they have"
        )
