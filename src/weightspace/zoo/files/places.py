"""Where the files of a zoo lie in its directory, and which names they may have."""

from __future__ import annotations

import re
from pathlib import Path

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError

MANIFEST = "zoo.json"
"""The name of the file that makes a folder a zoo."""
SHARDS, SNAPSHOTS, NETS, LAYOUTS, ROUNDS = "shards", "snapshots", "nets", "layouts", "rounds"
STATES = "states"
"""Not in `FOLDERS`: what unfinished stacks need to continue; readers ignore it."""
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
"""Where `repair` puts damaged files; in there, for a short time, the sound nets to put back."""

_REPAIR = "run `weightspace repair`{}, then the same `weightspace sample` command again"
REPAIR = _REPAIR.format("")
"""The remedy for a damaged part of a zoo."""
REPAIR_THERE = _REPAIR.format(" where it lies")
"""The remedy for a damaged part of a zoo at a URL, which can only be repaired where it lies."""

UNIT_PATTERN = "[a-z0-9-]{1,200}"
NET_PATTERN = "[A-Za-z0-9][A-Za-z0-9.-]{0,63}"
LAYOUT_PATTERN = "[0-9a-f]{16}"
MOST_NETS = 10**7
"""The most nets of a zoo: positions in the draw are below this number."""

_ROUND = re.compile(r"[0-9]{6}|[1-9][0-9]{6,8}")  # each number has exactly one spelling
_UNIT, _NET, _LAYOUT = map(re.compile, (UNIT_PATTERN, NET_PATTERN, LAYOUT_PATTERN))
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


_STEMS = {ROUNDS: _ROUND, LAYOUTS: _LAYOUT}


def refuse_url(path: str | Path) -> None:
    """Raise UsageError if a path is a URL, because it would become a folder with an odd name."""
    if match := _URL.match(str(path)):
        url = f"{match[1]}://{str(path)[match.end() :]}"
        raise UsageError(url, "is a URL, which can only be read from", "give a folder here")


def is_net(name: str) -> bool:
    """Whether this is a valid name of a net."""
    return bool(_NET.fullmatch(name))


def check_unit(name: str) -> None:
    """Raise UsageError if this is not a valid name of a stack, which is used in file names."""
    if not _UNIT.fullmatch(name):
        raise UsageError(f"stack {name!r}", "use 1 to 200 lower-case letters, digits and hyphens")


def units(path: Path, folder: str) -> list[str]:
    """The names of stacks that have a finished file in this folder, sorted.

    The stacks in the folder `nets` are the committed ones.
    """
    suffix = SUFFIX[folder]
    names = disk.names(InnerPath(path) / folder)
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    named = _STEMS.get(folder, _UNIT)
    return sorted(stem for stem in stems if named.fullmatch(stem))


def part(path: Path | InnerPath, folder: str, name: str) -> InnerPath:
    """The file in a folder that belongs to a stack (or, in `layouts`, to a layout's key)."""
    root = path if isinstance(path, InnerPath) else InnerPath(path)
    return root / folder / f"{name}{SUFFIX[folder]}"


def repairs(path: Path) -> list[InnerPath]:
    """The folders in which `repair` keeps the sound nets of damaged stacks until it is done."""
    aside = InnerPath(path) / ASIDE
    kept = [aside / number / KEPT for number in disk.names(aside)]
    stages = (folder / unit for folder in kept for unit in _listed(folder))
    return [stage for stage in stages if disk.is_folder(stage)]


def unfinished_repairs(path: Path) -> list[InnerPath]:
    """The folders of `repairs` that a stopped repair did not put back into the zoo."""
    return [stage for stage in repairs(path) if not disk.exists(part(path, NETS, stage.name))]


def _listed(folder: InnerPath) -> list[str]:
    """The names in a folder, without following links; none if it is no folder."""
    return disk.names(folder) if disk.is_folder(folder.parent) else []


def shard_path(path: Path, shard: str) -> InnerPath:
    """The file named in a table's `shard` column; DataError if that is not the name of a shard."""
    stem = shard.removesuffix(SUFFIX[SHARDS])
    if not shard.endswith(SUFFIX[SHARDS]) or not _UNIT.fullmatch(stem):
        raise DataError(
            path,
            f"a table names the shard {shard!r}, which is not a valid name",
            REPAIR,
        )
    return part(path, SHARDS, stem)


def layout_path(path: Path, key: str) -> InnerPath:
    """The file of a layout; DataError if the key is not valid."""
    if not _LAYOUT.fullmatch(key):
        raise DataError(
            path,
            f"a table names the layout {key!r}, which is not a valid key",
            REPAIR,
        )
    return part(path, LAYOUTS, key)
