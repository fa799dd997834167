"""What a pickle names and does not get: classes and functions become inert records."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A name in a pickle that is neither torch's nor a plain container: only its text is kept."""

    name: str


@dataclass(slots=True, eq=False)
class Record:
    """An object as a pickle describes it: what would have been called, and with what.

    Nothing of it was imported or called.

    Attributes
    ----------
    name : str
        The full name of the class or function, such as "argparse.Namespace".
    arguments : tuple
        What it would have been called with.
    state : object
        What the object would have been filled with, often a dict of attributes; None if nothing.
    members : list
        What would have been appended.
    entries : dict
        What would have been set by keys.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    members: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    def attributes(self) -> dict[Any, Any]:
        """The state as a dict: attributes, and slots, which pickles keep as a pair of dicts."""
        state = self.state
        if type(state) is tuple and len(state) == 2:
            parts = [part for part in state if isinstance(part, dict)]
            return {key: value for part in parts for key, value in part.items()}
        return dict(state) if isinstance(state, dict) else {}


class Ordered(OrderedDict[Any, Any]):
    """An OrderedDict with the attributes that a pickle gives it, such as `_metadata`."""

    attributes: dict[Any, Any] | None = None


class OldText(str):
    """Text of Python 2 that is not ASCII, with its bytes: it may be the content of an array."""

    raw: bytes

    @classmethod
    def of(cls, data: bytes) -> str:
        """Plain text if it is ASCII."""
        if data.isascii():
            return data.decode("ascii")
        try:
            made = cls(data.decode("utf-8"))
        except UnicodeDecodeError:
            made = cls(data.decode("latin1"))
        made.raw = data
        return made


_SHOWN_DEPTH, _SHOWN_ITEMS = 8, 1000
_MOST_SHOWN = 20_000  # values; a list may contain another one many times


def word(key: object) -> str:
    """A key of a dict as text; of a record or a tuple, which may be of any depth, only the kind."""
    if isinstance(key, str):
        return key
    if isinstance(key, Record | Foreign):
        return key.name
    if isinstance(key, int | float | bytes) or key is None:
        return str(key)
    if isinstance(key, tuple) and all(isinstance(entry, int | str | bytes) for entry in key):
        return str(key)
    return type(key).__name__.lower()


def plain(value: Any) -> Any:
    """The value as text, numbers, lists and dicts; records become dicts of their attributes.

    Deep and long values are cut, and said to be: this is for showing what a file holds.
    """
    return _Plain().of(value, 0)


class _Plain:
    """Counts the values that are shown, since those of a pickle may share their parts."""

    def __init__(self) -> None:
        self._left = _MOST_SHOWN

    def of(self, value: Any, depth: int) -> Any:
        """The plain value; "..." for one that is too deep, or of which there are too many."""
        self._left -= 1
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if depth >= _SHOWN_DEPTH or self._left < 0:
            return "..."
        if isinstance(value, dict):
            return {
                word(key): self.of(inner, depth + 1) for key, inner in self._first(value.items())
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(inner, depth + 1) for inner in self._first(value)]
        if isinstance(value, Record):
            return self._record(value, depth)
        return value.name if isinstance(value, Foreign) else type(value).__name__.lower()

    def _record(self, record: Record, depth: int) -> Any:
        if record.name in PATHS:
            parts = (part if isinstance(part, str) else "..." for part in record.arguments)
            return "/".join(parts).replace("//", "/")
        attributes = record.attributes() | record.entries
        if record.name.startswith("omegaconf."):
            for name in ("_content", "_val"):
                if name in attributes:
                    inner = attributes[name]
                    return self.of(inner, depth + isinstance(inner, Record))
        if attributes:
            return self.of(attributes, depth)
        rest = [*record.arguments, *record.members]
        return {record.name: self.of(rest, depth + 1)} if rest else record.name

    def _first(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in islice(items, _SHOWN_ITEMS):
            if self._left < 0:
                return
            yield item


PATHS = frozenset(
    f"{module}.{kind}"
    for module in ("pathlib", "pathlib._local")
    for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
)
