"""The files of layouts, checked when they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.errors import DataError
from weightspace.networks import Layout
from weightspace.zoo.files import places

LARGEST = 2**26  # bytes of a layout's file
_MOST_VALUES = 2**40  # in a vector
_MOST_DIMENSIONS = 32


def read_layout(path: Path, key: str) -> Layout:
    """Read the layout with this key from the zoo at `path`, and check it against the key."""
    file = places.layout_path(path, key)
    again = "restore it from a copy, or run `weightspace repair`"
    try:
        text = disk.read_text(file, LARGEST)
    except OSError as error:
        raise DataError(file, f"cannot be read ({error.strerror})", again) from None
    except UnicodeDecodeError:
        text = ""
    try:
        _check_numbers(json.loads(text))
        layout = Layout.from_json(text)
        sound = layout.key == key and 0 < layout.size < _MOST_VALUES
    except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise DataError(file, "is damaged, its content does not fit its key", again)
    return layout


def _check_numbers(rows: list[dict[str, Any]]) -> None:
    """Refuse layers, offsets and shapes that are not whole numbers from 0, or that are too large.

    This is checked before sizes are computed: the product of a long shape takes seconds.
    """
    for row in rows:
        if len(row["shape"]) > _MOST_DIMENSIONS:
            raise ValueError("a shape of too many dimensions")
        for number in (row["layer"], row["offset"], *row["shape"]):
            if type(number) is not int or not 0 <= number < _MOST_VALUES:
                raise ValueError("a layer, offset or shape that is not possible")
