"""The global random generators: seeded for a while, and whether code has used them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def numbers_from(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python; afterwards they are as they were."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(cuda):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def standing() -> tuple[object, ...]:
    """Where the generators stand; two equal results have no random number between them."""
    kind, keys, place, *_ = np.random.get_state()
    state = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), (kind, np.asarray(keys).tobytes(), place), state
