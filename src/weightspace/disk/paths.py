"""`InnerPath`: a folder that a user named, and a path from there that only goes down."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from weightspace.errors import DataError
from weightspace.printable import printable

_LONGEST_NAME = 255
_LONGEST_SHOWN = 4096


@dataclass(frozen=True, order=True)
class InnerPath:
    """A path inside a root folder, name by name.

    It is not an `os.PathLike`, so that only this package can open it.

    Parameters
    ----------
    root : Path
        The folder that a user named.
    parts : tuple of str
        The names on the path from there.

    Raises
    ------
    DataError
        If a name would lead out of the folder.

    Examples
    --------
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
                    self.root,
                    f"{printable(repr(name), 80)} is not a valid name of a file or folder in it",
                    "take the names from a sound copy",
                )

    def __str__(self) -> str:
        """The path for messages: one line, whatever characters the names contain."""
        return printable(self.path, _LONGEST_SHOWN)

    def __truediv__(self, name: str) -> InnerPath:
        return InnerPath(self.root, (*self.parts, name))

    @property
    def path(self) -> Path:
        """The path as one `Path`, to pass on to others, never to open."""
        return self.root.joinpath(*self.parts)

    @property
    def thing(self) -> str:
        """The names from the root on, with slashes."""
        return "/".join(self.parts)

    @property
    def parent(self) -> InnerPath:
        """The folder that contains it; the root has no parent."""
        if not self.parts:
            raise ValueError(f"{self.root}: folders above the root must not be opened")
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
        """The path in the same folder with another name.

        Parameters
        ----------
        name : str
            The name.

        Returns
        -------
        InnerPath
        """
        return self.parent / name


def inner_of(path: str | Path) -> InnerPath:
    """A file or folder that a user named, as an entry of the folder that contains it.

    Parameters
    ----------
    path : str or Path
        The file or folder.

    Returns
    -------
    InnerPath

    Raises
    ------
    UsageError
        If it is the root of a disk.
    """
    whole = Path(os.path.normpath(Path(path).absolute()))
    if not whole.name:
        raise DataError(path, "is the root of a disk", "name a folder in it")
    return InnerPath(whole.parent, (whole.name,))


def stays_inside(path: str) -> PurePosixPath | None:
    """Check a path that somebody else wrote.

    Parameters
    ----------
    path : str
        The path.

    Returns
    -------
    PurePosixPath or None
        The path if it is relative and only goes down, otherwise None.

    Examples
    --------
    >>> stays_inside("a/b")
    PurePosixPath('a/b')
    >>> stays_inside("../b") is None
    True
    """
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


def user_cache() -> Path:
    """The folder of this package in the user's cache, as is usual on the platform.

    Returns
    -------
    Path
        It need not exist.
    """
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "weightspace"
