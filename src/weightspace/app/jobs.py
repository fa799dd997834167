"""`Job`: what a worker is asked, and what it says, as plain values for a pipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from weightspace.errors import UsageError
from weightspace.printable import printable

HUB = "hf://"
EXAMPLE = "example://"
Kind = Literal["audit", "compare", "explore"]
_HUB_NAME = re.compile(r"hf://[\w.-]+/[\w.-]+(@[\w./-]+?)?(/[\w./ -]+)?", re.ASCII)
_EXAMPLE_NAME = re.compile(r"example://(?P<name>.*)")
_FORMS = "write hf://OWNER/NAME, or drop a file"


@dataclass(frozen=True)
class Job:
    """An audit of one file, a comparison of two, or the explorer of a zoo.

    Attributes
    ----------
    kind : str
        "audit", "compare" or "explore".
    files : tuple of str
        Names of files in the folder of the job, or `hf://OWNER/NAME`. A zoo is an archive.
    card : str
        What is claimed: the text of a card, or `hf://OWNER/NAME`; "" for no claims.
    keys : tuple of str
        For each file, which of several state dicts is the net; "" if it holds one.
    folder : str
        The folder of the job, which holds nothing else.
    memory : int
        The most bytes of memory.
    data : str
        The image set that the net was trained on; "" if none is named.
    seeds : int
        How many seeds are tried.
    unpacked : int
        The most bytes of the files of a zoo.
    nets : int
        How many nets of a zoo are shown.
    """

    kind: Kind
    files: tuple[str, ...]
    card: str = ""
    keys: tuple[str, ...] = ()
    folder: str = ""
    memory: int = 0
    data: str = ""
    seeds: int = 0
    unpacked: int = 0
    nets: int = 0

    def key(self, number: int) -> str | None:
        """Which state dict of a file is the net; None if nothing is said."""
        given = self.keys[number].strip() if number < len(self.keys) else ""
        return given or None

    def to_dict(self) -> dict[str, Any]:
        """The job as plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Job:
        """The job of plain values."""
        lists = {name: tuple(values[name]) for name in ("files", "keys")}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Step:
    """How far a job is."""

    task: str
    done: float
    total: float


@dataclass(frozen=True)
class Result:
    """What a job found: a sentence, the page, and the JSON, if there is one."""

    headline: str
    page: str
    document: str


@dataclass(frozen=True)
class Failure:
    """Why a job has no result, in one line; `kept` if it did not begin, so that files are there."""

    line: str
    kept: bool = False


Said = Step | Result | Failure


def hub_name(text: str) -> str:
    """The name of a model on the hub.

    Raises
    ------
    UsageError
        If it is another address or a path: the app reads no file of its own machine, and no server
        but the hub.

    Examples
    --------
    >>> hub_name(" hf://owner/name ")
    'hf://owner/name'
    """
    name = text.strip()
    if not _HUB_NAME.fullmatch(name) or ".." in name:
        raise UsageError(printable(name, 80), "is no name of a model on the hub", _FORMS)
    return name


def example_name(text: str) -> str:
    """The name of an example; "" if the text is no such name.

    >>> example_name("example://true")
    'true'
    """
    match = _EXAMPLE_NAME.fullmatch(text.strip())
    return match["name"] if match else ""
