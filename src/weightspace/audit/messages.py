"""The error of a reader of foreign files, made fit for a message of one line."""

from __future__ import annotations

from weightspace.printable import printable


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(" .") if lines else type(error).__name__)
