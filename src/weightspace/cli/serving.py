"""The command `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from weightspace.cli.output import Debug


def app(
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")] = 7860,
    most: Annotated[
        int,
        typer.Option("--max-upload", metavar="MB", min=1, help="The largest file."),
    ] = 500,
    seconds: Annotated[
        int, typer.Option("--max-time", metavar="SECONDS", min=1, help="The longest audit.")
    ] = 600,
    debug: Debug = False,
) -> None:
    """Serve audits, comparisons and explorers in the browser.

    Each audit runs in a process of its own. Nothing in a file is executed, and a file is removed
    when its audit has ended. It needs the extra `app`.
    """
    from weightspace.app.limits import MEGABYTE, Limits
    from weightspace.app.serving import serve

    limits = Limits(upload=most * MEGABYTE, stored=10 * most * MEGABYTE, seconds=seconds)
    serve(host, port, limits)
