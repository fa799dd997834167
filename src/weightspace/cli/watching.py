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
        Path, typer.Argument(metavar="FOLDER", help="Where checkpoints are or will be.")
    ],
    model: Annotated[Path, typer.Option(metavar="MODEL", help="A folder that `fit` made.")],
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document in a line for each file.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Predict how nets in checkpoints were trained, as training writes them.

    It prints a line for each checkpoint in the folder, and for each that appears, until Ctrl-C.
    """
    from weightspace.recording import watch as wait
    from weightspace.recording.live import line

    with suppress(KeyboardInterrupt):
        for one in wait(folder, model, every=every, once=once):
            if as_json:
                answer = one.answer.to_dict() if one.answer else None
                said = json.dumps({"file": one.file, "answer": answer, "problem": one.problem})
            else:
                text = line(one.answer) if one.answer else f"not read: {one.problem}"
                said = f"{printable(one.file)}: {text}"
            print(said, flush=True)
