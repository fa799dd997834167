"""The command `watch`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from weightspace.cli.output import Debug
from weightspace.printable import printable


def watch(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Where checkpoints are or will be, or a zoo."),
    ],
    model: Annotated[Path, typer.Option(metavar="MODEL", help="A folder that `fit` made.")],
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document in a line for each file.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Predict how nets were trained, as training writes checkpoints.

    It prints a line for each checkpoint in the folder, and for each that appears, until Ctrl-C. Of
    a zoo that `Recorder` writes, it prints a line for each run, and for each new snapshot, with
    what is true in brackets.
    """
    from weightspace.recording import watch as wait
    from weightspace.recording.live import line

    with suppress(KeyboardInterrupt):
        for one in wait(folder, model, every=every, once=once):
            if as_json:
                answer = one.answer.to_dict() if one.answer else None
                told = {"file": one.file, "answer": answer, "problem": one.problem}
                said = json.dumps(told | ({} if one.step is None else {"step": one.step}))
            else:
                text = line(one.answer, one.known) if one.answer else f"not read: {one.problem}"
                step = "" if one.step is None else f", step {one.step:,}"
                said = printable(f"{one.file}{step}: {text}", 2**16)
            print(said, flush=True)
