"""Which keys a dict or a set from a pickle may have: those that are hashed and compared fast."""

from __future__ import annotations

from weightspace.checkpoints.messages import unknown
from weightspace.checkpoints.pickling.records import Foreign, Record
from weightspace.checkpoints.tensors import Tensor

_LONGEST = 3  # entries of a tuple
_LARGEST = 2**50  # from 2**61 on, different integers can have the same hash
_LARGEST_INSIDE = 2**20


def fit(key: object) -> object:
    """The key itself; Refusal for a key with which an attacker could make hashing very slow.

    The hashes of text and bytes cannot be predicted, and small integers have different hashes. But
    any amount of larger integers, or of tuples of them, can have the same hash, and then each new
    key is compared with all others. Records, and tensors, which are keys in
    optimizers that were saved whole, are hashed by where they are in memory.
    """
    kind = type(key)
    if kind is str:
        return _text(key)
    if type(key) is tuple:
        if len(key) > _LONGEST or not all(_fits_inside(entry) for entry in key):
            raise unknown("a tuple of more than a few words and small numbers as a key")
        return key
    if type(key) is int and not -_LARGEST < key < _LARGEST:
        raise unknown("a number of 2**50 or more as a key")
    if kind not in (int, bool, float, bytes, type(None), Record, Foreign, Tensor):
        raise unknown(f"a {kind.__name__} as a key")
    return key


def _text(key: object) -> str:
    text = str(key)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise unknown(f"a key that is not text: {text[:60]!r}") from None
    return text


def _fits_inside(entry: object) -> bool:
    if type(entry) is int:
        return -_LARGEST_INSIDE < entry < _LARGEST_INSIDE
    return type(entry) in (str, bytes, bool, type(None))
