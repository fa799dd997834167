"""`check`: find everything that is wrong with a zoo on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.progress import Progress, silent
from weightspace.zoo.care.findings import MOVE, RECORD, RESUME, Finding, from_error, naming
from weightspace.zoo.care.stackcheck import Seen, StackCheck
from weightspace.zoo.files import places
from weightspace.zoo.format import index, manifest, rounds, states
from weightspace.zoo.format.layouts import read_layout
from weightspace.zoo.reading.reader import Zoo

_SEVERITIES = ("error", "warning", "info")


def check(path: str | Path, full: bool = False, progress: Progress = silent) -> list[Finding]:
    """Find everything that is wrong with a zoo.

    Tables, sizes, headers and layouts are compared with one another.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo.
    full : bool
        Also read every vector and compare it with its checksum.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    list of Finding
        Errors first; empty if nothing is wrong.

    Raises
    ------
    DataError
        If there is no zoo at `path`.
    """
    path = Path(path)
    if not any((path / name).exists() for name in (places.MANIFEST, *places.FOLDERS)):
        manifest.read(path)  # raises, because there is no zoo
    try:
        meta = manifest.read(path)
        dtype = manifest.dtype(meta)
    except DataError as error:
        return [from_error(error, places.MANIFEST)]
    if led_out := list(links(path)):
        return led_out  # nothing behind a link is read
    findings = [*_leftovers(path), *_half_written(path), *_strangers(path), *_states(path, full)]
    findings += [*_unrepaired(path), *_index(path)]
    seen = Seen({}, set(), defaultdict(list))
    units = places.units(path, places.NETS)
    for i, unit in enumerate(units):
        report = partial(_tell, progress, i, len(units))
        findings += StackCheck(path, unit, dtype, seen).findings(full, report)
        report(1.0)
    findings += [*_layouts(path, seen.layouts), *_rounds(path, seen.present)]
    if not any(finding.severity == "error" for finding in findings):
        findings += _opened(path)
    if "recorded" in meta["info"]:
        findings = [replace(f, remedy=f.remedy.replace(RESUME, RECORD)) for f in findings]
    return sorted(findings, key=lambda f: (_SEVERITIES.index(f.severity), f.thing))


def _tell(progress: Progress, done: int, total: int, share: float) -> None:
    progress("checking the zoo", done + share, total)


def links(path: Path) -> Iterator[Finding]:
    """Find folders of the zoo that are links or no folders; no command follows them."""
    root, aside = InnerPath(path), InnerPath(path) / places.ASIDE
    folders = [root / name for name in (*places.FOLDERS, places.STATES, index.FOLDER, places.ASIDE)]
    if disk.is_folder(aside):
        numbered = [aside / name for name in disk.names(aside) if name.isdecimal()]
        folders += numbered
        folders += [one / places.KEPT for one in numbered if disk.is_folder(one)]
    for folder in folders:
        if disk.exists(folder) and not disk.is_folder(folder):
            message = "is a link or not a folder, so it is not read"
            yield Finding("error", folder.thing, message, "put the folder itself there")


def _opened(path: Path) -> Iterator[Finding]:
    """Find what is wrong only when all stacks are taken together, as readers do."""
    try:
        zoo = Zoo(path)
        _ = zoo.snapshots, zoo.rounds  # these are read only when they are needed
    except DataError as error:
        yield from_error(error, places.NETS)


def _leftovers(path: Path) -> Iterator[Finding]:
    names = (*places.FOLDERS, places.STATES)
    stands_on = {states.shard_of(path, unit) for unit in places.units(path, places.STATES)}
    root = InnerPath(path)
    for folder in (root, *(root / name for name in names)):
        for file in disk.temporaries(folder):
            if file.name in stands_on:
                continue
            thing = file.thing
            if disk.is_being_written(file):
                yield Finding("info", thing, "is being written", "nothing needs to be done")
            else:
                message = "was left unfinished by a writer that was stopped"
                yield Finding("warning", thing, message, f"{RESUME}, or delete it")


def _half_written(path: Path) -> Iterator[Finding]:
    committed = set(places.units(path, places.NETS))
    for folder in (places.SHARDS, places.SNAPSHOTS):
        for unit in places.units(path, folder):
            if unit not in committed:
                thing = f"{folder}/{unit}{places.SUFFIX[folder]}"
                message = f"stack {unit} is incomplete: no file in nets, so readers ignore it"
                yield Finding("warning", thing, message, f"{RESUME}, or delete it")


def _states(path: Path, full: bool) -> Iterator[Finding]:
    """Find saved states of stacks that are not finished; readers ignore them."""
    folder = InnerPath(path) / places.STATES
    for file in (folder / name for name in disk.names(folder) if not name.startswith(".")):
        thing, unit = file.thing, file.stem
        shard_name = states.shard_of(path, unit)
        if file.suffix == states.ASIDE:
            message = "is a state that could not be used"
            yield Finding("info", thing, message, "delete it, or finish the stack")
        elif file.suffix != places.SUFFIX[places.STATES]:
            yield Finding("info", thing, "is not a file of the zoo, so readers ignore it", MOVE)
        elif not shard_name or (full and not _readable(path, unit)):
            message = "is damaged, so the stack will be trained from the beginning"
            yield Finding("warning", thing, message, RESUME)
        elif disk.is_being_written(InnerPath(path) / places.SHARDS / shard_name):
            yield Finding("info", thing, f"stack {unit} is in training", "nothing needs to be done")
        else:
            message = f"stack {unit} was stopped during training, and its state is kept"
            yield Finding("warning", thing, message, RESUME)


def _readable(path: Path, unit: str) -> bool:
    try:
        return states.read(path, unit) is not None
    except DataError:
        return False


def _strangers(path: Path) -> Iterator[Finding]:
    for folder in places.FOLDERS:
        known = {f"{stem}{places.SUFFIX[folder]}" for stem in places.units(path, folder)}
        for name in disk.names(InnerPath(path) / folder):
            if name not in known and not disk.is_temporary(name):
                message = "is not a file of the zoo, so readers ignore it"
                yield Finding("info", f"{folder}/{name}", message, MOVE)


def _unrepaired(path: Path) -> Iterator[Finding]:
    for folder in places.unfinished_repairs(path):
        message = "a repair was stopped before it put these nets back"
        remedy = "run `weightspace repair` again"
        yield Finding("warning", folder.thing, message, remedy)


def _index(path: Path) -> Iterator[Finding]:
    """Find a damaged or an old index; readers then read the stacks' own tables, which is slower."""
    if not disk.exists(index.place(path) / index.CONTENTS):
        return
    found = index.read(path)
    try:
        if found:
            for table in index.TABLES:
                index.read_table(path, found, table)
    except DataError:
        found = None
    again = "run `weightspace index` again"
    if found is None:
        yield Finding("warning", "index", "is damaged, so local readers do not use it", again)
    elif wrong := next(index.lies(path, found), ""):
        yield Finding("error", index.FOLDER, f"does not agree with {wrong}", again)
    elif set(found.units) != set(places.units(path, places.NETS)):
        yield Finding("info", "index", "covers other stacks than the zoo has now", again)


def _rounds(path: Path, present: set[int]) -> Iterator[Finding]:
    """Find nets that were to be sampled and are missing, by their positions in the draw."""
    try:
        found = rounds.read(path)
    except DataError as error:
        yield from_error(error, error.thing.removeprefix(f"{path}/"))
        return
    there = np.array(sorted(present), np.int64)
    for number, one in found.items():
        if missing := one.count - int(one.held(there).sum()):
            thing = rounds.file_of(path, number).thing
            message = f"{missing:,} of its {one.count:,} nets are not in the zoo"
            yield Finding("warning", thing, message, RESUME.replace("the stack", "it"))


def _layouts(path: Path, found: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Find layouts that cannot be read, each with the nets that need it."""
    for key, nets in found.items():
        try:
            read_layout(path, key)
        except DataError as error:
            thing = f"{places.LAYOUTS}/{key}{places.SUFFIX[places.LAYOUTS]}"
            yield naming(from_error(error, thing), nets)
