"""The quantised types of GGUF files, and the numbers that their blocks stand for.

After the description of ggml (`ggml-common.h` and `ggml-quants.c`, MIT). A block is a row of bytes;
each function gets uint8 [blocks, bytes] and gives float32 [blocks, values].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_IQ4 = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)


@dataclass(frozen=True)
class Quantised:
    """A quantised type: its name, the values and bytes of a block, and what they stand for."""

    name: str
    values: int
    nbytes: int
    decode: Callable[[np.ndarray], NDArray[np.float32]]


def _half(blocks: NDArray[np.uint8], at: int) -> NDArray[np.float32]:
    """float32 [blocks, 1]: the float16 at a place of each block."""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _nibbles(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [blocks, 2 n]: the lower halves of n bytes, then the upper ones."""
    return np.concatenate([raw & 15, raw >> 4], axis=1)


def _fifth_bits(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [blocks, 32]: 16 or 0 for each bit of 4 bytes."""
    return np.unpackbits(raw, axis=1, bitorder="little") << np.uint8(4)


def _q4_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]).astype(np.float32) - 8)


def _q4_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]).astype(np.float32) + _half(blocks, 2)


def _q5_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    codes = _nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6])
    return _half(blocks, 0) * (codes.astype(np.float32) - 16)


def _q5_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    codes = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8])
    return _half(blocks, 0) * codes.astype(np.float32) + _half(blocks, 2)


def _q8_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _half(blocks, 0) * blocks[:, 2:].view(np.int8).astype(np.float32)


def _iq4_nl(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _half(blocks, 0) * _IQ4[_nibbles(blocks[:, 2:])]


def _spread(
    raw: NDArray[np.uint8], shifts: tuple[int, ...], mask: int, group: int
) -> NDArray[np.uint8]:
    """Codes of some bits: for each `group` of bytes, all of the first shift, of the second, ...

    Parameters
    ----------
    raw : ndarray of uint8, shape (blocks, n)
    shifts : tuple of int
    mask : int
    group : int

    Returns
    -------
    ndarray of uint8, shape (blocks, n * len(shifts))
    """
    rows = raw.reshape(len(raw), -1, 1, group)
    steps = np.array(shifts, np.uint8).reshape(1, 1, -1, 1)
    return ((rows >> steps) & np.uint8(mask)).reshape(len(raw), -1)


def _scaled(codes: np.ndarray, scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each of the k scales of a block times its share of the block's codes."""
    blocks, k = scales.shape
    values = codes.astype(np.float32).reshape(blocks, k, -1) * scales[:, :, None]
    return values.reshape(blocks, -1)


def _q2_k(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scales, raw = blocks[:, :16], blocks[:, 16:80]
    factor, least = _half(blocks, 80), _half(blocks, 82)
    codes = _spread(raw, (0, 2, 4, 6), 3, 32)
    low = np.repeat(least * (scales >> 4).astype(np.float32), 16, axis=1)
    return _scaled(codes, factor * (scales & 15).astype(np.float32)) - low


def _q3_k(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    masks, raw, packed = blocks[:, :32], blocks[:, 32:96], blocks[:, 96:108]
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], axis=1)
    high = _spread(packed[:, 8:], (0, 2, 4, 6), 3, 4)
    scales = (low | (high << 4)).astype(np.float32) - 32
    missing = 1 - _spread(masks, tuple(range(8)), 1, 32)  # a bit that is not set takes 4 away
    codes = _spread(raw, (0, 2, 4, 6), 3, 32).astype(np.float32) - 4 * missing.astype(np.float32)
    return _scaled(codes, _half(blocks, 108) * scales)


def _scales_and_minima(
    packed: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32 [blocks, 8] each: eight scales and minima of six bits in twelve bytes."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 6) << 4)], axis=1)
    minima = np.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _q4_k(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scales, minima = _scales_and_minima(blocks[:, 4:16])
    codes = _spread(blocks[:, 16:], (0, 4), 15, 32)
    low = np.repeat(_half(blocks, 2) * minima, 32, axis=1)
    return _scaled(codes, _half(blocks, 0) * scales) - low


def _q5_k(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scales, minima = _scales_and_minima(blocks[:, 4:16])
    high = _spread(blocks[:, 16:48], tuple(range(8)), 1, 32)
    codes = _spread(blocks[:, 48:], (0, 4), 15, 32) | (high << 4)
    low = np.repeat(_half(blocks, 2) * minima, 32, axis=1)
    return _scaled(codes, _half(blocks, 0) * scales) - low


def _q6_k(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    low, high = blocks[:, :128], blocks[:, 128:192]
    scales = blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    codes = _spread(low, (0, 4), 15, 64) | (_spread(high, (0, 2, 4, 6), 3, 32) << 4)
    return _scaled(codes.astype(np.float32) - 32, _half(blocks, 208) * scales)


QUANTS = {
    2: Quantised("Q4_0", 32, 18, _q4_0),
    3: Quantised("Q4_1", 32, 20, _q4_1),
    6: Quantised("Q5_0", 32, 22, _q5_0),
    7: Quantised("Q5_1", 32, 24, _q5_1),
    8: Quantised("Q8_0", 32, 34, _q8_0),
    10: Quantised("Q2_K", 256, 84, _q2_k),
    11: Quantised("Q3_K", 256, 110, _q3_k),
    12: Quantised("Q4_K", 256, 144, _q4_k),
    13: Quantised("Q5_K", 256, 176, _q5_k),
    14: Quantised("Q6_K", 256, 210, _q6_k),
    20: Quantised("IQ4_NL", 32, 18, _iq4_nl),
}
"""By the number of the type in a file."""
