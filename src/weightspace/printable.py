"""Text that somebody else chose, made fit for one line of a terminal."""

from __future__ import annotations


def printable(text: object, limit: int = 160) -> str:
    r"""The text without line breaks and control characters, cut where it goes on without end.

    Names in a file are the choice of whoever wrote it, and may try to steer a terminal. `limit`
    counts characters.

    >>> printable("conv1\x1b[2J.weight")
    'conv1�[2J.weight'
    """
    head = str(text)[: limit + 1]
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in head)
    return shown if len(shown) <= limit else shown[:limit] + "..."
