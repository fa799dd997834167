"""Why a foreign file is not read, in words that fit one line after its name."""

from __future__ import annotations

from weightspace.printable import printable


class Refusal(Exception):
    """Why a file is not read: all of the line but the name of the file."""


def foreign(name: str) -> Refusal:
    """A name in a pickle that stands for code."""
    return Refusal(
        f"refused; reading it would execute {printable(name)}, "
        "and nothing was executed; save the state dict as safetensors"
    )


def unknown(what: str) -> Refusal:
    """A pickle that does what no file of weights does."""
    return Refusal(
        f"refused; its pickle is none that a safe reader knows ({printable(what)}); "
        "save the state dict as safetensors"
    )


def damaged(what: str) -> Refusal:
    """A torch file that contradicts itself."""
    return Refusal(f"damaged, or no torch file ({printable(what)}); fetch it again")


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(" .") if lines else type(error).__name__)
