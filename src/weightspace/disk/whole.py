"""Folders that are written completely or not at all, or changed by one process at a time."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weightspace.disk.errors import explained
from weightspace.disk.folders import (
    Folder,
    exists,
    is_folder,
    make_folder,
    names,
    remove_tree,
    rename,
)
from weightspace.disk.locks import lock
from weightspace.disk.paths import InnerPath, inner_of
from weightspace.errors import DataError, UsageError

_SOON = 0.01  # seconds


@contextmanager
def whole_folder(out: Path) -> Iterator[InnerPath]:
    """An empty folder to fill, which gets the name `out` only if the `with` block succeeds.

    If the block fails, the folder is removed. Leftovers of a killed call for the same `out` are
    removed, too.

    Parameters
    ----------
    out : Path
        The folder; it must not exist, or be empty.

    Yields
    ------
    InnerPath
        The hidden folder to fill.

    Raises
    ------
    UsageError
        If `out` is a file or a link, or contains anything; nothing is overwritten.
    DataError
        If the disk is full, as one line.
    """
    final = inner_of(out)
    refuse_taken(final, out)
    with explained(out):
        final.root.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(final)
        hidden = final.named(f".{final.name}.{secrets.token_hex(6)}.tmp")
        make_folder(hidden)
        # Locked while it is filled, so that another run does not remove it as a leftover.
        with Folder(hidden) as held:
            if held.descriptor >= 0:
                lock(held.descriptor)
            try:
                yield InnerPath(hidden.path)
                refuse_taken(final, out)
                rename(hidden, final)
            finally:
                with suppress(DataError):
                    remove_tree(hidden)


@contextmanager
def alone_in(folder: InnerPath, wait: float = 0.0) -> Iterator[None]:
    """Keep other processes from changing a folder within the `with` block.

    Parameters
    ----------
    folder : InnerPath
        The folder.
    wait : float
        How many seconds to wait for another process that is in such a block.

    Yields
    ------
    None

    Raises
    ------
    DataError
        If another process is in such a block. Without file locks, nobody is kept out.
    """
    until = time.monotonic() + wait
    with Folder(folder) as held:
        while held.descriptor >= 0 and lock(held.descriptor) is False:
            if time.monotonic() < until:
                time.sleep(_SOON)
                continue
            raise DataError(
                folder,
                "another process is writing there",
                "run this again when it has finished, or choose another folder",
            )
        yield


def refuse_taken(final: InnerPath, out: Path) -> None:
    """Raise UsageError if a folder cannot appear without overwriting something."""
    if not exists(final):
        return
    if not is_folder(final):
        what = "is a link" if final.path.is_symlink() else "is a file"
    elif names(final):
        what = "has files in it"
    else:
        return
    raise UsageError(out, f"{what}, and nothing is overwritten", "choose another folder")


def _remove_leftovers(final: InnerPath) -> None:
    pattern = re.compile(rf"\.{re.escape(final.name)}\.[0-9a-f]{{12}}\.tmp")
    for name in names(final.parent):
        place = final.named(name)
        if not pattern.fullmatch(name) or not is_folder(place):
            continue
        with suppress(OSError, DataError), Folder(place) as left:
            if left.descriptor < 0 or lock(left.descriptor) is not False:
                remove_tree(place)
