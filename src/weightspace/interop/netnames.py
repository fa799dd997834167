"""The names of nets that were trained elsewhere, made of the paths of their files.

The name of a net has 1 to 64 letters, digits, dots and hyphens, and a path may have anything. A
path that is a valid name becomes the name. Any other path is written with hyphens, and a hash of
the path follows, because several paths may be written in the same way. So the name of a file
depends on its path alone, and it stays the same when other files come.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.zoo.files.places import is_net

_LONGEST = 64  # characters
_HASH = 10  # hexadecimal digits
_HASH_OF_A_LONG_NAME = 12


def plain_name(source: str) -> str:
    """A path as the name of a net; if the path is no valid name, with a hash of all of it."""
    if is_net(source):
        return source
    spelled = _spelled(source)
    if len(spelled) > _LONGEST - _HASH - 1:
        return f"{_hash(source, _HASH_OF_A_LONG_NAME)}-{spelled[-51:].lstrip('-.')}"
    return f"{spelled or 'net'}-{_hash(source, _HASH)}"


def different(nets: Iterable[tuple[str, str]]) -> list[str]:
    """Names of nets, given their paths without and with the suffix, all different.

    The suffix of a path matters only if two paths differ in nothing else: the first has the name
    without it.
    """
    found: dict[str, None] = {}
    for stem, path in nets:
        name = plain_name(stem)
        if name in found:
            name = f"{name[:47]}-{_hash(path, 16)}"
        found[name] = None
    return list(found)


def named(nets: Sequence[tuple[str | None, str]]) -> list[str]:
    """Names of nets, given their own names, if they have any, and their paths.

    A net without a name of its own is called as the last part of its path. If these names are not
    valid and all different, it is called as the whole path, with a hash only if that is needed.
    DataError if two nets have the same name of their own.
    """
    last = [own or path.rstrip("/").rpartition("/")[2] for own, path in nets]
    for names in (last, [own or _spelled(path) for own, path in nets]):
        if all(map(is_net, names)) and len(set(names)) == len(names):
            return names
    found = [own or plain_name(path) for own, path in nets]
    first: dict[str, str] = {}
    for name, (_, path) in zip(found, nets, strict=True):
        check_name(name, path)
        if name in first:
            raise twice(name, first[name], path)
        first[name] = path
    return found


def check_name(name: str, path: str) -> None:
    """DataError if this cannot be the name of the net at `path`."""
    if not is_net(name):
        raise DataError(
            f"net {printable(name, 80)!r} ({printable(path)})",
            "is not a valid name of a net",
            "use 1 to 64 letters, digits, dots and hyphens",
        )


def twice(name: str, path: str, other: str) -> DataError:
    """The error for two nets of one name."""
    where = f"is there twice, as {printable(path)} and as {printable(other)}"
    return DataError(f"net {name}", where, "rename or remove one")


def _spelled(path: str) -> str:
    """The path with hyphens for what a name cannot have; it may be too long, or empty."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", path).strip("-.")


def _hash(path: str, digits: int) -> str:
    # File names that are not UTF-8 contain surrogates.
    whole = path.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=digits // 2).hexdigest()
