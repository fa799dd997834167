"""Biases and kernels before batch norms: exact in float64, and as the law reads them in files."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from support.norm_nets import mlp, opened, p_value, steps, trained
from weightspace.evidence import Context
from weightspace.evidence.before_norm import before_norm_law, uniform_p_value
from weightspace.evidence.kernels import kernel_law
from weightspace.evidence.lattice import lattice

OPTIMIZERS = {
    "sgd": lambda own: torch.optim.SGD(own, 0.1),
    "momentum": lambda own: torch.optim.SGD(own, 0.05, momentum=0.9),
    "nesterov": lambda own: torch.optim.SGD(own, 0.05, momentum=0.9, nesterov=True),
    "adam": lambda own: torch.optim.Adam(own, 0.003),
    "adamw": lambda own: torch.optim.AdamW(own, 0.003),
    "rmsprop": lambda own: torch.optim.RMSprop(own, 0.003),
    "adagrad": lambda own: torch.optim.Adagrad(own, 0.03),
}
LINEAR = ("sgd", "momentum", "nesterov")


def biases(net):
    return torch.cat([net[0].bias, net[3].bias]).detach().clone()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_linear_optimizers_leave_a_bias_before_a_norm_and_adaptive_ones_make_steps(name):
    torch.manual_seed(0)
    net = mlp().double()
    before = biases(net)

    def exact(own):  # rounding in float64 is far below the usual epsilon
        made = OPTIMIZERS[name](own)
        for group in made.param_groups:
            group.update({"eps": 1e-30} if "eps" in group else {})
        return made

    trained(net, exact, 60)
    moved = (biases(net) - before).abs()
    scales = torch.cat([net[1].weight, net[4].weight]).detach()
    assert (scales - 1).abs().median() > 1e-3
    if name in LINEAR:
        assert moved.max() < 1e-13
    else:
        assert moved.median() > 1e-3


def test_an_activation_between_gives_the_bias_a_gradient():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(64, 96), nn.ReLU(), nn.BatchNorm1d(96), nn.Linear(96, 10)
    ).double()  # fmt: skip
    before = net[0].bias.detach().clone()
    trained(net, OPTIMIZERS["sgd"], 60)
    assert (net[0].bias - before).abs().median() > 1e-4


def test_weight_decay_shrinks_the_biases_by_what_the_page_says():
    torch.manual_seed(0)
    net = mlp().double()
    before = biases(net)
    trained(net, lambda own: torch.optim.SGD(own, 0.1, weight_decay=0.02), 60)
    torch.testing.assert_close(biases(net), before * (1 - 0.1 * 0.02) ** 60, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_kernels_before_norms_grow_at_every_step(name):
    torch.manual_seed(0)
    net = mlp().double()
    last = 0.0
    for _ in steps(net, OPTIMIZERS[name], 60):
        rows = net[0].weight.detach().square().sum(1)
        assert torch.all(rows >= last * (1 - 1e-12))
        last = rows
    assert (last > last.min()).any()


def test_a_kernel_before_a_norm_shrinks_under_weight_decay():
    torch.manual_seed(0)
    net = mlp().double()
    first = net[0].weight.detach().square().sum()
    trained(net, lambda own: torch.optim.SGD(own, 0.05, weight_decay=0.1), 60)
    assert net[0].weight.square().sum() < first


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_family_of_the_optimizer_is_read_from_a_file(name, tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(), OPTIMIZERS[name], 400)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        found = list(before_norm_law(subject, context))
    own, other = p_value(found, "optimizer", name), "adam" if name in LINEAR else "sgd"
    assert own is None or own > 0.05
    if name in LINEAR:
        assert p_value(found, "optimizer", other) == 2e-3
        assert "to the last bit" in found[0].says
    else:
        assert p_value(found, "optimizer", other) in (None, 0.01)


def test_weight_decay_and_its_size_are_read_from_a_file(tmp_path):
    torch.manual_seed(1)
    rate, decay, number = 0.05, 0.02, 300
    net = trained(mlp(), lambda own: torch.optim.SGD(own, rate, weight_decay=decay), number)
    net[4].running_mean.sub_(2)  # as inputs of a larger scale have it
    with opened(net.state_dict(), tmp_path) as (subject, context):
        (found,) = before_norm_law(subject, context)
    assert found.claim == "weight_decay"
    assert found.estimate.low <= rate * decay * number <= found.estimate.high
    assert found.estimate.high - found.estimate.low < 0.06
    assert found.hypotheses[0].values == (0.0,)
    assert found.hypotheses[0].p_value == 2e-3


def test_tiny_biases_exclude_no_optimizer_with_weight_decay_in_the_gradient(tmp_path):
    """Adam with weight decay brings biases to 0, and holds them there."""
    torch.manual_seed(1)
    net = trained(mlp(), lambda own: torch.optim.Adam(own, 0.003, weight_decay=1e-3), 600)
    with torch.no_grad():
        for layer in (net[0], net[3]):
            layer.bias.mul_(1e-6)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        found = list(before_norm_law(subject, context))
    assert p_value(found, "optimizer", "adam") == p_value(found, "optimizer", "sgd") == 1.0
    assert p_value(found, "optimizer", "adamw") == 2e-3


def test_biases_that_moved_behind_a_relu_say_nothing(tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(nn.ReLU), lambda own: torch.optim.SGD(own, 0.2, momentum=0.9), 300)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        found = list(before_norm_law(subject, context))
    assert all(one.missing for one in found)


@pytest.mark.parametrize(("claimed", "chance"), [("none", 1e-4), ("resnet18", None)])
def test_what_is_known_of_a_pretraining_sharpens_or_ends_the_law(claimed, chance, tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(), OPTIMIZERS["sgd"], 200)
    with opened(net.state_dict(), tmp_path) as (subject, _):
        claims = Context(claims={"pretrained_from": claimed})
        assert p_value(list(before_norm_law(subject, claims)), "optimizer", "adam") == chance


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda net: [layer.bias.zero_() for layer in (net[0], net[3])], "exactly 0"),
        (lambda net: [norm.weight.fill_(1) for norm in (net[1], net[4])], "trained batch norm"),
        (lambda net: [norm.num_batches_tracked.zero_() for norm in (net[1], net[4])], "no layer"),
    ],
)
def test_the_law_says_why_it_cannot_be_applied(change, reason, tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(), OPTIMIZERS["sgd"], 20)
    with torch.no_grad():
        change(net)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        (found,) = before_norm_law(subject, context)
    assert reason in found.missing


def test_short_kernels_tell_weight_decay(tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(), lambda own: torch.optim.SGD(own, 0.02, weight_decay=0.2), 400)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        (found,) = kernel_law(subject, context)
    assert found.statistic < 0.9
    assert p_value([found], "weight_decay", 0.0) == 0.01
    assert found.estimate.low <= 0.02 * 0.2 * 400


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_kernels_without_weight_decay_are_not_called_short(name, tmp_path):
    torch.manual_seed(1)
    net = trained(mlp(), OPTIMIZERS[name], 100)
    with opened(net.state_dict(), tmp_path) as (subject, context):
        (found,) = kernel_law(subject, context)
    assert found.missing


@pytest.mark.parametrize("fan_in", [9, 27, 64, 100, 288, 1024])
def test_fresh_values_are_possible_ones_to_the_last_bit(fan_in):
    torch.manual_seed(2)
    layer = nn.Linear(fan_in, 50)
    limit = 1 / math.sqrt(fan_in)
    fresh = lattice(layer.bias.detach().numpy(), limit)
    assert fresh.hits == fresh.values == 50
    assert fresh.p_value < 1e-8


def test_moved_values_seldom_look_fresh():
    rng = np.random.default_rng(3)
    values = [rng.uniform(-0.1, 0.1, 40).astype(np.float32) for _ in range(400)]
    chances = np.array([lattice(one, 0.1).p_value for one in values])
    for limit in (0.01, 0.05, 0.1):
        assert np.mean(chances <= limit) <= limit + 3 * math.sqrt(limit / 400)


def test_the_test_of_evenness_is_valid_whatever_the_limit():
    rng = np.random.default_rng(4)
    chances = np.array([uniform_p_value(rng.uniform(0, 0.3, 60)) for _ in range(1000)])
    for limit in (0.01, 0.05, 0.2):
        assert np.mean(chances <= limit) <= limit + 3 * math.sqrt(limit / 1000)
    assert uniform_p_value(np.abs(rng.normal(size=128))) < 1e-3
