"""`Finding`: one thing that is wrong with a zoo, and how an error becomes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from weightspace.errors import DataError
from weightspace.printable import printable

MOVE = "move it elsewhere"
RESUME = "run the same `weightspace sample` command again to finish the stack"
RECORD = "continue the run, or commit what it has with `Recorder.finish`"


@dataclass(frozen=True)
class Finding:
    """One problem that `check` found.

    Attributes
    ----------
    severity : str
        "error" (part of the zoo is damaged), "warning" (a sampling run was stopped; readers are not
        affected) or "info".
    thing : str
        The file, relative to the zoo.
    message : str
        What is wrong, with the net and its snapshots, or the first of many nets.
    remedy : str
        What to do.
    """

    severity: str
    thing: str
    message: str
    remedy: str

    def __str__(self) -> str:
        told = f"{self.severity}: {self.thing}: {self.message}"
        return f"{told}; {self.remedy}" if self.remedy else told


def from_error(error: DataError, thing: str) -> Finding:
    """The finding that tells an error about `thing`, a file or folder of a zoo."""
    return Finding("error", thing, error.cause, error.remedy)


def naming(found: Finding, nets: Sequence[str]) -> Finding:
    """The finding with the name of the first of these nets."""
    if not nets:
        return found
    more = f" and {len(nets) - 1:,} more" if len(nets) > 1 else ""
    message = f"{found.message}, which concerns net {printable(nets[0], 64)}{more}"
    return dataclasses.replace(found, message=message)
