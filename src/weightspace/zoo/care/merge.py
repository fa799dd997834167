"""`merge`: join zoos that hold parts of one sampling run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from weightspace.disk import InnerPath, adopt, remove_leftovers
from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress, silent
from weightspace.zoo.care.check import check
from weightspace.zoo.files import places
from weightspace.zoo.format import index, manifest, rounds
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.reader import Zoo
from weightspace.zoo.writing.writer import Writer

_MAY_DIFFER = {"device"}
"""Settings that may differ between zoos of one run; their rounds say how each was made."""


def merge(
    out: str | Path,
    zoos: Sequence[str | Path],
    *,
    copy: bool = False,
    progress: Progress = silent,
) -> Zoo:
    """Join the zoos of one sampling run, such as its shards.

    The zoos must agree in space, seed, number of snapshots, evaluation images and the images
    themselves. A stack that is in several zoos is taken once if all its vectors are equal bit for
    bit. Nothing in `out` is overwritten, and the given zoos do not change. Stacks are added one
    after the other, each completely or not at all. Call it again to continue a merge that was
    stopped.

    Parameters
    ----------
    out : str or Path
        The folder of the result: a new one, or a zoo that was merged before.
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
        If the zoos do not belong to one run, or a net is in two of them. Nothing is written.
    DataError
        If a zoo is damaged (every vector is compared with its checksum) or the disk is too small.
        Nothing is written.
    """
    out = Path(out)
    parts = sound_zoos(out, zoos, progress)
    into = [sound_zoo(out, False, progress)] if (out / places.MANIFEST).exists() else []
    whole = [*into, *parts]
    for other in whole[1:]:
        _refuse_another_run(whole[0], other)
    begun = _rounds(whole)
    _refuse_twice(whole)
    todo = files_missing(out, into, parts)
    refuse_without_room(out, todo, copy)
    first = whole[0].meta
    info = {**first["info"], "versions": first["versions"]}
    dtype = manifest.dtype(first).name
    writer = Writer(out, space=whole[0].space, seed=first["seed"], info=info, dtype=dtype)
    for one in begun:  # before the stacks, so that readers see which nets are missing
        while one not in (there := rounds.read(out)).values():
            writer.begin(max(there, default=0) + 1, one)
    for done, (file, target) in enumerate(todo):
        progress("merging zoos", done, len(todo))
        remove_leftovers(target.parent, target.stem)
        adopt(file, target, copy=copy)
    progress("merging zoos", len(todo), len(todo))
    index.refresh(out, progress)
    return Zoo(out)


def sound_zoos(out: Path, zoos: Sequence[str | Path], progress: Progress) -> list[Zoo]:
    """Open the zoos to merge, after checking all their vectors."""
    if isinstance(zoos, str | Path) or not zoos:
        raise UsageError("zoos", f"{zoos!r} is not a list of zoos", "give at least one")
    seen = {os.path.realpath(out)}
    for path in map(Path, zoos):
        if (real := os.path.realpath(path)) in seen:
            raise UsageError(path, "is given twice", "give each zoo once, the result first")
        seen.add(real)
    return [sound_zoo(Path(path), True, progress) for path in zoos]


def sound_zoo(path: Path, full: bool, progress: Progress) -> Zoo:
    """Open a zoo in which `check` finds no error; DataError with the first error otherwise."""
    for finding in check(path, full, progress):
        if finding.severity == "error":
            raise DataError(path, f"{finding.thing}: {finding.message}", finding.remedy)
    return Zoo(path)


def _refuse_another_run(one: Zoo, other: Zoo) -> None:
    differences = manifest.differences(one.meta, other.meta)
    infos = one.meta["info"], other.meta["info"]
    for key in sorted((infos[0].keys() | infos[1].keys()) - _MAY_DIFFER):
        if infos[0].get(key) != infos[1].get(key):
            differences.append((key, str(infos[0].get(key)), str(infos[1].get(key))))
    digests = [dict(chain(*(r.images.items() for r in z.rounds.values()))) for z in (one, other)]
    for name in sorted(digests[0].keys() & digests[1].keys()):
        if digests[0][name] != digests[1][name]:
            differences.append((f"the digest of {name}", digests[0][name], digests[1][name]))
    if differences:
        name, here, there = differences[0]
        raise UsageError(
            other.path,
            f"is from another run than {one.path}, {name} is {there}, not {here}",
            "merge zoos of one space, seed and settings",
        )


def _refuse_twice(zoos: Sequence[Zoo]) -> None:
    """Refuse a net that is in two zoos, except in the same stack with equal vectors."""
    nets = zoos[0].nets.with_columns(_zoo=pl.lit(0))
    moments = zoos[0].snapshots
    units = _units(zoos[0])
    for number, zoo in enumerate(zoos[1:], 1):
        refuse_other_units(zoo, units)
        clash = nets.join(zoo.nets, on="index").filter(pl.col("net") != pl.col("net_right"))
        if len(clash):
            row = clash.row(0, named=True)
            raise UsageError(
                zoo.path,
                f"net {row['net_right']} is number {row['index']} of the draw, as is "
                f"{row['net']} of {zoos[row['_zoo']].path}",
                "merge zoos of one run",
            )
        both = nets.join(zoo.nets, on="net")
        odd = both.filter(pl.col("unit") != pl.col("unit_right"))
        how = "is there in another stack"
        if odd.is_empty():
            ours = moments.join(both.select("net"), on="net", how="semi")
            theirs = zoo.snapshots.join(both.select("net"), on="net", how="semi")
            joined = ours.join(theirs, on=["net", "snapshot"], how="full", coalesce=True)
            unequal = joined.filter(pl.col("checksum").ne_missing(pl.col("checksum_right")))
            odd = both.join(unequal.select("net"), on="net", how="semi")
            how = "has other weights there"
        if len(odd):
            row = odd.row(0, named=True)
            raise UsageError(
                zoo.path,
                f"net {row['net']} is also in {zoos[row['_zoo']].path} and {how}",
                "merge disjoint zoos, such as shards 1/2 and 2/2",
            )
        new = zoo.nets.join(both.select("net"), on="net", how="anti")
        try:
            nets = pl.concat([nets, new.with_columns(_zoo=pl.lit(number))], how="diagonal")
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(zoo.path, f"its columns differ from the others' ({reason})") from None
        fresh = zoo.snapshots.join(both.select("net"), on="net", how="anti")
        moments = pl.concat([moments, fresh], how="diagonal")


def _units(zoo: Zoo) -> dict[str, tuple[Path, frozenset[str]]]:
    """The nets of each stack, and the zoo that contains it."""
    grouped = zoo.nets.group_by("unit").agg("net").iter_rows()
    return {unit: (zoo.path, frozenset(nets)) for unit, nets in grouped}


def refuse_other_units(zoo: Zoo, known: dict[str, tuple[Path, frozenset[str]]]) -> None:
    """Refuse a stack whose name is known but whose nets differ; add a new name to the known."""
    for unit, (_, nets) in _units(zoo).items():
        there, others = known.setdefault(unit, (zoo.path, nets))
        if odd := nets ^ others:
            raise UsageError(
                zoo.path,
                f"stack {unit} holds other nets than in {there}, such as {min(odd)}",
                "write stacks of different nets under different names",
            )


def _rounds(zoos: Iterable[Zoo]) -> list[Round]:
    """The rounds of all zoos, plus one for nets that belong to no round of their zoo."""
    named: list[tuple[object, Round]] = []
    for zoo in zoos:
        own: list[tuple[object, Round]] = [
            (rounds.file_of(zoo.path, number), one) for number, one in zoo.rounds.items()
        ]
        if rest := rounds.not_held(zoo.nets["index"], (one for _, one in own)):
            own.append((zoo.path, Round.of(rest, {}, {})))
        named += [(file, one) for file, one in own if one not in [known for _, known in named]]
    try:
        rounds.refuse_overlap(named)
    except DataError as error:
        remedy = "merge zoos that set out to sample disjoint nets"
        raise UsageError(error.thing, error.cause, remedy) from None
    return [one for _, one in named]


def files_missing(
    out: Path, into: Sequence[Zoo], parts: Iterable[Zoo]
) -> list[tuple[InnerPath, InnerPath]]:
    """The files that the result lacks and their names there, in the order in which to add them."""
    there = {unit for zoo in into for unit in zoo.nets["unit"]}
    laid: set[str] = set()
    files = []
    for part in parts:
        units = part.nets.group_by("unit", maintain_order=True).agg(pl.col("layout").unique())
        for unit, keys in units.iter_rows():
            if unit in there:
                continue
            there.add(unit)
            files += [(places.LAYOUTS, key, part.path) for key in keys if key not in laid]
            laid.update(keys)
            folders = (places.SHARDS, places.SNAPSHOTS, places.NETS)
            files += [(folder, unit, part.path) for folder in folders]
    return [(places.part(source, *of), places.part(out, *of)) for *of, source in files]


def refuse_without_room(out: Path, todo: Iterable[tuple[InnerPath, InnerPath]], copy: bool) -> None:
    """Raise DataError if the files that are copied, not linked, do not fit on the disk."""
    above = next(path for path in (out, *out.absolute().parents) if path.exists())
    here = above.stat().st_dev
    files = [file.path.stat() for file, _ in todo]
    needed = sum(file.st_size for file in files if copy or file.st_dev != here)
    free = shutil.disk_usage(above).free
    if needed > free:
        raise DataError(
            out,
            f"needs {needed / 1000000000.0:.2f} GB, the disk has {free / 1000000000.0:.2f} GB",
            "free some, or merge on the disk where the zoos are",
        )
