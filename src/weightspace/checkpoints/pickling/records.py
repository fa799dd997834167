"""What a pickle names and does not get: classes and functions become inert records."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
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


def plain(value: Any, depth: int = 0) -> Any:
    """The value as text, numbers, lists and dicts; records become dicts of their attributes.

    Deep and long values are cut, and said to be: this is for showing what a file holds.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth >= _SHOWN_DEPTH:
        return "..."
    if isinstance(value, dict):
        return {
            _key(key): plain(inner, depth + 1) for key, inner in _first(value.items(), len(value))
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner, depth + 1) for inner in _first(value, len(value))]
    if isinstance(value, Record):
        return _plain_record(value, depth)
    if isinstance(value, Foreign):
        return value.name
    return f"{type(value).__name__.lower()}"


def _plain_record(record: Record, depth: int) -> Any:
    if record.name in PATHS:
        return "/".join(str(part) for part in record.arguments).replace("//", "/")
    attributes = record.attributes() | record.entries
    if "_content" in attributes and record.name.startswith("omegaconf."):
        return plain(attributes["_content"], depth)
    if "_val" in attributes and record.name.startswith("omegaconf."):
        return plain(attributes["_val"], depth)
    if attributes:
        return plain(attributes, depth)
    rest = [*record.arguments, *record.members]
    return {record.name: plain(rest, depth + 1)} if rest else record.name


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))


def _first(items: Any, count: int) -> Iterator[Any]:
    for number, item in enumerate(items):
        if number >= _SHOWN_ITEMS:
            return
        yield item


PATHS = frozenset(
    f"{module}.{kind}"
    for module in ("pathlib", "pathlib._local")
    for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
)
