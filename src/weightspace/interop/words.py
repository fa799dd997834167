"""Names from other formats as a zoo writes them: lower case, with underscores."""

from __future__ import annotations

import re
from collections.abc import Mapping

from weightspace.errors import DataError
from weightspace.printable import printable

_WORD = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")


def word(column: str, text: str, place: str, known: Mapping[str, str]) -> str:
    """The zoo's name for `text`: the one in `known`, or the text itself if it is a plain word."""
    plain = re.sub(r"[\s-]+", "_", text.strip().lower())
    found = known.get(plain, plain)
    if not _WORD.fullmatch(found):
        raise DataError(
            place,
            f"{column}: {printable(text, 60)!r} is not a word of letters, digits and underscores",
            "correct it",
        )
    return found
