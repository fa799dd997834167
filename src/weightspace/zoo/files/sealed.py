"""JSON files that contain a checksum of their own entries, so that a changed digit is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

_ENTRY = "checksum"


def seal(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The entries, followed by their checksum."""
    return {**plain, _ENTRY: _checksum(plain)}


def unseal(sealed: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The entries; ValueError if the checksum does not fit or an entry is not in `known`.

    A file without a checksum is accepted: a person may have edited it on purpose.
    """
    plain = dict(sealed)
    checksum = plain.pop(_ENTRY, None)
    if checksum is not None and checksum != _checksum(plain):
        raise ValueError(
            f"its {_ENTRY!r} does not fit its content, delete that entry if you changed the file "
            "on purpose"
        )
    if strange := sorted(plain.keys() - set(known)):
        raise ValueError(f"it has an entry {strange[0][:60]!r}, which the format does not have")
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    """BLAKE2b of 8 bytes, as 16 hex digits, of the JSON with sorted keys and no spaces."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
