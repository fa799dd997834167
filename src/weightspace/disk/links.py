"""Links inside a root: which paths they stand for. What is found is opened like any other path."""

from __future__ import annotations

import os
from pathlib import Path

from weightspace.disk.paths import InnerPath


def is_link(place: InnerPath) -> bool:
    """Whether it is a link, wherever it leads.

    Parameters
    ----------
    place : InnerPath
        The entry.

    Returns
    -------
    bool
    """
    return os.path.islink(place.path)


def without_links(place: InnerPath) -> InnerPath | None:
    """Find what links on a path lead to.

    Parameters
    ----------
    place : InnerPath
        A file or folder, behind links or not.

    Returns
    -------
    InnerPath or None
        The path of the same thing, without links. None if that is not in the same root.
    """
    real, home = Path(os.path.realpath(place.path)), Path(os.path.realpath(place.root))
    return (
        InnerPath(place.root, real.relative_to(home).parts) if real.is_relative_to(home) else None
    )
