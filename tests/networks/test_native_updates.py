"""The optimizers' updates of the native library against their twins in torch, bit for bit."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from weightspace.images import load as load_images
from weightspace.networks.native import builds, library, load
from weightspace.networks.native.updates import RULE, RULES, Updates, update
from weightspace.space import Recipe
from weightspace.training import OPTIMIZERS, Pool, StackTrainer, fused, updating
from weightspace.training.optimizers import Fused, Optimizer
from weightspace.training.state import state_of

needs_build = pytest.mark.skipif(library() is None, reason="the native step was not built")


def widest() -> ctypes.CDLL:
    found = library()
    assert found is not None
    return found


def numbers(seed: int, *shape: int) -> Tensor:
    """Numbers of any size that training meets, zeros of both signs among them."""
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=g)
    values *= 10 ** torch.empty(shape).uniform_(-12, 2, generator=g)
    return torch.where(torch.rand(shape, generator=g) < 0.1, values * 0, values)


def same(ours: Tensor, theirs: Tensor) -> bool:
    bits = ours.view(torch.int32) == theirs.view(torch.int32)
    return bool((bits | (ours.isnan() & theirs.isnan())).all())


@st.composite
def rates(draw: st.DrawFn) -> dict[str, Any]:
    part = st.floats(0.05, 0.9999)
    return {
        "momentum": draw(part),
        "alpha": draw(part),
        "beta1": draw(part),
        "beta2": draw(part),
        "epsilon": draw(st.sampled_from([1e-8, 1e-7, 1e-3, 0.0])),
    }


@needs_build
@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(OPTIMIZERS)),
    known=rates(),
    nets=st.integers(1, 4),
    values=st.integers(1, 700),
    decays=st.booleans(),
    step=st.integers(0, 5000),
    seed=st.integers(0, 2**31),
)
def test_an_update_has_the_bits_of_torch(
    name: str, known: dict[str, Any], nets: int, values: int, decays: bool, step: int, seed: int
) -> None:
    optimizer = OPTIMIZERS[name]
    if not fused.same_bits(optimizer, widest()):
        pytest.skip("torch rounds this optimizer in another way on this processor")
    told = {field: known[field] for field in optimizer.settings}
    weights, gradient, *slots = numbers(seed, 2 + optimizer.slots, nets, values)
    slots = [slot.abs() for slot in slots]
    rate = numbers(seed + 1, nets, 1).abs() + 1e-6
    within, apart = numbers(seed + 2, 2, nets, 1).abs().unbind()

    rules = np.zeros(nets, RULE)
    assert optimizer.fused is not None
    rules["kind"] = RULES.index(optimizer.fused.rule)
    rules["rate"], rules["within"] = rate[:, 0], within[:, 0]
    rules["keep"] = (1 - rate * apart)[:, 0]
    given_numbers = optimizer.fused.numbers(step + 1, **told)
    rules["numbers"][:, : len(given_numbers)] = given_numbers
    ours, largest = [t.clone() for t in (weights, *slots)], torch.empty(nets)
    update(widest(), ours[0], gradient, Updates(rules, ours[1:], decays, largest))

    if decays:
        gradient.addcmul_(weights, within)
        weights.mul_(1 - rate * apart)
    optimizer.update(weights, gradient, slots, rate, step + 1, **told)
    assert all(map(same, ours, [weights, *slots]))
    assert same(largest, weights.abs().amax(1))


@needs_build
def test_a_weight_that_is_not_finite_is_noticed() -> None:
    weights = torch.zeros(3, 70)
    weights[0, 69], weights[1, 5] = torch.nan, -torch.inf
    rules, largest = np.zeros(3, RULE), torch.empty(3)
    update(widest(), weights, torch.zeros(3, 70), Updates(rules, [], False, largest))
    assert largest.isfinite().tolist() == [False, False, True]


@needs_build
def test_slots_of_other_shapes_are_refused() -> None:
    weights, gradient, largest = torch.zeros(2, 5), torch.zeros(2, 5), torch.empty(2)
    for slot in (torch.zeros(2, 4), torch.zeros(5, 2).T, torch.zeros(2, 5, dtype=torch.float64)):
        updates = Updates(np.zeros(2, RULE), [slot], False, largest)
        with pytest.raises(ValueError, match="slots"):
            update(widest(), weights, gradient, updates)


POOL = Pool.of({"digits": load_images("digits")})


def mixture(**options: Any) -> list[Recipe]:
    """Nets of every optimizer, with both kinds of weight decay and without."""
    shared = {"dataset": "digits", "input_size": 8, "channels": 1, "outputs": 10, "epochs": 2}
    shared |= {"width_conv": 3, "width_fc": 9, "train_images": 200, "batch_size": 32}
    return [
        Recipe(optimizer=name, weight_decay=decay, learning_rate=rate, seed=i, **shared | options)  # type: ignore[arg-type]
        for i, name in enumerate(sorted(OPTIMIZERS))
        for decay, rate in ((0.0, 0.01), (0.02, 0.003))
    ]


def trained(recipes: list[Recipe]) -> dict[str, bytes]:
    """All snapshots, and the whole state after a few steps."""
    trainer = StackTrainer(recipes, POOL, snapshots=3)
    for _ in range(5):
        trainer.train_step()
    found = {name: array.tobytes() for name, array in state_of(trainer).arrays.items()}
    for snapshot in StackTrainer(recipes, POOL, snapshots=3).run():
        found[f"{snapshot.net} {snapshot.number}"] = snapshot.vector.tobytes()
    return found


@needs_build
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_clipping": 0.5},
        {"ema": 0.9, "schedule": "one_cycle", "warmup": 1},
        {"architecture": "mlp", "depth_conv": 0, "batch_norm": False},
    ],
    ids=["plain", "clipped", "averaged", "mlp"],
)
def test_a_mixed_stack_has_the_same_bits_with_the_updates_of_torch(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = mixture(**options)
    ours = trained(recipes)
    monkeypatch.setattr(updating, "same_bits", lambda optimizer, found: False)
    assert trained(recipes) == ours


@needs_build
def test_an_optimizer_whose_bits_differ_is_left_to_torch() -> None:
    adam = OPTIMIZERS["adam"]
    assert adam.fused is not None

    def others(step: int, **told: float) -> tuple[float, ...]:
        assert adam.fused is not None
        first, *rest = adam.fused.numbers(step, **told)
        return (first * 1.001, *rest)

    other = Optimizer(adam.update, 2, settings=adam.settings, fused=Fused("adam", others))
    assert not fused.same_bits(other, widest())
    assert not fused.same_bits(Optimizer(adam.update, 2, settings=adam.settings), widest())


def exact_root() -> bool:
    """Whether torch rounds square roots to the nearest; MKL does not on every processor."""
    values = torch.rand(4096, generator=torch.Generator().manual_seed(0))
    return bool((torch.sqrt(values).numpy() == np.sqrt(values.numpy())).all())


@needs_build
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_is_computed_in_one_pass(name: str) -> None:
    rooted = name in ("adam", "adamw", "rmsprop", "adagrad")
    if rooted and not exact_root():
        pytest.skip("torch's square root is not rounded to the nearest on this processor")
    assert fused.same_bits(OPTIMIZERS[name], widest())


@pytest.mark.parametrize("build", builds(), ids=lambda path: path.name.split(".")[0])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_build_has_every_rule(build: Path, name: str) -> None:
    optimizer = OPTIMIZERS[name]
    weights, gradient, *slots = numbers(3, 2 + optimizer.slots, 2, 77)
    slots, rules = [slot.abs() for slot in slots], np.zeros(2, RULE)
    told = {field: 1e-4 if field == "epsilon" else 0.9 for field in optimizer.settings}
    assert optimizer.fused is not None
    given_numbers = optimizer.fused.numbers(4, **told)
    rules["kind"], rules["rate"], rules["keep"] = RULES.index(optimizer.fused.rule), 0.01, 1
    rules["numbers"][:, : len(given_numbers)] = given_numbers
    ours = [t.clone() for t in (weights, *slots)]
    update(load(build), ours[0], gradient, Updates(rules, ours[1:], False, torch.empty(2)))
    optimizer.update(weights, gradient, slots, torch.full((2, 1), 0.01), 4, **told)
    for mine, theirs in zip(ours, [weights, *slots], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
