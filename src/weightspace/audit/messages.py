"""Text from a foreign file, made fit for a message of one line."""

from __future__ import annotations


def printable(text: object, limit: int = 160) -> str:
    """The text without line breaks and control characters, cut where it goes on without end.

    Names in a file are the choice of whoever wrote it, and may try to steer a terminal.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= limit else shown[:limit] + "..."


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(" .") if lines else type(error).__name__)
