"""Why a file is not read, in words that fit on one line after its name."""

from __future__ import annotations

from weightspace.printable import printable


class Refusal(Exception):
    """Why a file is not read: the error line without the name of the file."""


def foreign(name: str) -> Refusal:
    """The refusal of a name in a pickle that stands for code."""
    return Refusal(
        f"refused; reading it would execute {printable(name)}, "
        "and nothing was executed; save the state dict as safetensors"
    )


def unknown(what: str) -> Refusal:
    """The refusal of a pickle that does something that weights files never do."""
    return Refusal(
        f"refused; its pickle does something that weights files never do ({printable(what)}); "
        "save the state dict as safetensors"
    )


def damaged(what: str) -> Refusal:
    """The refusal of a torch file that contradicts itself."""
    return Refusal(f"damaged, or not a torch file ({printable(what)}); fetch it again")


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(" .") if lines else type(error).__name__)
