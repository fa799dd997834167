"""The commands that say what is there: info, check, spaces, images."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from weightspace.cli import show
from weightspace.cli.arguments import DataDir, Json, ZooName, ZooPath
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer


def info(zoo: ZooName, as_json: Json = False, debug: Debug = False) -> None:
    """Print what a zoo holds."""
    from weightspace.zoo import Zoo

    found = Zoo(zoo)
    answer(as_json, show.facts(found), lambda: show.zoo(found))


def check(
    zoo: ZooPath,
    full: Annotated[
        bool, typer.Option("--full", help="Also verify every vector's checksum.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find damaged and unfinished parts of a zoo.

    The exit code is 1 if a part of the zoo is damaged.
    """
    from weightspace import zoo as room

    with bars() as listener:
        findings = room.check(zoo, full=full, progress=listener)
    plain = [dataclasses.asdict(finding) for finding in findings]
    answer(as_json, plain, lambda: show.findings(findings, zoo, full))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def spaces(as_json: Json = False, debug: Debug = False) -> None:
    """List the spaces that come with the package."""
    from weightspace.space import PRESETS, preset

    found = [preset(name) for name in PRESETS]
    answer(as_json, [space.to_dict() for space in found], lambda: show.spaces(found))


def images(data_dir: DataDir = None, as_json: Json = False, debug: Debug = False) -> None:
    """List image sets, and where their files must be."""
    from weightspace.images import catalogue

    entries = catalogue(data_dir)
    plain = [dataclasses.asdict(entry) for entry in entries]
    answer(as_json, plain, lambda: show.images(entries))
