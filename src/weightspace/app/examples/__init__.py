"""Small nets with cards, to try the app: one card is true, one is false, one cannot be decided.

`make.py` in the folder `app` of the repository trains the nets and writes the cards.
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
"""The folders of the examples, and what their buttons say."""
CARD, WEIGHTS = "README.md", "net.safetensors"
_MOST = 2**20


def card(name: str) -> str:
    """The card of an example."""
    return _bytes(name, CARD).decode()


def weights(name: str) -> tuple[str, bytes]:
    """The name of the file of an example, and what is in it.

    Raises
    ------
    UsageError
        If there is no such example.
    """
    if name not in EXAMPLES:
        raise UsageError(f"example://{name}", f"is none; there are {', '.join(EXAMPLES)}")
    return WEIGHTS, _bytes(name, WEIGHTS)


def _bytes(name: str, file: str) -> bytes:
    return read_bytes(Path(str(resources.files(__package__) / name / file)), _MOST)
