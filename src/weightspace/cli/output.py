"""The output of commands: text or one JSON document, and one line for an error."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from weightspace.printable import printable

_debug = False


def set_debug(value: bool) -> None:
    """Switch the output of tracebacks on or off."""
    global _debug
    _debug = value


def _switch_on(value: bool) -> None:
    if value:
        set_debug(True)


Debug = Annotated[
    bool, typer.Option("--debug", callback=_switch_on, help="Show the traceback of an error.")
]


def answer(as_json: bool, plain: Any, text: Callable[[], None]) -> None:
    """Print plain values as JSON, or call `text`, which prints them as text."""
    if as_json:
        print(json.dumps(plain, indent=1, default=str))
    else:
        text()


def fail(line: str, code: int) -> int:
    """Print an error in one line; returns the exit code."""
    if _debug:
        traceback.print_exc()
    print(f"error: {printable(line, 4096)}", file=sys.stderr)
    return code
