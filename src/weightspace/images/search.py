"""Where the files of image sets are searched, and which of them exist."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from weightspace.disk import user_cache
from weightspace.errors import DataError
from weightspace.images.known import Published

VARIABLE = "WEIGHTSPACE_DATA"


def directories(data_dir: str | Path | None) -> list[Path]:
    """`data_dir`, `$WEIGHTSPACE_DATA` and the user's cache, in this order, each once."""
    given = [data_dir, os.environ.get(VARIABLE) or None, cache()]
    return list(dict.fromkeys(_expanded(place) for place in given if place is not None))


def _expanded(place: str | Path) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise DataError(place, "there is no such user", "name the folder in full") from None


def cache() -> Path:
    """The user's cache directory for image sets."""
    return user_cache() / "images"


class Originals(NamedTuple):
    """A folder with some of a published set's files: those found, and the names of the others."""

    folder: Path
    paths: list[Path]
    missing: list[str]


def originals(known: Published, directory: Path) -> Originals | None:
    """The folder in `directory` with the most of the set's files; None if there are none."""
    folders = [_gather(known, directory / folder) for folder in known.folders]
    best = min(folders, key=lambda found: len(found.missing))
    return best if best.paths else None


def _gather(known: Published, folder: Path) -> Originals:
    paths, missing = [], []
    for names in known.files:
        there = [folder / name for name in names if is_there(folder / name)]
        if there:
            paths.append(next((path for path in there if os.path.isfile(path)), there[0]))  # noqa: PTH113
        else:
            missing.append(names[0])
    return Originals(folder, paths, missing)


def is_there(path: Path) -> bool:
    """Whether something has this name; opening it says what is wrong if it is not a file."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
