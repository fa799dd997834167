"""`InnerPath`: a folder that a user named, and a way from there that only goes down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from weightspace.errors import DataError
from weightspace.printable import printable

_LONGEST_NAME = 255
_LONGEST_SHOWN = 4096


@dataclass(frozen=True, order=True)
class InnerPath:
    """A path inside `root`, name by name.

    It is no `os.PathLike`, so that nothing but this package can open it. Raises DataError for a
    name that would lead elsewhere.

    >>> zoo = InnerPath(Path("zoo"))
    >>> str(zoo / "shards" / "unit-1.safetensors")
    'zoo/shards/unit-1.safetensors'
    """

    root: Path
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.parts:
            if not _is_name(name):
                raise DataError(
                    f"{self.root}: {printable(repr(name), 80)} is no name of a file or folder in "
                    "it; take the names from a sound copy"
                )

    def __str__(self) -> str:
        """As messages show it: in one line, whatever the names of strangers hold."""
        return printable(self.path, _LONGEST_SHOWN)

    def __truediv__(self, name: str) -> InnerPath:
        return InnerPath(self.root, (*self.parts, name))

    @property
    def path(self) -> Path:
        """As one path, for who must be told of it, never to be opened."""
        return self.root.joinpath(*self.parts)

    @property
    def thing(self) -> str:
        """The way from the root, with slashes."""
        return "/".join(self.parts)

    @property
    def parent(self) -> InnerPath:
        """The folder that it lies in; of the root there is none."""
        if not self.parts:
            raise ValueError(f"{self.root}: what lies above the root is nobody's to open")
        return InnerPath(self.root, self.parts[:-1])

    @property
    def name(self) -> str:
        """The last name."""
        return self.parts[-1] if self.parts else self.root.name

    @property
    def stem(self) -> str:
        """The last name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the last name, with its dot."""
        return PurePosixPath(self.name).suffix

    def named(self, name: str) -> InnerPath:
        """Its neighbour of another name."""
        return self.parent / name


def inner_of(path: str | Path) -> InnerPath:
    """A file or folder that a user named, as an entry of the folder that it lies in."""
    whole = Path(os.path.normpath(Path(path).absolute()))
    if not whole.name:
        raise DataError(f"{path}: is the root of a disk; name a folder in it")
    return InnerPath(whole.parent, (whole.name,))


def stays_inside(path: str) -> PurePosixPath | None:
    """A path written by somebody else, if it is relative and goes only down; else None."""
    found = PurePosixPath(path.replace("\\", "/"))
    strange = found.is_absolute() or not found.parts or not all(map(_is_name, found.parts))
    return None if strange or not path.isprintable() or ":" in found.parts[0] else found


def _is_name(name: str) -> bool:
    if name in ("", ".", "..") or any(c in name for c in "/\0" + os.sep + (os.altsep or "")):
        return False
    return len(os.fsencode(name)) <= _LONGEST_NAME if _encodes(name) else False


def _encodes(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
