"""JSON files that carry the checksum of what they say, so that no changed digit is believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

_ENTRY = "checksum"


def seal(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The entries and, last, their checksum."""
    return {**plain, _ENTRY: _checksum(plain)}


def unseal(sealed: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The entries; ValueError where the checksum is another's, or an entry none of `known`.

    Files without a checksum are taken as they are: a person may have changed one on purpose.
    """
    plain = dict(sealed)
    checksum = plain.pop(_ENTRY, None)
    if checksum is not None and checksum != _checksum(plain):
        raise ValueError(
            f"its {_ENTRY!r} is that of another content; who changed it on purpose deletes it"
        )
    if strange := sorted(plain.keys() - set(known)):
        raise ValueError(f"it has an entry {strange[0][:60]!r}, which is none of the format")
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    """BLAKE2b of 8 bytes, as 16 hex digits, of the JSON with sorted keys and no spaces."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
