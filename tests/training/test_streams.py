"""Random numbers depend on seed, purpose and step, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightspace.training import streams


def splitmix64(state: int, count: int) -> list[int]:
    """The published generator, with Python's whole numbers."""
    found = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        found.append(z ^ (z >> 31))
    return found


@given(st.integers(0, 2**64 - 1))
def test_words_are_splitmix64(key: int) -> None:
    ours = streams.words(torch.tensor([streams.signed(key)]), 5)[0].tolist()
    assert [word % 2**64 for word in ours] == splitmix64(key, 5)


@given(st.integers(1, 2**62), st.integers(0, 2**40), st.sampled_from(sorted(streams.PURPOSES)))
def test_a_stream_does_not_depend_on_neighbours(seed: int, step: int, purpose: str) -> None:
    alone = streams.keys(torch.tensor([seed]), purpose, step)
    among = streams.keys(torch.tensor([5, seed, 9]), purpose, step)
    assert among[1] == alone[0]
    assert torch.equal(streams.words(among, 9)[1, :4], streams.words(alone, 4)[0])


def test_keys_differ_by_seed_purpose_and_step() -> None:
    seeds = torch.arange(50)
    found = {
        int(key)
        for purpose in streams.PURPOSES
        for step in range(20)
        for key in streams.keys(seeds, purpose, step)
    }
    assert len(found) == 50 * 20 * len(streams.PURPOSES)


@pytest.mark.parametrize("kind", ["uniform", "normal", "uniform16"])
def test_moments(kind: str) -> None:
    """A million numbers: mean and variance within five standard errors."""
    x = getattr(streams, kind)(torch.tensor([42, 43]), 500_000).double().numpy().ravel()
    mean, variance, fourth = {
        "uniform": (0.5, 1 / 12, 1 / 80),
        "normal": (0.0, 1.0, 3.0),
        "uniform16": (-0.5, 65536**2 / 12, 65536**4 / 80),
    }[kind]
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / x.size)
    error = np.sqrt((fourth - variance**2) / x.size)
    assert abs(((x - mean) ** 2).mean() - variance) < 5 * error


def test_permutations_hold_every_image_once_whatever_the_neighbours() -> None:
    key = torch.tensor([1, 2, 3])
    together = streams.permutations(key, [10, 4, 7])
    for row, size in enumerate([10, 4, 7]):
        assert sorted(together[row, :size].tolist()) == list(range(size))
        alone = streams.permutations(key[row : row + 1], [size])
        assert torch.equal(together[row, :size], alone[0])
