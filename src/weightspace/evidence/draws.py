"""The random numbers that torch draws on a CPU after `torch.manual_seed`, in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = type[np.float32] | type[np.float64]

_PIECE = 2**20  # words that are skipped at once
_BLOCK = 16  # values of a normal distribution that torch computes together


def seed_word(seed: int) -> int:
    """The 32 bits of a seed that reach torch's generator; seeds that share them give one stream."""
    return seed & 0xFFFFFFFF


class Stream:
    """The numbers that torch's generator gives after `torch.manual_seed(seed)`, in order.

    torch seeds a Mersenne twister (mt19937) as its authors' `init_genrand` does, and so does
    NumPy's `RandomState`, whose stream is frozen.

    Parameters
    ----------
    seed : int
        Any integer that `torch.manual_seed` takes; its lower 32 bits count.

    Examples
    --------
    >>> from weightspace.evidence.draws import Stream
    >>> import torch
    >>> _ = torch.manual_seed(42)
    >>> bool((Stream(42).uniform(5) == torch.rand(5).numpy()).all())
    True
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        self._state = np.random.RandomState(self._bits)
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """Begin anew with another seed, which is faster than a new stream."""
        self._state.seed(seed_word(seed))
        self._spare: float | None = None

    def words(self, count: int) -> NDArray[np.uint32]:
        """The next words of 32 bits: uint32 [count]."""
        return self._bits.random_raw(count).astype(np.uint32)

    def skip(self, count: int) -> None:
        """Leave out the next `count` words."""
        while count > 0:
            self._bits.random_raw(min(count, _PIECE), output=False)
            count -= _PIECE

    def centred(self, count: int) -> NDArray[np.float32]:
        """The next numbers as float32 `uniform` makes them between -1 and 1: float32 [count]."""
        shares = (self._bits.random_raw(count) & np.uint64(0xFFFFFF)).astype(np.float32)
        shares *= np.float32(2.0**-23)
        shares -= np.float32(1)
        return shares

    def uniform(
        self, count: int, low: float = 0.0, high: float = 1.0, dtype: Float = np.float32
    ) -> NDArray[Any]:
        """What `torch.empty(count, dtype=dtype).uniform_(low, high)` draws.

        Parameters
        ----------
        count : int
            How many values.
        low, high : float
            The limits.
        dtype : float32 or float64
            float32 takes a word a value and has 24 random bits, float64 two words and 53 bits.

        Returns
        -------
        ndarray of dtype, shape (count,)
        """
        if np.dtype(dtype) == np.float64:
            return self._doubles(count) * (high - low) + low
        least, most = np.float32(low), np.float32(high)
        shares = (self.words(count) & 0xFFFFFF) * 2.0**-24
        return (shares * float(most - least) + float(least)).astype(np.float32)

    def normal(
        self, count: int, mean: float = 0.0, std: float = 1.0, dtype: Float = np.float32
    ) -> NDArray[Any]:
        """What `torch.empty(count, dtype=dtype).normal_(mean, std)` draws.

        From 16 values on, torch makes blocks of 16 out of 16 uniform numbers each, and draws the
        last 16 values anew if the number is no multiple of 16. Fewer it makes one by one, in pairs
        of which the second is kept for the next call. Values equal those of torch to the last
        places, because vectorised logarithms and sines differ by machine.

        Parameters
        ----------
        count : int
            How many values.
        mean, std : float
            Mean and standard deviation.
        dtype : float32 or float64
            The type of the values.

        Returns
        -------
        ndarray of dtype, shape (count,)
        """
        if count < _BLOCK:
            one_by_one = [self._pairwise() * std + mean for _ in range(count)]
            return np.array(one_by_one, dtype)
        uniform = self.uniform(count, dtype=dtype)
        whole = count - count % _BLOCK
        found = np.empty(count, dtype)
        found[:whole] = _box_muller(uniform[:whole])
        if whole < count:
            found[-_BLOCK:] = _box_muller(self.uniform(_BLOCK, dtype=dtype))
        found *= dtype(std)
        found += dtype(mean)
        return found

    def permutation(self, count: int) -> NDArray[np.int64]:
        """What `torch.randperm(count)` draws, for less than 2**32 / 20 values: int64 [count]."""
        words = self.words(max(count - 1, 0)).tolist()
        found = list(range(count))
        for place, word in enumerate(words):
            other = place + word % (count - place)
            found[place], found[other] = found[other], found[place]
        return np.array(found, np.int64)

    def _doubles(self, count: int) -> NDArray[np.float64]:
        pairs = self.words(2 * count).astype(np.uint64).reshape(count, 2)
        words = (pairs[:, 0] << np.uint64(32) | pairs[:, 1]) & np.uint64(2**53 - 1)
        return words.astype(np.float64) * 2.0**-53

    def _pairwise(self) -> float:
        if self._spare is not None:
            found, self._spare = self._spare, None
            return found
        turn, length = self._doubles(2)
        radius = math.sqrt(-2.0 * math.log1p(-length))
        self._spare = radius * math.sin(2.0 * math.pi * turn)
        return radius * math.cos(2.0 * math.pi * turn)


def normal_words(count: int) -> int:
    """How many words `Stream.normal` takes for 16 values or more of float32."""
    return count + (_BLOCK if count % _BLOCK else 0)


def _box_muller(uniform: NDArray[Any]) -> NDArray[Any]:
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(-2 * np.log(1 - blocks[:, 0]))
    angle = blocks[:, 1] * uniform.dtype.type(2 * math.pi)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
