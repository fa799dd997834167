"""The command `explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weightspace.cli import arguments
from weightspace.cli.arguments import Json, ZooName
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer

_MEGABYTE = 1e6


def explore(
    zoo: ZooName,
    out: Annotated[Path, typer.Option(help="The folder for the page; new, or empty.")],
    model: Annotated[
        Path | None, typer.Option(help="A folder that `fit` made: what it reads off each net.")
    ] = None,
    most_nets: Annotated[
        int, typer.Option(min=1, help="Of a larger zoo, so many nets are taken at random.")
    ] = 10_000,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a page with a map of a zoo, and with each of its nets.

    The page colours, filters and selects nets, and draws their paths during training. It opens in
    any browser, and needs no network.
    """
    from weightspace.report.exploring.page import explore as write

    arguments.folder(out)
    with bars() as listener:
        page = write(zoo, out, model, most_nets=most_nets, progress=listener)
    size = page.stat().st_size
    plain = {"page": str(page), "bytes": size}
    answer(as_json, plain, lambda: print(f"open {page} ({size / _MEGABYTE:.1f} MB)"))
