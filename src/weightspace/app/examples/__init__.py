"""Small nets with cards and a small zoo, to try the app.

One card is true, one is false, one cannot be decided. `make_examples.py` in the folder `app` of the
repository trains all nets and writes the cards.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from weightspace.disk import read_bytes
from weightspace.errors import UsageError

EXAMPLES: Mapping[str, str] = {
    "true": "A card that is true",
    "false": "A card that is false",
    "open": "A card that cannot be decided",
}
"""The folders of the nets, and what their buttons say."""
ZOO = "zoo"
"""The folder of the zoo."""
CARD, WEIGHTS, PACKED = "README.md", "net.safetensors", "digits.zip"
_MOST = 2**20


def card(name: str) -> str:
    """The card of a net."""
    return _bytes(name, CARD).decode()


def file_of(name: str) -> tuple[str, bytes]:
    """The name of the file of an example, and what is in it.

    Raises
    ------
    UsageError
        If there is no such example.
    """
    if name not in (*EXAMPLES, ZOO):
        raise UsageError(f"example://{name}", f"is none; there are {', '.join((*EXAMPLES, ZOO))}")
    file = PACKED if name == ZOO else WEIGHTS
    return file, _bytes(name, file)


def _bytes(name: str, file: str) -> bytes:
    return read_bytes(Path(str(resources.files(__package__) / name / file)), _MOST)
