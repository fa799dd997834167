"""Still directions: exact in plain PyTorch, decay measured to some percent, silence elsewhere."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from support.trained import mlp, subject, train
from weightspace.evidence import Context, Evidence
from weightspace.evidence.directions import (
    Still,
    directions,
    evenness,
    still_direction_law,
    still_part,
)
from weightspace.images import load

SGD = partial(torch.optim.SGD, lr=0.05)
ADAM = partial(torch.optim.Adam, lr=2e-3)
IMAGES = load("digits")


def look(net: nn.Module, **claims: str) -> list[Evidence]:
    return list(still_direction_law(subject(net), Context(claims=claims, images=IMAGES)))


def test_linear_optimizers_do_not_move_along_directions_without_images() -> None:
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    before = net[0].weight.detach().clone()
    train(net, partial(SGD, momentum=0.9), 200)
    along = directions(IMAGES)
    moved = ((net[0].weight.detach() - before).numpy() @ along.vectors) ** 2
    assert moved.mean(0)[along.power < 1e-12].max(initial=0) < 1e-24
    assert moved.mean(0)[-10:].mean() > 1e-3


@pytest.mark.parametrize("decay", [0.0, 0.02])
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
def test_the_decay_is_measured(name: str, decay: float) -> None:
    torch.manual_seed(1)
    more = {"sgd": {}, "momentum": {"momentum": 0.5}, "nesterov": {"momentum": 0.5, "nesterov": 1}}
    net = mlp(64, 1024, 10, dtype=torch.float32)
    train(net, partial(SGD, weight_decay=decay, **more[name]), 200)
    told = {one.claim: one for one in look(net, initialization="torch_default")}
    estimate = told["weight_decay"].estimate
    assert estimate is not None
    true = 0.05 * decay * 200 / (1 if name == "sgd" else 0.5)
    assert estimate.low <= true <= estimate.high
    assert estimate.high - estimate.low < 0.1
    fitting = {h.values[0]: h.p_value for h in told["initialization"].hypotheses}
    assert fitting["torch_default"] > 1e-3


def test_an_initialization_of_smaller_weights_is_excluded() -> None:
    torch.manual_seed(2)
    net = mlp(64, 512, 10, dtype=torch.float32)
    nn.init.kaiming_uniform_(net[0].weight, nonlinearity="relu")
    fitting = {h.values[0]: h.p_value for h in look(train(net, SGD, 100))[0].hypotheses}
    assert fitting["he_uniform"] > 1e-3
    assert fitting["torch_default"] < 1e-9
    assert fitting["lecun_normal"] < 1e-9


def test_weights_that_grew_a_little_do_not_exclude_their_initialization() -> None:
    torch.manual_seed(2)
    net = train(mlp(64, 2048, 10, dtype=torch.float32), SGD, 100)
    with torch.no_grad():
        net[0].weight.mul_(1.04)
    fitting = {h.values[0]: h.p_value for h in look(net)[0].hypotheses}
    assert fitting["torch_default"] > 1e-3
    with torch.no_grad():
        net[0].weight.mul_(1.2)
    fitting = {h.values[0]: h.p_value for h in look(net)[0].hypotheses}
    assert fitting["torch_default"] < 1e-9


def test_adam_is_never_given_a_decay_that_it_did_not_have() -> None:
    torch.manual_seed(3)
    (found,) = look(train(mlp(64, 512, 10, dtype=torch.float32), ADAM, 500))
    assert found.estimate is None
    assert "adaptive" in found.says or found.missing


def test_p_values_of_even_weights_are_valid() -> None:
    rng = np.random.default_rng(0)
    power = np.sort(rng.exponential(1, 60))
    each = rng.chisquare(1, (500, 64, 60)) * 0.3
    found = [evenness(Still(one, power)) for one in each]
    assert np.mean(np.array(found) < 0.05) < 0.08
    assert min(found) > 1e-5


def test_p_values_of_even_uniform_weights_are_valid() -> None:
    rng = np.random.default_rng(0)
    power = np.sort(rng.exponential(1, 60))
    found = [evenness(Still(rng.uniform(-1, 1, (64, 60)) ** 2, power)) for _ in range(500)]
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.08


def test_units_of_different_scales_are_not_even() -> None:
    rng = np.random.default_rng(0)
    each = rng.chisquare(1, (64, 60)) * np.exp(rng.uniform(-1, 1, (64, 1)))
    assert evenness(Still(each, np.arange(60.0))) < 1e-9


@pytest.mark.parametrize("change", ["pruned", "8 bits"])
def test_weights_that_were_pruned_or_quantised_say_nothing(change: str) -> None:
    torch.manual_seed(5)
    net = train(mlp(64, 256, 10, dtype=torch.float32), SGD, 100)
    assert len(look(net)) == 2
    with torch.no_grad():
        kernel = net[0].weight
        if change == "pruned":
            kernel[kernel.abs() < kernel.abs().quantile(0.1)] = 0
        else:
            kernel.copy_((kernel / kernel.abs().max() * 127).round())
    (found,) = look(net)
    assert "quantised or pruned" in found.missing


def test_weights_in_bfloat16_still_say_what_they_did() -> None:
    torch.manual_seed(5)
    net = train(mlp(64, 256, 10, dtype=torch.float32), SGD, 100)
    before = look(net)[1].estimate
    with torch.no_grad():
        net[0].weight.copy_(net[0].weight.bfloat16())
    after = look(net)[1].estimate
    assert after.high == pytest.approx(before.high, rel=1e-2)


def test_weights_that_decayed_away_say_nothing() -> None:
    torch.manual_seed(4)
    net = train(mlp(64, 256, 10, dtype=torch.float32), partial(SGD, weight_decay=0.5), 600)
    assert still_part(net[0].weight.detach().double().numpy(), directions(IMAGES)) is None


def test_it_needs_images_of_the_size_of_the_first_layer() -> None:
    small = subject(mlp(32, 16, 10, dtype=torch.float32))
    (found,) = still_direction_law(small, Context(images=IMAGES))
    assert "64 values" in found.missing
    (found,) = still_direction_law(small, Context())
    assert "needs the images" in found.missing
    assert math.prod(IMAGES.x_train.shape[1:]) == 64
