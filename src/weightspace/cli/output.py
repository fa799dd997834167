"""The output of commands: text or one JSON document, and one line for an error."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from weightspace.errors import WeightspaceError
from weightspace.printable import printable

_debug = False
_ARGUMENT = re.compile(r"`(?P<name>[a-z_]+)=(?P<value>[^`\s]*)`")
_OTHER_NAMES = {"rounded": "round"}  # arguments whose options are called otherwise


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


def told(error: WeightspaceError) -> str:
    """The text of an error, with options of the command line in place of Python arguments.

    Examples
    --------
    >>> told(WeightspaceError("device", "there is no GPU", 'use `device="cpu"`'))
    'device: there is no GPU; use `--device cpu`'
    """
    return as_options(str(error))


def as_options(text: str) -> str:
    """A text that names arguments of Python, with options of the command line in their place."""
    return _ARGUMENT.sub(_option, text)


def _option(argument: re.Match[str]) -> str:
    name, value = argument["name"], argument["value"].strip("\"'")
    option = "--" + _OTHER_NAMES.get(name, name).replace("_", "-")
    return f"`{option}`" if value in ("", "True") else f"`{option} {value}`"


def fail(line: str, code: int) -> int:
    """Print an error in one line; returns the exit code."""
    if _debug:
        traceback.print_exc()
    print(f"error: {printable(line, 4096)}", file=sys.stderr)
    return code
