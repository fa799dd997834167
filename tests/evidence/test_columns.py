"""The law of column sums: exact in plain PyTorch, broken where it says so, p-values valid."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from support.trained import mlp, subject, train, zero_biases
from weightspace.evidence import Context, Evidence, Subject
from weightspace.evidence.columns import column_sum_law, sums_of
from weightspace.evidence.losses import AS_BEGUN, AS_SAID, FROM_ZERO, OTHER_LOSS
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.networks import Layout
from weightspace.networks.layout import TensorSpec

SGD = partial(torch.optim.SGD, lr=0.1)
LINEAR = {
    "sgd": SGD,
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
}
ADAPTIVE = {
    "adam": partial(torch.optim.Adam, lr=1e-3),
    "adamw": partial(torch.optim.AdamW, lr=1e-3),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-3),
    "adagrad": partial(torch.optim.Adagrad, lr=1e-2),
    "adadelta": partial(torch.optim.Adadelta, lr=1.0),
    "adamax": partial(torch.optim.Adamax, lr=2e-3),
    "nadam": partial(torch.optim.NAdam, lr=1e-3),
}


def sums(net: nn.Module) -> Tensor:
    weight, bias = list(net.parameters())[-2:]
    return torch.cat([weight.detach().sum(0), bias.detach().sum()[None]])


def look(net: nn.Module, **claims: str) -> list[Evidence]:
    return list(column_sum_law(subject(net), Context(claims=claims)))


def p_values(evidence: Evidence) -> tuple[float, float]:
    """Of a linear optimizer, if the loss is softmax cross entropy, and of an adaptive one."""
    cautious, adaptive, linear = evidence.hypotheses[:3]
    assert linear.name == AS_SAID
    assert cautious.p_value == max(OTHER_LOSS, linear.p_value)
    return linear.p_value, adaptive.p_value


@pytest.mark.parametrize("name", LINEAR)
def test_linear_optimizers_keep_the_sums_exactly(name: str) -> None:
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    before = sums(net)
    train(
        net, LINEAR[name], clip=1.0, loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100),
    )  # fmt: skip
    torch.testing.assert_close(sums(net), before, rtol=0, atol=1e-13)


def test_decay_multiplies_the_sums_by_one_factor() -> None:
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    before = sums(net)
    train(net, partial(SGD, weight_decay=0.01), steps=200)
    torch.testing.assert_close(sums(net), before * (1 - 0.1 * 0.01) ** 200, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_optimizers_change_them(name: str) -> None:
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    before = sums(net)
    train(net, ADAPTIVE[name])
    assert (sums(net) - before).abs().max() > 0.01


@pytest.mark.parametrize("loss", ["squares", "sigmoids"])
def test_other_losses_break_the_law(loss: str) -> None:
    def squares(z: Tensor, y: Tensor) -> Tensor:
        return (z - nn.functional.one_hot(y, 10)).square().mean()

    def sigmoids(z: Tensor, y: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(
            z, nn.functional.one_hot(y, 10).to(z.dtype)
        )

    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    before = sums(net)
    train(net, SGD, loss={"squares": squares, "sigmoids": sigmoids}[loss])
    assert (sums(net) - before).abs().max() > 0.01


@pytest.mark.parametrize("name", LINEAR)
def test_linear_is_told_by_biases_that_began_at_zero(name: str) -> None:
    torch.manual_seed(1)
    net = zero_biases(mlp(64, 64, 10, dtype=torch.float32))
    linear, adaptive = p_values(look(train(net, LINEAR[name], 300))[0])
    assert linear > 0.01
    assert adaptive < 5e-4


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_is_told_by_biases_that_began_at_zero(name: str) -> None:
    torch.manual_seed(1)
    net = zero_biases(mlp(64, 64, 10, dtype=torch.float32))
    for parameter in list(net.parameters())[::2]:
        nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
    linear, adaptive = p_values(look(train(net, ADAPTIVE[name], 300))[0])
    assert linear < 0.02 < adaptive  # sums too large for torch's start may be those of another
    assert adaptive == 1


@pytest.mark.parametrize("name", [*LINEAR, *ADAPTIVE])
def test_no_family_is_excluded_wrongly_with_torchs_default(name: str) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        net = train(mlp(64, 64, 10, dtype=torch.float32), (LINEAR | ADAPTIVE)[name], 300)
        linear, adaptive = p_values(look(net)[0])
        assert (linear if name in LINEAR else adaptive) > 5e-4


def known(net: nn.Module, start: str, **claims: str) -> float:
    """The p-value of a linear optimizer, if that is known of the start."""
    return {h.name: h.p_value for h in look(net, **claims)[0].hypotheses}[start]


@pytest.mark.parametrize("name", [*LINEAR, *ADAPTIVE])
def test_the_family_follows_from_biases_that_are_known_to_begin_at_zero(name: str) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        net = zero_biases(mlp(64, 64, 10, dtype=torch.float32))
        p = known(train(net, (LINEAR | ADAPTIVE)[name], 100), FROM_ZERO)
        assert p > 5e-4 if name in LINEAR else p < 1e-5


@pytest.mark.parametrize("name", LINEAR)
def test_a_claimed_start_does_not_exclude_what_it_gave(name: str) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        net = train(mlp(64, 64, 10, dtype=torch.float32), LINEAR[name], 300)
        assert known(net, AS_BEGUN, initialization="torch_default") > 1e-3
        zero_biases(net := mlp(64, 64, 10, dtype=torch.float32))
        nn.init.kaiming_normal_(list(net.parameters())[-2], nonlinearity="relu")
        train(net, LINEAR[name], 300)
        assert known(net, AS_BEGUN, initialization="he_normal") > 1e-3
        assert known(net, AS_BEGUN, initialization="torch_default") < 1e-6  # sums are too large


def test_long_adaptive_training_is_told_with_torchs_default_too() -> None:
    torch.manual_seed(2)
    net = train(mlp(64, 256, 10, dtype=torch.float32), partial(torch.optim.Adam, lr=3e-3), 1000)
    linear, adaptive = p_values(look(net)[0])
    assert linear < 5e-4
    assert adaptive == 1


def test_the_decay_is_measured() -> None:
    torch.manual_seed(3)
    net = zero_biases(mlp(64, 512, 10, dtype=torch.float32))
    output = list(net.parameters())[-2]
    nn.init.xavier_uniform_(output)
    train(net, partial(SGD, weight_decay=0.02), 300)
    told = {one.claim: one for one in look(net, initialization="glorot_uniform")}
    estimate = told["weight_decay"].estimate
    assert estimate is not None
    assert estimate.name == PRODUCT
    assert estimate.low < 0.1 * 0.02 * 300 < estimate.high
    assert estimate.value == pytest.approx(0.6, abs=0.1)
    assert estimate.value - estimate.low < 0.2
    assert estimate.high - estimate.value < 0.2 + math.log(5 / 3)  # torch's gains make it larger
    told = {one.claim: one for one in look(net)}
    estimate = told["weight_decay"].estimate
    assert estimate is not None
    assert estimate.low == 0  # weights of unknown scale may have begun smaller


def test_the_size_of_the_sums_excludes_initializations() -> None:
    torch.manual_seed(4)
    net = zero_biases(mlp(64, 256, 10, dtype=torch.float32))
    nn.init.kaiming_normal_(list(net.parameters())[-2], nonlinearity="relu")
    told = {one.claim: one for one in look(train(net, SGD, 200))}
    fitting = {h.values[0]: h.p_value for h in told["initialization"].hypotheses}
    assert fitting["he_normal"] > 0.001
    assert fitting["lecun_normal"] < 1e-6
    assert "torch_default" not in fitting  # its biases do not begin at 0


def wide(weight: np.ndarray, bias: np.ndarray) -> Subject:
    specs = (
        TensorSpec("a.weight", "weight", "fc", 0, weight.shape, 0),
        TensorSpec("a.bias", "bias", "fc", 0, bias.shape, weight.size),
    )
    vector = np.concatenate([weight.reshape(-1), bias]).astype(np.float32)
    return Subject.of_vector(vector, Layout(specs))


@pytest.mark.parametrize("start", ["uniform", "normal"])
def test_p_values_of_a_linear_optimizer_are_uniform(start: str) -> None:
    """Initial weights, and any change that has no column sums, which is all that the law allows."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        change = rng.standard_t(3, (10, 64)) * rng.exponential(1, 64) + rng.normal(1, 1, (10, 1))
        first = rng.uniform(-1, 1, (10, 64)) if start == "uniform" else rng.normal(size=(10, 64))
        net = wide(first / 8 + (change - change.mean(0)) / 4, rng.normal(size=10))
        found.append(sums_of(net, net.layers[-1]).fit)
    assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_two_classes_say_nothing() -> None:
    """Adaptive steps of two classes are opposite, too."""
    torch.manual_seed(0)
    found = look(zero_biases(mlp(64, 32, 2, dtype=torch.float32)))
    assert [one.missing != "" for one in found] == [True]


@pytest.mark.parametrize("name", [*LINEAR, *ADAPTIVE])
def test_units_that_began_alike_are_told_by_their_biases_alone(name: str) -> None:
    torch.manual_seed(0)
    net = zero_biases(mlp(64, 32, 10, dtype=torch.float32))
    for parameter in list(net.parameters())[::2]:
        nn.init.constant_(parameter, 0.1)
    found = look(train(net, (LINEAR | ADAPTIVE)[name], 50))
    linear, adaptive = p_values(found[0])
    assert (linear if name in LINEAR else adaptive) > 5e-4
    assert len(found) == 1


def test_sgd_is_not_contradicted_if_the_loss_is_not_known() -> None:
    torch.manual_seed(2)
    net = train(mlp(64, 256, 10, dtype=torch.float32), partial(torch.optim.Adam, lr=3e-3), 1000)
    linear, adaptive, *_ = look(net)[0].hypotheses
    assert linear.p_value == 0.002
    assert adaptive.p_value == 1


def test_pruned_layers_say_nothing() -> None:
    torch.manual_seed(1)
    net = train(zero_biases(mlp(64, 64, 10, dtype=torch.float32)), SGD, 300)
    output = list(net.parameters())[-2]
    with torch.no_grad():
        output[output.abs() < 0.05] = 0
    assert "pruned" in look(net)[0].missing


def test_an_untrained_net_is_not_told() -> None:
    torch.manual_seed(0)
    linear, adaptive = p_values(look(zero_biases(mlp(64, 32, 10, dtype=torch.float32)))[0])
    assert linear > 1e-3
    assert adaptive == 1


def test_a_sum_that_decay_has_taken_is_told() -> None:
    torch.manual_seed(0)
    net = zero_biases(mlp(64, 32, 10, dtype=torch.float32))
    found = look(train(net, partial(SGD, weight_decay=0.3), 600))
    linear, adaptive = p_values(found[0])
    assert math.isclose(linear, 1.0)
    assert adaptive < 1e-6
    assert found[1].estimate is None


@pytest.mark.parametrize("start", ["weights by Glorot", "biases from 0 to 1", "normal biases"])
def test_sgd_is_not_contradicted_by_an_output_layer_of_its_own_start(start: str) -> None:
    """Many draw only the weights anew, and some the biases at another scale."""
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    if start == "weights by Glorot":
        for layer in (net[0], net[2]):
            nn.init.xavier_normal_(layer.weight)
    elif start == "biases from 0 to 1":
        nn.init.uniform_(net[2].bias)
    else:
        nn.init.normal_(net[2].bias)
    train(net, SGD)
    linear, _ = p_values(look(net)[0])
    assert linear >= 0.01


def test_sgd_is_not_contradicted_if_gradients_are_clipped_by_value() -> None:
    torch.manual_seed(0)
    net = zero_biases(mlp(64, 32, 10))
    hook = [p.register_hook(lambda g: g.clamp(-1e-3, 1e-3)) for p in net.parameters()]
    train(net, SGD)
    assert len(hook) == 4
    assert look(net)[0].hypotheses[0].p_value >= 0.002


@pytest.mark.parametrize(
    ("claimed", "draw"),
    [
        ("he_normal", partial(nn.init.kaiming_normal_, mode="fan_out")),
        ("he_uniform", partial(nn.init.kaiming_uniform_, mode="fan_out")),
        ("glorot_normal", partial(nn.init.xavier_normal_, gain=5 / 3)),
        ("glorot_uniform", partial(nn.init.xavier_uniform_, gain=2**0.5)),
    ],
)
def test_modes_and_gains_of_an_initialization_do_not_contradict_it(claimed: str, draw) -> None:
    torch.manual_seed(0)
    net = zero_biases(mlp(64, 32, 10))
    for layer in (net[0], net[2]):
        draw(layer.weight)
    train(net, SGD)
    found = [one for one in look(net) if one.claim == "initialization" and one.hypotheses]
    for one in found:
        assert all(h.p_value > 0.01 for h in one.hypotheses if claimed in h.values)


def test_rounding_in_a_net_that_learned_nothing_speaks_against_no_optimizer() -> None:
    """All images give it the same outputs, so each step rounds the sum in the same direction."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 10))
    with torch.no_grad():
        net[0].bias -= 100.0  # no unit is ever active
        net[2].bias.zero_()
    x, y = torch.rand(2001, 16), torch.arange(2001) % 10  # one class has one image more
    rate, steps, momentum = 0.1, 900, 0.9
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    found = subject(net)
    sums = sums_of(found, found.layers[-1])
    assert sums.bias_share is not None
    assert sums.bias_share > 0.005  # no rounding by its share
    claims = {"learning_rate": rate, "steps": steps, "momentum": momentum}
    (evidence, *_) = column_sum_law(found, Context(claims=claims))
    linear = next(one for one in evidence.hypotheses if one.name == FROM_ZERO)
    assert linear.p_value > 0.01, (sums, evidence)
