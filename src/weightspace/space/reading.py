"""A YAML file from anywhere as plain values: of bounded size, each with the line of its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from weightspace.disk import read_text
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable

# A space takes a few kilobytes. What is larger takes the parser, which is written in Python, long.
_MOST_BYTES = 2**17
_MOST_VALUES = 2_000
_DEEPEST = 20
_LONGEST_NUMBER = 100  # characters; far from the end of the floating-point numbers
_LONGEST_TEXT = 10_000
_LONGEST_MESSAGE = 800

_YAML = "tag:yaml.org,2002:"
_NUMBERS = (f"{_YAML}int", f"{_YAML}float")
_SCALARS = (f"{_YAML}str", f"{_YAML}bool", f"{_YAML}null", *_NUMBERS)
# What PyYAML's constructors raise where an explicit tag does not fit the text.
_MISFIT = (ValueError, KeyError, IndexError, OverflowError)

Way = tuple[str | int, ...]


class PlainFile:
    """The values of a YAML file, and where they stand.

    `values` are mappings, lists, text, numbers, booleans and None; `lines` the line, from 1, of
    each key by the way to it: `("recipe", "epochs")`. Raises UsageError with file and line for
    what is no YAML, too large, or more than plain values: a space needs no anchors, merge keys or
    tags, and a few hundred bytes of them may stand for gigabytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Way, int] = {}
        text = _text(path)
        try:
            root = _Loader(text).get_single_node()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise self.wrong(mark.line + 1 if mark else 1, f"not YAML ({problem})") from None
        except (ValueError, OverflowError) as error:  # an escape or a version number without sense
            raise self.wrong(1, f"not YAML ({error})") from None
        self.values = None if root is None else self._value(root, ())

    def wrong(self, line: int, message: str) -> UsageError:
        """The error that is led by file and line; it stays one line, whatever the file holds."""
        return UsageError(f"{self.path}:{line}: {printable(message, _LONGEST_MESSAGE)}")

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
        if place in self.lines:  # YAML lets the second win in silence
            raise self.wrong(line, f"{node.value}: stands in line {self.lines[place]} already")
        self.lines[place] = line
        return key

    def _scalar(self, node: yaml.Node, way: Way) -> Any:
        line, text = node.start_mark.line + 1, node.value
        key = "".join(f"{name}: " for name in way if isinstance(name, str) and name != "recipe")
        scalar = isinstance(node, yaml.ScalarNode)
        if scalar and node.tag == f"{_YAML}timestamp":
            raise self.wrong(line, f"{key}{text} is a date in YAML; put it in quotes")
        if not scalar or node.tag not in _SCALARS:
            tag = f"could not determine a constructor for the tag {node.tag!r}"
            raise self.wrong(line, f"not YAML ({tag})")
        most = _LONGEST_NUMBER if node.tag in _NUMBERS else _LONGEST_TEXT
        if len(text) > most:
            what = "number" if node.tag in _NUMBERS else "text"
            raise self.wrong(
                line, f"{key}a {what} of {len(text):,} characters; write one of at most {most:,}"
            )
        if not _is_utf8(text):
            raise self.wrong(line, f"{key}half a character (a surrogate); write it whole")
        try:
            return yaml.SafeLoader("").construct_object(node)
        except _MISFIT:
            kind = node.tag.removeprefix(_YAML)
            raise self.wrong(line, f"{key}{text!r} is no {kind}; write another value") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's, that stops where a file goes beyond plain values of bounded size."""

    values = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
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
        raise UsageError(f"{path}: no such file, nor a preset of that name") from None
    except DataError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise UsageError(f"{path}: cannot be read as text: {reason}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as text ({error})") from None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
