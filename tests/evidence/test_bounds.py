"""Bounds of adaptive steps: no sequence of gradients passes them, and one comes close."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from support.norm_nets import mlp, opened, p_value, trained
from weightspace.evidence import Context
from weightspace.evidence.bounds import bound_law, farthest


def moved(make, gradients):
    """How far an optimizer with a learning rate of 1 moves numbers, each by its own gradients."""
    tensor = nn.Parameter(torch.zeros(gradients.shape[1], dtype=torch.float64))
    optimizer = make([tensor])
    for gradient in gradients:
        tensor.grad = torch.tensor(gradient)
        optimizer.step()
    return float(tensor.detach().abs().max())


OPTIMIZERS = {
    "adam": lambda own: torch.optim.Adam(own, 1.0, eps=1e-300),
    "adamw": lambda own: torch.optim.AdamW(own, 1.0, eps=1e-300, weight_decay=0.0),
    "rmsprop": lambda own: torch.optim.RMSprop(own, 1.0, eps=1e-300),
    "adagrad": lambda own: torch.optim.Adagrad(own, 1.0, eps=1e-300),
}


def sequences(steps):
    """Gradients that are even, random, rare, growing, and those of the longest steps of Adam."""
    rng = np.random.default_rng(0)
    time = np.arange(steps)[:, None]
    return np.concatenate(
        [
            np.ones((steps, 1)),
            rng.normal(size=(steps, 20)),
            (rng.random((steps, 20)) < 0.05) * rng.normal(size=(steps, 20)) + 1e-12,
            np.exp(time * rng.uniform(-0.2, 0.2, (1, 20))),
            (0.9 / 0.999) ** (steps - 1.0 - time),
        ],
        axis=1,
    )


@pytest.mark.parametrize("steps", [1, 2, 30, 300])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_moves_farther(name, steps):
    allowed = farthest(name, steps, (0.9, 0.999) if name.startswith("adam") else None)
    assert moved(OPTIMIZERS[name], sequences(steps)) <= allowed * (1 + 1e-9)


def test_the_longest_step_of_adam_is_reached():
    """So no smaller bound of a step holds for all gradients."""
    steps = 4000
    tensor = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.Adam([tensor], 1.0, eps=1e-300)
    last = 0.0
    for time in range(steps):
        tensor.grad = torch.full(
            (1,), (0.9 / 0.999) ** max(steps - 1 - time, -300) + 1e-300
        ).double()
        last = float(tensor.detach())
        optimizer.step()
    limit = farthest("adam", steps, (0.9, 0.999)) - farthest("adam", steps - 1, (0.9, 0.999))
    assert abs(float(tensor.detach()) - last) == pytest.approx(limit, rel=1e-3)


def test_bounds_without_betas_are_those_of_the_usual_ones_that_allow_most():
    assert farthest("adam", 100) >= farthest("adam", 100, (0.9, 0.999))
    assert farthest("adam", 10, (0.99, 0.9)) == math.inf
    assert farthest("sgd", 100) is None
    assert farthest("lion", 100) == 100


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adagrad"])
def test_true_claims_are_possible_and_far_too_small_rates_are_not(name, tmp_path):
    torch.manual_seed(0)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
            "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}[name]  # fmt: skip
    net = trained(mlp(), lambda own: make(own, 0.01), 100)
    for rate, expected in ((0.01, 1.0), (1e-7, 0.0)):
        claims = {"optimizer": name, "learning_rate": rate}
        with opened(net.state_dict(), tmp_path) as (subject, _):
            found = list(bound_law(subject, Context(claims=claims)))
        assert p_value(found, "learning_rate", rate) == expected


def test_the_least_learning_rate_is_below_the_true_one(tmp_path):
    torch.manual_seed(0)
    net = trained(mlp(), lambda own: torch.optim.Adam(own, 0.01), 100)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        (found,) = bound_law(subject, context)
    assert 1e-5 < found.estimate.low < found.estimate.value < 0.01
    assert found.estimate.high == math.inf


def test_decay_of_scales_is_no_movement(tmp_path):
    """AdamW pulls scales towards 0, as far as one likes."""
    torch.manual_seed(0)
    net = trained(mlp(), lambda own: torch.optim.AdamW(own, 1e-4, weight_decay=300.0), 100)
    assert float(net[1].weight.detach().min()) < 0.5
    with opened(net.state_dict(), tmp_path) as (subject, _):
        claims = {"optimizer": "adamw", "learning_rate": 1e-4}
        found = list(bound_law(subject, Context(claims=claims)))
    assert p_value(found, "learning_rate", 1e-4) == 1.0


def test_nothing_is_said_of_pretrained_nets(tmp_path):
    with opened(trained(mlp(), torch.optim.Adam, 3).state_dict(), tmp_path) as (subject, _):
        (found,) = bound_law(subject, Context(claims={"pretrained_from": "a"}))
    assert "began elsewhere" in found.missing
