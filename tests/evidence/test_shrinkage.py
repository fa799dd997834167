"""How far weight decay shrinks what gradients do not move, against torch's SGD in float64."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from support import seeded
from support.trained import mlp, train
from weightspace.evidence import Evidence
from weightspace.evidence.shrinkage import shrinkage

KINDS = {"plain": (0.0, False), "momentum": (0.9, False), "nesterov": (0.9, True)}


def alone(decay: float, momentum: float, steps: int, nesterov: bool) -> float:
    """What is left of a weight of 1 that has no gradient; the learning rate is 1."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    options = {"momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
    optimizer = torch.optim.SGD([weight], lr=1.0, **options)
    for _ in range(steps):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    return weight.item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decay", [0.0, 1e-7, 1e-5, 1e-3, 0.0026, 0.00277])
@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
def test_it_is_that_of_torch(kind: str, decay: float, steps: int) -> None:
    """0.00263 and 0.00277 are the decays from which momentum and Nesterov's make weights swing."""
    momentum, nesterov = KINDS[kind]
    least, most = shrinkage(decay, momentum, steps, nesterov=nesterov)
    if math.isfinite(most):
        assert least == most
        assert least == pytest.approx(-math.log(alone(decay, momentum, steps, nesterov)), abs=1e-10)
    else:
        assert (kind, decay) == ("momentum", 0.00277)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decay", [1e-4, 0.0025])
def test_it_is_that_of_column_sums_in_a_training(kind: str, decay: float) -> None:
    """The product is 7.5 for the strong decay with momentum, and weights shrink by more."""
    momentum, nesterov = KINDS[kind]
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    output = list(net.parameters())[-2]
    before = output.detach().sum(0)
    options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": decay / 0.05}
    train(net, lambda p: torch.optim.SGD(p, lr=0.05, **options), 300)
    left = float((output.detach().sum(0) @ before) / (before @ before))
    exact, _ = shrinkage(decay, momentum, 300, nesterov=nesterov)
    assert -math.log(left) == pytest.approx(exact, rel=1e-6)
    product = decay * 300 / (1 - momentum)
    strong = decay > 1e-3 and momentum > 0
    assert (exact > 1.1 * product) == strong


def test_momentum_that_has_not_built_up_shrinks_less() -> None:
    assert shrinkage(1e-5, 0.9, 10)[0] < 0.7 * 1e-5 * 10 / 0.1


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.003, 0.1, 0.9, 1.5])
def test_weights_that_swing_have_a_least_shrinkage_alone(
    decay: float, momentum: float, nesterov: bool
) -> None:
    swung = 0
    for steps in (1, 3, 10, 31, 100, 300):
        least, most = shrinkage(decay, momentum, steps, nesterov=nesterov)
        left = abs(alone(decay, momentum, steps, nesterov and momentum > 0))
        assert least <= (-math.log(left) if left else math.inf) + 1e-9
        swung += math.isinf(most)
        if math.isinf(most) and steps == 300 and momentum < 0.99 and decay < 1:
            assert least > 0
    assert swung in (0, 6)


def law(steps: int, decay: float, folder: Path) -> Evidence:
    """What known first weights say of the decay of an output layer trained at a rate of 0.05."""
    torch.manual_seed(42)
    net = seeded.mlp()
    first, last = list(net.parameters())[:2], list(net.parameters())[2:]
    groups = [{"params": first}, {"params": last, "weight_decay": decay}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    evidence = seeded.judged(seeded.trained(net, optimizer, steps), folder)
    (found,) = [one for one in evidence if one.claim == "weight_decay"]
    return found


def test_sums_of_which_rounding_is_left_have_no_upper_limit(tmp_path: Path) -> None:
    found = law(600, 0.05, tmp_path)
    exact, _ = shrinkage(0.05 * 0.05, 0.9, 600)
    assert found.estimate is not None
    assert exact > 20  # less than float32 can hold beside what the net learned
    assert math.isinf(found.estimate.high)
    assert 5 < found.estimate.low < exact
