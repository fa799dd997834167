"""Folders that appear whole or not at all, and names that lead nowhere else."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from weightspace.disk import InnerPath, explained, sync_folder
from weightspace.errors import UsageError
from weightspace.zoo.places import refuse_url


@contextmanager
def fresh(out: Path) -> Iterator[Path]:
    """An empty folder to fill; it is called `out` when the block ends well, and is gone otherwise.

    Raises UsageError where `out` is a file or holds anything: nothing is overwritten.
    """
    refuse_url(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "has files in it" if out.is_dir() else "is a file"
        raise UsageError(f"{out}: {what}, and nothing is overwritten; choose another folder")
    hidden = out.absolute().parent / f".{out.name}.{secrets.token_hex(6)}.tmp"
    try:
        with explained(out, 0):
            hidden.mkdir(parents=True)
            yield hidden
            hidden.replace(out)
            sync_folder(InnerPath(out.absolute().parent))
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def inner(path: str) -> PurePosixPath | None:
    """A path from outside, if it is relative and stays within the folder it is relative to."""
    found = PurePosixPath(path.replace("\\", "/"))
    strange = found.is_absolute() or ".." in found.parts or not found.parts
    return None if strange or not path.isprintable() or ":" in found.parts[0] else found
