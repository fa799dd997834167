"""Where things lie in a zoo's directory, and which names are allowed there."""

from __future__ import annotations

import re
from pathlib import Path

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError

MANIFEST = "zoo.json"
SHARDS, SNAPSHOTS, NETS, LAYOUTS, ROUNDS = "shards", "snapshots", "nets", "layouts", "rounds"
STATES = "states"
"""Beside `FOLDERS`: what units in the making need to go on; readers ignore it."""
FOLDERS = (ROUNDS, LAYOUTS, SHARDS, SNAPSHOTS, NETS)
SUFFIX = {
    ROUNDS: ".json",
    LAYOUTS: ".json",
    SHARDS: ".safetensors",
    SNAPSHOTS: ".parquet",
    NETS: ".parquet",
    STATES: ".safetensors",
}

ASIDE, KEPT = "aside", "kept"
"""Where `repair` puts what is damaged, and in there, for a moment, what it will give back."""

UNIT_PATTERN = "[a-z0-9-]{1,200}"
NET_PATTERN = "[A-Za-z0-9][A-Za-z0-9.-]{0,63}"
LAYOUT_PATTERN = "[0-9a-f]{16}"
MOST_NETS = 10**7
"""Of a zoo: positions in the draw are below it."""

_ROUND = re.compile(r"[0-9]{6}|[1-9][0-9]{6,8}")  # a number has one name
_UNIT, _NET, _LAYOUT = map(re.compile, (UNIT_PATTERN, NET_PATTERN, LAYOUT_PATTERN))
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


_STEMS = {ROUNDS: _ROUND, LAYOUTS: _LAYOUT}


def refuse_url(path: str | Path) -> None:
    """UsageError where a path is an address: it would become a folder of an odd name."""
    if match := _URL.match(str(path)):
        url = f"{match[1]}://{str(path)[match.end() :]}"
        raise UsageError(f"{url}: is a URL, which can only be read from; give a folder here")


def is_net(name: str) -> bool:
    """Whether a net may have this name."""
    return bool(_NET.fullmatch(name))


def check_unit(name: str) -> None:
    """Refuse a unit name that could not stand in a file name."""
    if not _UNIT.fullmatch(name):
        raise UsageError(f"unit {name!r}: use 1 to 200 lower-case letters, digits and hyphens")


def units(path: Path, folder: str) -> list[str]:
    """The units that have a finished file in this folder, in order; in `nets`: the committed."""
    suffix = SUFFIX[folder]
    names = disk.names(InnerPath(path) / folder)
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    named = _STEMS.get(folder, _UNIT)
    return sorted(stem for stem in stems if named.fullmatch(stem))


def part(path: Path | InnerPath, folder: str, name: str) -> InnerPath:
    """The file of a unit (or of a layout's key) in a folder."""
    root = path if isinstance(path, InnerPath) else InnerPath(path)
    return root / folder / f"{name}{SUFFIX[folder]}"


def repairs(path: Path) -> list[InnerPath]:
    """The folders of sound nets of a unit that `repair` has set aside, to give back."""
    aside = InnerPath(path) / ASIDE
    kept = [aside / number / KEPT for number in disk.names(aside)]
    stages = (folder / unit for folder in kept for unit in _listed(folder))
    return [stage for stage in stages if disk.is_folder(stage)]


def unfinished_repairs(path: Path) -> list[InnerPath]:
    """Those that `repair` was stopped from giving back to the zoo."""
    return [stage for stage in repairs(path) if not disk.exists(part(path, NETS, stage.name))]


def _listed(folder: InnerPath) -> list[str]:
    """What a folder holds; what is none where it might be holds nothing, but no link is passed."""
    return disk.names(folder) if disk.is_folder(folder.parent) else []


def shard_path(path: Path, shard: str) -> InnerPath:
    """The file that a table's `shard` column names; anything but a plain shard name is refused."""
    stem = shard.removesuffix(SUFFIX[SHARDS])
    if not shard.endswith(SUFFIX[SHARDS]) or not _UNIT.fullmatch(stem):
        raise DataError(
            f"{path}: a table names the shard {shard!r}, which is no shard's name; "
            "run `weightspace repair`, then sample again"
        )
    return part(path, SHARDS, stem)


def layout_path(path: Path, key: str) -> InnerPath:
    """The file of a layout; a key that is none is refused."""
    if not _LAYOUT.fullmatch(key):
        raise DataError(
            f"{path}: a table names the layout {key!r}, which is no layout's key; "
            "run `weightspace repair`, then sample again"
        )
    return part(path, LAYOUTS, key)
