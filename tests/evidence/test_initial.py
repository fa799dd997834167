"""Initial distributions: untrained nets, frozen layers, and what is said of trained ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.dense_nets import blobs, dense, subject_of, train
from weightspace.evidence import Context, Evidence
from weightspace.evidence.initial import initial_law
from weightspace.evidence.shapes import SHAPES, fits, residuals_fit
from weightspace.evidence.untouched import largest_p

BLOBS = blobs()


def found_of(net: nn.Module) -> dict[str, Evidence]:
    """The first evidence on each claim."""
    found: dict[str, Evidence] = {}
    for one in initial_law(subject_of(net), Context()):
        found.setdefault(one.claim, one)
    return found


def p_values(evidence: Evidence) -> dict[object, float]:
    return {value: one.p_value for one in evidence.hypotheses for value in one.values}


INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "lecun_normal": lambda w: nn.init.normal_(w, std=w.shape[1] ** -0.5),
    "normal": nn.init.normal_,
    "orthogonal": nn.init.orthogonal_,
    "constant": lambda w: nn.init.constant_(w, 0.1),
    "torch_default": lambda w: w,
}


def initialized(name: str, *sizes: int) -> nn.Sequential:
    net = dense(*sizes)
    for layer in net:
        if isinstance(layer, nn.Linear):
            INITIALIZERS[name](layer.weight)
    return net


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_untrained_net_is_seen_with_its_initialization(name: str):
    found = found_of(initialized(name, 256, 128, 64, 10))
    assert p_values(found["trained"])[False] > 1e-3
    assert "as in a net that was not or hardly trained" in found["trained"].says
    assert p_values(found["initialization"])[name] > 1e-3
    other = "he_uniform" if "normal" in name or name in ("constant", "orthogonal") else "he_normal"
    assert p_values(found["initialization"])[other] < 1e-6


def test_weights_may_have_been_decayed_but_not_have_grown():
    net = initialized("lecun_normal", 256, 128, 64, 10)
    found = p_values(found_of(net)["initialization"])
    assert found["he_normal"] > 1e-3
    found = p_values(found_of(initialized("he_normal", 256, 128, 64, 10))["initialization"])
    assert found["lecun_normal"] < 1e-6


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_trained_net_is_told_from_an_untrained_one(optimizer: str):
    lr = {"sgd": 0.1, "adam": 2e-3}[optimizer]
    found = found_of(train(dense(256, 64, 32, 10), BLOBS, optimizer, lr=lr, steps=300))
    assert p_values(found["trained"])[False] < 1e-6
    assert p_values(found["trained"])[True] == 1


def test_nothing_is_said_of_the_initialization_of_a_trained_net():
    net = initialized("he_normal", 256, 64, 32, 10)
    found = found_of(train(net, BLOBS, "adam", lr=5e-3, steps=300))
    assert found["initialization"].missing or not found["initialization"].hypotheses


def test_a_frozen_layer_is_found():
    net = dense(256, 128, 256, 10)
    net[2].weight.requires_grad_(False)
    found = found_of(train(net, BLOBS, "adam", lr=2e-3, steps=300))
    assert found["trained"].where == "2.weight"
    assert "looks like draws of an initial distribution: 2.weight" in found["trained"].says
    initial = p_values(found["initialization"])
    assert initial["torch_default"] > 1e-3
    assert initial["he_normal"] < 1e-6


def test_weights_that_still_end_at_the_limit_are_named():
    net = train(dense(256, 256, 10), BLOBS, "sgd", lr=0.05, steps=300)
    said = [one.says for one in initial_law(subject_of(net), Context())]
    assert any("still end at the limit of torch_default" in one for one in said)


def test_small_kernels_are_left_out():
    found = found_of(dense(9, 4, 3))
    assert found["trained"].missing == "no kernel has enough weights"


def test_convolutions_are_tested_too():
    net = nn.Sequential(nn.Conv2d(8, 32, 3), nn.Flatten(), nn.Linear(288, 20))
    assert p_values(found_of(net)["trained"])[False] > 1e-3


def _draws(shape: str, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if shape == "uniform":
        return rng.uniform(-1, 1, size)
    values = rng.normal(size=(4, *size))
    if shape == "normal":
        return values[0]
    return np.take_along_axis(values, (np.abs(values) < 2).argmax(0)[None], 0)[0].clip(-2, 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_p_values_of_shapes_are_never_too_small(shape: str):
    rng = np.random.default_rng(0)
    plain, rows = [], []
    for _ in range(200):
        values = _draws(shape, (20, 40), rng)
        plain.append(fits(values, shape))
        rows.append(residuals_fit(values - values.mean(1, keepdims=True), shape))
    for found in (np.array(plain), np.array(rows)):
        assert (found <= 0.05).mean() <= 0.09
        assert (found <= 0.005).mean() <= 0.02


@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_p_values_of_the_largest_singular_value_are_never_too_small(shape: str):
    rng = np.random.default_rng(0)
    scale = np.sqrt(3) if shape == "uniform" else 1
    found = np.array([largest_p(_draws(shape, (20, 60), rng) * scale) for _ in range(300)])
    assert (found <= 0.05).mean() <= 0.08
    assert (found <= 0.005).mean() <= 0.02


def test_what_training_adds_raises_the_largest_singular_value():
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (64, 256)) * np.sqrt(3)
    added = np.outer(rng.normal(size=64), rng.normal(size=256)) * 0.25
    assert largest_p(noise) > 0.01
    assert largest_p(noise + added) < 1e-6


def test_nothing_is_random():
    torch.manual_seed(0)
    subject = subject_of(dense(256, 64, 10))
    assert list(initial_law(subject, Context())) == list(initial_law(subject, Context()))


@pytest.mark.parametrize("draw", [nn.init.zeros_, nn.init.ones_, nn.init.eye_, nn.init.orthogonal_])
def test_one_fixed_layer_does_not_say_how_others_began(draw: Callable[[Tensor], Tensor]):
    net = dense(256, 64, 64, 10)
    middle = [layer for layer in net if isinstance(layer, nn.Linear)][1].weight
    draw(middle)
    middle.requires_grad_(False)
    found = found_of(train(net, BLOBS, "adam", lr=2e-3, steps=100))
    judged = found["initialization"].hypotheses
    assert all(one.p_value > 0.01 for one in judged if "torch_default" in one.values)


def test_attention_is_drawn_in_a_way_of_its_own():
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    judged = found_of(net)["initialization"].hypotheses
    assert all(one.p_value > 0.01 for one in judged if "torch_default" in one.values)
