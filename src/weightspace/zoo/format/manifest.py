"""`zoo.json`: the description of a zoo, and whether two zoos are samples of the same population."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.space import Space
from weightspace.zoo.files.dtypes import FLOAT32, Dtype, dtype_of
from weightspace.zoo.files.places import MANIFEST, refuse_url
from weightspace.zoo.files.sealed import unseal

FORMAT = "weightspace-zoo"
"""The name of the format, as `zoo.json` states it."""
VERSION = 1
"""The version of the format that this package writes, and the newest that it reads."""
_LARGEST = 16 * 2**20
_ENTRIES = ("format", "version", "created", "versions", "space", "seed", "dtype", "info")


def compose(
    space: Space, seed: int, info: dict[str, Any], dtype: str = FLOAT32.name
) -> dict[str, Any]:
    """The content of `zoo.json` for a new zoo."""
    info = dict(info)
    versions = {
        "weightspace": importlib.metadata.version("weightspace"),
        "python": platform.python_version(),
    } | dict(info.pop("versions", {}))
    created = info.pop("created", datetime.now(UTC).isoformat(timespec="seconds"))
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "created": created,
        "versions": versions,
        "space": space.to_dict(),
        "seed": int(seed),
        "dtype": dtype_of(dtype).name,
        "info": info,
    }
    try:
        content: dict[str, Any] = json.loads(json.dumps(meta, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError("info", f"has a value that JSON cannot hold ({error})") from None
    return content


def read(path: Path) -> dict[str, Any]:
    """The content of a zoo's `zoo.json`, checked."""
    file = InnerPath(path) / MANIFEST
    if not _is_folder(path):
        refuse_url(path)
        raise DataError(path, "no such directory", f"give the directory that holds {MANIFEST}")
    if not disk.exists(file):
        raise DataError(
            path, f"is not a zoo, it has no {MANIFEST}", "make one with `weightspace sample`"
        )
    again = "restore it from a copy"
    try:
        meta = json.loads(disk.read_text(file, _LARGEST))
    except OSError as error:
        raise DataError(file, f"cannot be read ({error.strerror})", "check permissions") from None
    except (ValueError, RecursionError) as error:
        raise DataError(file, f"is damaged, it is not JSON ({error})", again) from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DataError(file, f"does not say that it describes a {FORMAT}", again)
    version = meta.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(file, f"version {version!r} is not a whole number from 1", again)
    if version > VERSION:
        raise DataError(
            path,
            f"is a zoo of format version {version}, this weightspace reads version {VERSION}",
            "upgrade it with `pip install --upgrade weightspace`",
        )
    try:
        meta = unseal(meta, _ENTRIES)
    except ValueError as error:
        raise DataError(file, f"is damaged, {error}", again) from None
    _check_content(file, meta)
    return meta


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long
        return False


def space_of(meta: dict[str, Any]) -> Space:
    """The space from which the zoo was drawn."""
    return Space.from_dict(meta["space"])


def dtype(meta: dict[str, Any]) -> Dtype:
    """The data type in which the zoo stores its values."""
    return dtype_of(meta.get("dtype", FLOAT32.name))


def refuse_other(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Raise UsageError if a zoo was begun with other settings, naming the first difference."""
    found = differences(there, here)
    if found:
        name, old, new = found[0]
        raise UsageError(
            path,
            f"holds another zoo, {name} is {old} there and {new} here",
            "choose another folder, or use the same settings to continue it",
        )


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The settings in which two zoos differ: name, first value, second value."""
    # The name and the description of a space do not change what is drawn; its recipe does.
    old, new = there["space"]["recipe"], here["space"]["recipe"]
    pairs = [(f"{key} of the space", old.get(key), new.get(key)) for key in old | new]
    pairs.append(("the seed", there["seed"], here["seed"]))
    pairs.append(("the dtype", dtype(there).name, dtype(here).name))
    counts = [meta["info"].get("snapshots") for meta in (there, here)]
    pairs.append(("the number of snapshots", counts[0], counts[1]))
    return [(name, json.dumps(a), json.dumps(b)) for name, a, b in pairs if a != b]


_KINDS = {"space": dict, "seed": int, "info": dict, "versions": dict, "created": str}


def _check_content(file: InnerPath, meta: dict[str, Any]) -> None:
    for key, kind in _KINDS.items():
        if not isinstance(meta.get(key), kind) or isinstance(meta[key], bool):
            raise DataError(file, f"is damaged at {key!r}", "restore it from a copy")
    try:
        dtype(meta)
    except UsageError as error:
        raise DataError(file, f"is damaged, {error}", "restore it from a copy") from None
    try:
        space_of(meta)
    except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            file,
            f"its space cannot be read ({error})",
            "restore it from a copy, or upgrade weightspace",
        ) from None
