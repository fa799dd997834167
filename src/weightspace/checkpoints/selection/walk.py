"""A bounded walk through what a file holds: dicts, records and lists within each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weightspace.checkpoints.pickling.records import Record, word

_DEEPEST = 8  # a dict may contain itself
_MOST_NODES = 20_000
_MOST_ITEMS = 64  # of a list
_LONGEST_KEY = 200


def nodes(content: Any, closed: Callable[[str, Any], bool]) -> Iterator[tuple[str, Any]]:
    """Dicts and records with their keys joined by "/", the outer ones first, each once.

    What lies within a node is not walked if `closed` says so of its key and itself. Depth, number
    and length are limited.
    """
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    seen: set[int] = set()
    for key, node, depth in waiting:  # grows while it is walked
        if id(node) in seen or len(seen) > _MOST_NODES:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping | Record):
            yield key, node
        if depth >= _DEEPEST or closed(key, node):
            continue
        prefix = f"{key}/" if key else ""
        waiting += [
            (f"{prefix}{word(name)[:_LONGEST_KEY]}", value, depth + 1)
            for name, value in items(node)
            if isinstance(value, Mapping | Record | list | tuple)
        ]


def items(node: Any) -> list[tuple[Any, Any]]:
    """What a dict, a record or a list holds, by name; nothing for other values."""
    if isinstance(node, Mapping):
        return list(node.items())
    if isinstance(node, Record):
        arguments = enumerate(node.arguments[:_MOST_ITEMS])
        return [*node.attributes().items(), *node.entries.items(), *arguments]
    return list(enumerate(node[:_MOST_ITEMS])) if isinstance(node, list | tuple) else []
