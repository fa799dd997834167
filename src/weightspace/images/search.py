"""Where the files of image sets are looked for, and which of them are there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from weightspace.images.known import Published

VARIABLE = "WEIGHTSPACE_DATA"


def directories(data_dir: str | Path | None) -> list[Path]:
    """`data_dir`, `$WEIGHTSPACE_DATA` and the user's cache, in this order, without repetition."""
    given = [data_dir, os.environ.get(VARIABLE) or None, cache()]
    return list(dict.fromkeys(Path(place).expanduser() for place in given if place is not None))


def cache() -> Path:
    """The user's cache directory for image sets, after the customs of the platform."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "weightspace" / "images"


class Originals(NamedTuple):
    """A folder that holds some of a published set's files: those found, and the names missing."""

    folder: Path
    paths: list[Path]
    missing: list[str]


def originals(known: Published, directory: Path) -> Originals | None:
    """The folder of `directory` with the most of the set's files, None where none has any."""
    folders = [_gather(known, directory / folder) for folder in known.folders]
    best = min(folders, key=lambda found: len(found.missing))
    return best if best.paths else None


def _gather(known: Published, folder: Path) -> Originals:
    paths, missing = [], []
    for names in known.files:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            missing.append(names[0])
        else:
            paths.append(path)
    return Originals(folder, paths, missing)
