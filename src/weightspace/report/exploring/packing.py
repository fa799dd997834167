"""Arrays as compressed text for a page, which a browser unpacks when it needs them."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

MISSING = 65535
"""The code of a number that is missing or not finite."""
_ALIGNMENT = 8


def packed(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """A header and arrays as gzip.

    Unpacked, there are the length of the header (uint32), the header as JSON, and the arrays in
    little-endian order. The header's `arrays` says of each its dtype, first byte after the header,
    and count of values. All begin at multiples of eight bytes.
    """
    places, pieces, offset = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        places[name] = [array.dtype.name, offset, int(array.size)]
        pieces.append(data + bytes(-len(data) % _ALIGNMENT))
        offset += len(pieces[-1])
    text = json.dumps({**header, "arrays": places}, separators=(",", ":"), allow_nan=False)
    head = text.encode()
    head += b" " * (-(len(head) + 4) % _ALIGNMENT)
    whole = struct.pack("<I", len(head)) + head + b"".join(pieces)
    return gzip.compress(whole, 6, mtime=0)


def as_text(data: bytes) -> str:
    """Bytes in base 64, which is safe in a script element."""
    return base64.b64encode(data).decode()


def coded(series: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of numbers [n, k] as low and high float32 [n], and codes uint16 [n, k] between them.

    A number is off by at most 1/131,068 of the range of its row. `MISSING` stands for what is not
    finite; a row of such numbers has the range 0 to 0.
    """
    finite = np.isfinite(series) & (np.abs(series) < np.finfo(np.float32).max)
    some = finite.any(axis=1)
    low = np.where(some, np.where(finite, series, np.inf).min(axis=1, initial=np.inf), 0.0)
    high = np.where(some, np.where(finite, series, -np.inf).max(axis=1, initial=-np.inf), 0.0)
    width = np.where(high > low, high - low, 1.0)
    share = (np.where(finite, series, 0.0) - low[:, None]) / width[:, None]
    codes = np.rint(share.clip(0, 1) * (MISSING - 1)).astype(np.uint16)
    codes[~finite] = MISSING
    return low.astype(np.float32), high.astype(np.float32), codes
