"""Kinship: whether two nets have a common origin, on nets trained by plain PyTorch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from weightspace.evidence import Comparison, Subject, compare
from weightspace.evidence.alignment import bell, correlations, order_test
from weightspace.evidence.exchangeable import has_diagonal, in_blocks, ordered_because
from weightspace.evidence.kinship import compared
from weightspace.evidence.spectra import learned_energy
from weightspace.evidence.subject import Layer, NormNames
from weightspace.images import load, resize

State = dict[str, torch.Tensor]


def dense() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 40), nn.ReLU(), nn.Linear(40, 10)
    )


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 24, 3, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    found = load("digits")
    x = torch.from_numpy(resize(found.x_train, 8, 1)).permute(0, 3, 1, 2).float()
    return (x - x.mean()) / x.std(), torch.from_numpy(np.array(found.y_train))


@pytest.fixture(scope="module")
def trained(
    images: tuple[torch.Tensor, torch.Tensor],
) -> Callable[..., nn.Sequential]:
    x, y = images

    def train(
        build: Callable[[], nn.Sequential], seed: int, steps: int = 300, *,
        start: nn.Sequential | None = None, order: int = 0, adam: bool = False, rate: float = 0.1,
    ) -> nn.Sequential:  # fmt: skip
        torch.manual_seed(seed)
        net = build()
        if start is not None:
            net.load_state_dict(start.state_dict())
        optimizer = (
            torch.optim.Adam(net.parameters(), 2e-3)
            if adam
            else torch.optim.SGD(net.parameters(), rate, momentum=0.9)
        )
        draw = torch.Generator().manual_seed(order)
        for _ in range(steps):
            rows = torch.randint(len(x), (32,), generator=draw)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
        return net

    return train


@pytest.fixture(scope="module")
def base(trained: Callable[..., nn.Sequential]) -> dict[str, nn.Sequential]:
    return {"dense": trained(dense, 0), "convolutional": trained(convolutional, 0, 150)}


KINDS = pytest.mark.parametrize(
    ("kind", "build"), [("dense", dense), ("convolutional", convolutional)]
)


@pytest.fixture
def between(tmp_path: Path) -> Callable[..., Comparison]:
    def ask(first: object, second: object) -> Comparison:
        for name, one in (("a", first), ("b", second)):
            content = one.state_dict() if isinstance(one, nn.Module) else one
            torch.save(content, tmp_path / f"{name}.pt")
        return compare(tmp_path / "a.pt", tmp_path / "b.pt")

    return ask


def permuted(state: State, seed: int) -> State:
    """Hidden units in another order; the function stays."""
    draw = torch.Generator().manual_seed(seed)
    state = dict(state)
    kernels = [name for name, value in state.items() if value.dim() > 1]
    for name, after in itertools.pairwise(kernels):
        order = torch.randperm(len(state[name]), generator=draw)
        names = list(state)
        for one in names[names.index(name) : names.index(after)]:
            if state[one].dim():
                state[one] = state[one][order]
        parts = state[after].reshape(len(state[after]), len(order), -1)
        state[after] = parts[:, order].reshape(state[after].shape)
    return state


def rescaled(state: State, seed: int) -> State:
    """Hidden units times numbers, and the next layer divided by them; the function stays."""
    draw = torch.Generator().manual_seed(seed)
    state = dict(state)
    kernels = [name for name, value in state.items() if value.dim() > 1]
    for name, after in itertools.pairwise(kernels):
        factors = torch.exp(1.4 * torch.rand(len(state[name]), generator=draw) - 0.7)
        normed = "1.weight" if name == "0.weight" else name  # the batch norm's own scale
        for one in (normed, normed.replace("weight", "bias")):
            state[one] = state[one] * factors.reshape(-1, *[1] * (state[one].dim() - 1))
        parts = state[after].reshape(len(state[after]), len(factors), -1)
        state[after] = (parts / factors[:, None]).reshape(state[after].shape)
    return state


@KINDS
def test_the_same_net_in_another_file(kind, build, base, between, tmp_path):
    state = base[kind].state_dict()
    renamed = {f"model.trunk.{name}": value for name, value in reversed(state.items())}
    found = between({"epoch": 3, "state_dict": state}, renamed)
    assert found.verdict == "identical"
    assert found.strength == "exact"
    assert found.related
    assert any("other names" in sentence for sentence in found.says)
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    assert compare(tmp_path / "a.safetensors", tmp_path / "b.pt").verdict == "identical"


def test_a_single_value_is_seen(base, between):
    state = {name: value.clone() for name, value in base["dense"].state_dict().items()}
    state["5.weight"][9, 39] += 1e-6
    found = between(base["dense"], state)
    assert found.verdict == "partly shared"
    assert [one.first for one in found.tensors if one.relation != "equal"] == ["5.weight"]


def per_kernel(value: torch.Tensor) -> torch.Tensor:
    scale = value.abs().max() / 127
    return (value / scale).round() * scale if value.dim() > 1 else value


def per_unit(value: torch.Tensor) -> torch.Tensor:
    if value.dim() < 2:
        return value
    scale = value.flatten(1).abs().amax(1).reshape(-1, *[1] * (value.dim() - 1)) / 127
    return (value / scale).round() * scale


WAYS = {
    "rounded to bfloat16": lambda value: value.bfloat16(),
    "rounded to float16": lambda value: value.half(),
    "quantised": per_unit,
    "quantised by one scale": per_kernel,
    "pruned": lambda value: torch.where(value.abs() > value.abs().median(), value, 0),
}


@KINDS
@pytest.mark.parametrize("way", WAYS)
def test_the_same_weights_with_fewer_bits(kind, build, way, base, between):
    state = base[kind].state_dict()
    changed = {k: WAYS[way](v) if v.is_floating_point() else v for k, v in state.items()}
    for first, second in ((state, changed), (changed, state)):
        found = between(first, second)
        assert found.verdict == "same weights", found
        assert way.removesuffix(" by one scale") in found.says[0]
        assert not found.permuted


@KINDS
def test_the_same_weights_with_rescaled_units(kind, build, trained, base, between):
    state = rescaled(base[kind].state_dict(), 3)
    x = torch.rand(5, 1, 8, 8)
    net = build()
    net.load_state_dict(state)
    assert torch.allclose(net.eval()(x), base[kind].eval()(x), atol=1e-4)
    for first, second in ((base[kind], state), (state, base[kind])):
        found = between(first, second)
        assert found.verdict == "same weights", found
        assert "rescaled" in found.says[0]
    found = between(base[kind], permuted(state, 4))
    assert found.verdict == "same weights", found
    assert found.permuted
    last = list(state)[-2]
    state[last] = state[last] * torch.linspace(0.9, 1.1, state[last].numel()).view_as(state[last])
    found = between(base[kind], state)
    assert next(one for one in found.tensors if one.first == last).relation == "differs"


@KINDS
def test_one_seed_trained_apart(kind, build, trained, base, between):
    found = between(base[kind], trained(build, 0, 150, adam=True, order=1))
    assert found.verdict == "same initial weights", found
    assert found.p_value < 1e-9
    assert "one seed" in found.says[0]


@KINDS
def test_fine_tuned(kind, build, trained, base, between):
    later = trained(build, 0, 30, start=base[kind], order=5, rate=0.01)
    found = between(base[kind], later)
    assert found.verdict == "fine-tuned", found
    assert found.drift < 0.3
    # Only batch norms count steps.
    assert found.direction == ("first to second" if kind == "convolutional" else "")
    found = between(permuted(base[kind].state_dict(), 3), later)
    assert found.permuted
    assert found.verdict == "fine-tuned"
    assert found.p_value is None


@KINDS
def test_permuted_copies(kind, build, base, between):
    state = permuted(base[kind].state_dict(), 3)
    assert not torch.equal(state["0.weight" if kind == "convolutional" else "1.weight"],
                           next(iter(base[kind].state_dict().values())))  # fmt: skip
    found = between(base[kind], state)
    assert found.verdict == "same weights", found
    assert found.permuted
    assert found.strength == "exact"
    rounded = {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}
    found = between(base[kind], rounded)
    assert found.permuted
    assert "rounded to bfloat16" in found.says[0]


@KINDS
def test_other_seeds_on_the_same_data_in_the_same_order(kind, build, trained, base, between):
    for seed in (1, 2):
        found = between(base[kind], trained(build, seed, 150))
        assert found.verdict == "unrelated", found
        assert found.p_value > 1e-3
        assert found.related is False


def test_where_a_net_began(trained, between):
    torch.manual_seed(0)
    found = between(dense(), trained(dense, 0))
    assert found.verdict == "same initial weights"
    assert found.says[0] == (
        "The first net is at its initial weights, or close; the second began there."
    )


def test_a_new_head(base, between):
    state = dict(base["dense"].state_dict())
    state["5.weight"], state["5.bias"] = torch.randn(7, 40), torch.randn(7)
    found = between(base["dense"], state)
    assert found.verdict == "partly shared"
    assert "2 of 2 kernels are equal" in found.says[0]
    assert set(found.only_first) == {"5.weight", "5.bias"} == set(found.only_second)


def test_nets_that_cannot_be_compared(between):
    found = between(nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 2)),
                    nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)))  # fmt: skip
    assert found.verdict == "not comparable"
    assert found.to_dict()["related"] is None
    found = between(nn.Linear(784, 10), nn.Linear(784, 10))
    assert found.verdict == "undecidable"
    assert "meaning" in found.says[0]
    assert found.evidence().missing == "undecidable"


def test_units_that_are_alike_in_another_order_but_not_enough(between):
    torch.manual_seed(0)
    state = dense().state_dict()
    noisy = {k: v + 0.9 * v.std() * torch.randn(v.shape) for k, v in state.items()}
    found = between(state, permuted(noisy, 1))
    assert found.verdict == "undecidable"
    assert "may be relatives" in found.says[0]
    assert between(state, noisy).related


def test_the_p_value_holds_where_nets_have_features_in_common():
    """Independent nets: the same features and noise, in an order of each net's own."""
    draw = np.random.default_rng(0)
    features = 3 * draw.normal(size=(24, 40)) + draw.normal(size=40)

    def net() -> np.ndarray:
        return draw.permutation(features) + draw.normal(size=(24, 40))

    values = np.array([order_test(correlations(net(), net())).p_value for _ in range(1000)])
    for level in (0.002, 0.01, 0.05, 0.2):
        most = 1000 * level + 3 * math.sqrt(1000 * level)
        assert (values <= level).sum() <= most, level
    shared = net()
    near = [order_test(correlations(shared + draw.normal(size=shared.shape), shared)).p_value]
    assert near[0] < 1e-15


def test_ties_are_not_taken_for_the_same_order():
    """Dead units are all alike; the matching must not put them at their own place."""
    assert order_test(np.zeros((40, 40))).p_value > 0.01
    assert order_test(np.ones((40, 40))).p_value > 0.01


def test_units_in_blocks():
    """Nets of 8 groups of 5 alike units, as a group norm may make them."""
    assert [bell(n) for n in range(7)] == [1, 1, 2, 5, 15, 52, 203]
    draw = np.random.default_rng(0)

    def net() -> np.ndarray:
        groups = draw.permutation(draws)
        return np.repeat(groups, 5, axis=0) + 0.3 * draw.normal(size=(40, 30))

    draws = draw.normal(size=(8, 30))
    values = np.array([order_test(correlations(net(), net()), True).p_value for _ in range(500)])
    for level in (0.01, 0.05, 0.2):
        assert (values <= level).sum() <= 500 * level + 3 * math.sqrt(500 * level)
    one = net()
    assert order_test(correlations(one, one), True).p_value < 1e-9


def layer(number: int, inputs: int, outputs: int, sides: tuple[int, ...] = (), **more: object):
    return Layer(number, f"{number}.weight", (outputs, inputs, *sides), inputs, outputs, sides,
                 **more)  # fmt: skip


def subject(*layers: Layer, chain: bool = False) -> Subject:
    return Subject(layers, lambda *_: np.zeros(0), {one.weight: one.shape for one in layers},
                   chain=chain)  # fmt: skip


def test_which_units_are_in_no_order():
    plain = subject(layer(0, 64, 32), layer(1, 32, 10), chain=True)
    assert ordered_because(plain, 0) == ""
    assert "meaning" in ordered_because(plain, 1)
    # A generator gives as many values as its discriminator takes: pixels, not hidden units.
    both = subject(layer(0, 784, 99), layer(1, 99, 784), layer(2, 784, 64), layer(3, 64, 1))
    assert "meaning" in ordered_because(both, 1)
    projection = Layer(0, "blocks.0.attn.qkv.weight", (96, 32), 32, 96, ())
    attention = subject(projection, layer(1, 96, 32))
    assert "attention" in ordered_because(attention, 0)
    branch = subject(layer(0, 64, 32), layer(1, 32, 9), layer(2, 32, 10))
    assert "no later layer" in ordered_because(branch, 1)
    grouped = subject(layer(0, 3, 128, (3, 3)), layer(1, 4, 128, (3, 3)), layer(2, 128, 64, (1, 1)))
    assert [in_blocks(grouped, number) for number in range(3)] == [False, True, False]
    norm = NormNames({"scale": "0.scale", "shift": "0.shift"})
    normed = subject(layer(0, 3, 64, (3, 3), norms=(norm,)), layer(1, 64, 9, (1, 1)))
    assert in_blocks(normed, 0)


def test_an_identity_is_no_kinship(between):
    """Two nets of which a layer began as an identity, and that have nothing else in common."""

    def net(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        found = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                              nn.Linear(64, 4))  # fmt: skip
        with torch.no_grad():
            found[2].weight += torch.eye(64)
        return found

    found = between(net(0), net(1))
    assert found.verdict == "unrelated"
    notes = {one.first: one.note for one in found.tensors}
    assert "diagonal" in notes["2.weight"]
    rows = np.eye(32).repeat(9, axis=1).reshape(32, 288)
    assert has_diagonal(rows, layer(0, 32, 32, (3, 3)))


def test_a_large_kernel_is_sampled():
    """Some rows of it are read, not all."""
    rows = np.random.default_rng(0).normal(size=(3000, 2000)).astype(np.float32)
    asked = []

    def reader(change: float) -> Subject:
        def read(name: str, start: int, stop: int) -> np.ndarray:
            asked.append(stop - start)
            if name == "0.weight":
                return rows[start:stop] + np.float32(change)
            return np.random.default_rng(3).normal(size=(2, 3000)).astype(np.float32)[start:stop]

        layers = layer(0, 2000, 3000), layer(1, 3000, 2)
        return Subject(layers, read, {one.weight: one.shape for one in layers}, chain=True)

    found = compared(reader(0), reader(1e-4))
    assert found.tensors[0].relation == "related"
    assert sum(asked) < 2 * 3000


def test_what_random_weights_have_not_learned():
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(96, 200))
    assert learned_energy(weights) == 0
    learned = 4 * np.outer(draw.normal(size=96), draw.normal(size=200)) / math.sqrt(96)
    assert learned_energy(weights + learned) == pytest.approx((learned**2).sum(), rel=0.5)
