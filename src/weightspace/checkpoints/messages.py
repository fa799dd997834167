"""Why a file is not read, in words that fit on one line after its name."""

from __future__ import annotations

from weightspace.printable import printable


class Refusal(Exception):
    """Why a file is not read: an error without the name of the file.

    Parameters
    ----------
    cause : str
        What is wrong.
    remedy : str
        What to do.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause, self.remedy = cause, remedy
        super().__init__(cause, remedy)

    def __str__(self) -> str:
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause


def unknown(what: str) -> Refusal:
    """The refusal of a pickle that does something that weights files never do."""
    return Refusal(
        f"refused; its pickle does something that weights files never do ({printable(what)})",
        "save the state dict as safetensors",
    )


def damaged(what: str) -> Refusal:
    """The refusal of a torch file that contradicts itself."""
    return Refusal(f"damaged, or not a torch file ({printable(what)})", "fetch it again")


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(" .") if lines else type(error).__name__)
