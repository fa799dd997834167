"""Sums that changed without what was learned give valid p-values, and adaptive steps tiny ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from support.trained import mlp, train
from weightspace.evidence.displacement import sum_change
from weightspace.evidence.learned import independence, independent_of_growth

SGD = partial(torch.optim.SGD, lr=0.1)
WIDTH = 64


def moved_by(optimizer, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The output layer of a net after training, and before: [outputs, inputs]."""
    torch.manual_seed(0)
    net = mlp(64, WIDTH, 10)
    first = net[2].weight.detach().numpy().copy()
    return train(net, optimizer, steps)[2].weight.detach().numpy(), first


NOW, FIRST = moved_by(SGD, 200)


def noise(rng: np.random.Generator) -> np.ndarray:
    return NOW + 0.05 * NOW.std() * rng.normal(size=NOW.shape)


def rescaled(rng: np.random.Generator) -> np.ndarray:
    return NOW * np.exp(rng.uniform(-0.7, 0.7, WIDTH))


def mean_with_another(rng: np.random.Generator) -> np.ndarray:
    other = rng.uniform(-1, 1, NOW.shape) * WIDTH**-0.5
    learned = (NOW - FIRST)[:, rng.permutation(WIDTH)]
    return (NOW + other + learned) / 2


@pytest.mark.parametrize("change", [noise, rescaled, mean_with_another])
def test_changes_that_know_nothing_of_the_training_have_valid_p_values(change) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        now = change(rng)
        one = sum_change(now, FIRST)
        left = now.sum(0) - one.slope * FIRST.sum(0)
        found.append(independent_of_growth(left, now - one.slope * FIRST))
    assert np.mean(np.array(found) < 0.05) < 0.09
    assert min(found) > 1e-4


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad])
def test_adaptive_steps_change_sums_by_what_was_learned(optimizer) -> None:
    assert sum_change(*moved_by(partial(optimizer, lr=2e-3), 100)).fit < 1e-6


def test_a_linear_optimizer_leaves_nothing_to_ask_for() -> None:
    assert sum_change(NOW, FIRST).fit == 1


def test_sums_that_are_a_covariate_or_too_few_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    known = np.stack([np.ones(30), rng.normal(size=30)], 1)
    assert independence(known[:, 1].copy(), known) < 1e-9
    assert independence(known[:6, 1].copy(), known[:6]) == 1
