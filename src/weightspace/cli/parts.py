"""The commands for parts of zoos: merge, index, repair, and reproduce one net."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weightspace import disk
from weightspace.cli import show
from weightspace.cli.arguments import DataDir, Json, ZooPath
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer


def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The zoo to make, or to add to.")],
    zoos: Annotated[list[Path], typer.Argument(metavar="ZOO...", help="Zoos to join.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy files instead of making hard links.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Merge zoos into one: parts of one run, or recorded runs."""
    from weightspace import recording

    with bars() as listener:
        merged = recording.merge(out, zoos, copy=copy, progress=listener)
    answer(as_json, show.facts(merged), lambda: show.zoo(merged))


def index(zoo: ZooPath, as_json: Json = False, debug: Debug = False) -> None:
    """Copy the tables of a zoo into a few files, to open it faster.

    A zoo at a URL also opens faster. Nets that are added later are still found; run this command
    again after adding many.
    """
    from weightspace import zoo as room

    with bars() as listener:
        folder = room.write_index(zoo, progress=listener)
    files = disk.walk(disk.inner_of(folder))
    size = sum(disk.size(file) for file in files if disk.is_file(file))
    told = {"index": str(folder), "bytes": size}
    answer(as_json, told, lambda: show.index(folder, size))


def repair(zoo: ZooPath, as_json: Json = False, debug: Debug = False) -> None:
    """Move damaged parts of a zoo aside.

    The rest of the zoo can then be read. Nothing is deleted. The same `weightspace sample` command
    trains the missing nets again.
    """
    from weightspace import zoo as room

    with bars() as listener:
        done = room.repair(zoo, progress=listener)
    answer(as_json, done.to_dict(), lambda: show.repair(done))


def reproduce(
    zoo: ZooPath,
    net: Annotated[str, typer.Argument(metavar="NET", help="The net: its 16 hex digits.")],
    data_dir: DataDir = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default the device of the zoo.")
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(metavar="FILE.py", help="The file of the net's module; it is run."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train one net of a zoo again, and compare the weights.

    Nothing is written.
    """
    from weightspace import sampling

    with bars() as listener:
        found = sampling.reproduce(
            zoo, net, data_dir=data_dir, device=device, module=module, progress=listener
        )
    answer(as_json, found.to_dict(), lambda: show.reproduction(found))
