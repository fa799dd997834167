"""`OwnModule`: the text of a user's file, and the function in it that makes a torch module."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

NAMED = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)")

MODULE = "module"
"""The initialization by which a module's initial weights are its own."""


@dataclass(frozen=True)
class OwnModule:
    """A function of a recipe that gives a torch module, with the text that defines it.

    It is data, and can be sent to another process. `networks.modules.running` runs it. Only code
    that got the file from the user may make one.

    Parameters
    ----------
    file : str
        The name of the file, without its folder.
    function : str
        The name of the function, or of the class.
    text : str
        What the file holds.
    """

    file: str
    function: str
    text: str

    @property
    def name(self) -> str:
        """The name in recipes, such as "net.py:build"."""
        return f"{self.file}:{self.function}"

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the text, 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()
