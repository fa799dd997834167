"""Read a YAML file as plain values, of limited size, each with the line of its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from weightspace.disk import read_text
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable

# A space takes a few kilobytes. The parser is written in Python and slow on larger files.
_MOST_BYTES = 2**17
_MOST_VALUES = 2_000
_DEEPEST = 20
_LONGEST_NUMBER = 100  # characters; more than any floating-point number needs
_LONGEST_TEXT = 10_000
_LONGEST_MESSAGE = 800

_YAML = "tag:yaml.org,2002:"
_NUMBERS = (f"{_YAML}int", f"{_YAML}float")
_SCALARS = (f"{_YAML}str", f"{_YAML}bool", f"{_YAML}null", *_NUMBERS)
# The errors of PyYAML's constructors for an explicit tag that does not fit the text.
_MISFIT = (ValueError, KeyError, IndexError, OverflowError)

Way = tuple[str | int, ...]


class PlainFile:
    """The values of a YAML file, and the lines on which they are written.

    `values` are mappings, lists, text, numbers, booleans and None. `lines` maps the path of each
    key, such as `("recipe", "epochs")`, to its line, from 1. `text` is what the file holds, if it
    was read already. Raises UsageError with file and line for a file that is not YAML, is too
    large, or holds more than plain values. Anchors, merge keys and tags are refused: a space does
    not need them, and a few hundred bytes of them can expand to gigabytes.
    """

    def __init__(self, path: Path | str, text: str | None = None) -> None:
        self.path = path
        self.lines: dict[Way, int] = {}
        text = _text(Path(path)) if text is None else _limited(path, text)
        try:
            root = _Loader(text).get_single_node()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise self.wrong(mark.line + 1 if mark else 1, f"not YAML ({problem})") from None
        except (ValueError, OverflowError) as error:  # an impossible escape or version number
            raise self.wrong(1, f"not YAML ({error})") from None
        self.values = None if root is None else self._value(root, ())

    def wrong(self, line: int, cause: str, remedy: str = "") -> UsageError:
        """An error that begins with file and line, and is one line whatever the file holds."""
        return self.placed(line, UsageError("", cause, remedy))

    def placed(self, line: int, error: UsageError) -> UsageError:
        """The error, found in a line of this file; one line whatever the file holds."""
        found = error.within(f"{self.path}:{line}")
        return found.but(
            cause=printable(found.cause, _LONGEST_MESSAGE),
            remedy=printable(found.remedy, _LONGEST_MESSAGE),
        )

    def _value(self, node: yaml.Node, way: Way) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_YAML}map":
            return {self._key(key, way): self._value(value, (*way, key.value))
                    for key, value in node.value}  # fmt: skip
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_YAML}seq":
            return [self._value(value, (*way, i)) for i, value in enumerate(node.value)]
        return self._scalar(node, way)

    def _key(self, node: yaml.Node, way: Way) -> Any:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(line, "not YAML (found unhashable key)")
        key, place = self._scalar(node, way), (*way, node.value)
        if place in self.lines:  # YAML would silently use the second
            raise self.wrong(line, f"{node.value}: is already given in line {self.lines[place]}")
        self.lines[place] = line
        return key

    def _scalar(self, node: yaml.Node, way: Way) -> Any:
        line, text = node.start_mark.line + 1, node.value
        key = "".join(f"{name}: " for name in way if isinstance(name, str) and name != "recipe")
        scalar = isinstance(node, yaml.ScalarNode)
        if scalar and node.tag == f"{_YAML}timestamp":
            raise self.wrong(line, f"{key}{text} is a date in YAML", "put it in quotes")
        if not scalar or node.tag not in _SCALARS:
            tag = f"could not determine a constructor for the tag {node.tag!r}"
            raise self.wrong(line, f"not YAML ({tag})")
        most = _LONGEST_NUMBER if node.tag in _NUMBERS else _LONGEST_TEXT
        if len(text) > most:
            what = "number" if node.tag in _NUMBERS else "text"
            raise self.wrong(
                line, f"{key}a {what} of {len(text):,} characters", f"write one of at most {most:,}"
            )
        if not _is_utf8(text):
            raise self.wrong(line, f"{key}half a character (a surrogate)", "write it whole")
        try:
            return yaml.SafeLoader("").construct_object(node)
        except _MISFIT:
            kind = node.tag.removeprefix(_YAML)
            raise self.wrong(
                line, f"{key}{text!r} cannot be read as {kind}", "write another value"
            ) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, which stops if a file is more than plain values of limited size."""

    values = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in types-PyYAML
        self.values += 1
        self.depth += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            _stop(event, "an anchor or alias; write the value itself")
        if self.values > _MOST_VALUES:
            _stop(event, f"more than {_MOST_VALUES:,} values")
        if self.depth > _DEEPEST:
            _stop(event, f"nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _stop(event: yaml.Event, problem: str) -> None:
    mark: Any = event.start_mark
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _text(path: Path) -> str:
    try:
        return read_text(path, _MOST_BYTES)
    except FileNotFoundError:
        raise UsageError(path, "no such file, nor a preset of that name") from None
    except DataError as error:
        cause = f"cannot be read as text: {error.cause}"
        raise UsageError(path, cause, error.remedy) from None
    except (OSError, ValueError) as error:
        raise UsageError(path, f"cannot be read as text ({error})") from None


def _limited(path: Path | str, text: str) -> str:
    if len(text) > _MOST_BYTES:
        cause = f"holds {len(text):,} characters; at most {_MOST_BYTES:,} are read"
        raise UsageError(path, cause)
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
