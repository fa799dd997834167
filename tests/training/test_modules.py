"""Modules of one's own train as in plain PyTorch, alone or in a stack, stopped or not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from support import own_nets
from support.modules import PLAIN, entered, plan, recipe
from support.nets import small
from weightspace.errors import UsageError
from weightspace.networks.modules.tensors import everything, vector_of
from weightspace.space import Recipe
from weightspace.training import Pool, Snapshot, StackTrainer, State, restore, state_of

RANDOM = ("dropped", "dropped_vit", "Noisy")
ALONE = ("Branch", "Fresh", "Spectral")
ALL = (*PLAIN, *RANDOM, *ALONE, "Features", "Lazy")


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({"digits": small("digits")})


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    with entered(*ALL):
        yield


def some(function: str, **values: object) -> list[Recipe]:
    """Three recipes of one module with different optimizers, rates and regularisation."""
    return [
        recipe(function, seed=1, optimizer="adam", **values),
        recipe(function, seed=2, optimizer="momentum", learning_rate=0.01, **values),
        recipe(function, seed=3, optimizer="rmsprop", weight_decay=0.01, augmentation=True,
               label_smoothing=0.1, learning_rate=0.001, **values),
    ]  # fmt: skip


def trainer(
    recipes: list[Recipe], pool: Pool, *, together: bool | None = None, dtype: torch.dtype
) -> StackTrainer:
    found = StackTrainer(recipes, pool, snapshots=2, dtype=dtype, evaluation_images=30)
    if together is not None:
        found.arithmetic.together = together
    return found


def trained(found: StackTrainer, steps: int) -> dict[str, Tensor]:
    """All values of each net after some steps, also those that no zoo keeps."""
    for _ in range(steps):
        found.train_step()
    vectors = found.shape.join(found.weights, found.stats)
    return {r.net: vector for r, vector in zip(found.recipes, vectors, strict=True)}


def plainly(recipe: Recipe, pool: Pool, steps: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The same module trained by plain PyTorch on the same batches: its values, and which count.

    The loss does not depend on the bias of an attention's keys: its gradient is rounding, which the
    quotients of Adam make steps of.
    """
    batches = trainer([recipe], pool, dtype=dtype).batches
    torch.manual_seed(recipe.seed)
    net = getattr(own_nets, recipe.architecture.partition(":")[2])(recipe).to(dtype)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer: torch.optim.Optimizer = {
        "adam": lambda p: torch.optim.Adam(p, rate, weight_decay=decay),
        "momentum": lambda p: torch.optim.SGD(p, rate, momentum=0.95, weight_decay=decay),
        "rmsprop": lambda p: torch.optim.RMSprop(p, rate, alpha=0.9, weight_decay=decay),
    }[recipe.optimizer](net.parameters())
    seen = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    for step in range(steps):
        images, labels = batches.at(step)
        logits = net(images.values(dtype)[0])
        loss = F.cross_entropy(logits, labels[0], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None
            seen[name] = torch.maximum(seen[name], parameter.grad.abs())
        optimizer.step()
    shape = plan(recipe).shape
    first = everything(net)
    everywhere = [seen.get(p.name, torch.ones_like(first[p.name])) for p in shape.pieces]
    largest = torch.cat([tensor.reshape(-1).double() for tensor in everywhere])
    return vector_of(net, shape), (largest == 0) | (largest > 1e-12)


@pytest.mark.parametrize("function", [*PLAIN, "Features"])
@pytest.mark.parametrize("together", [False, True])
def test_a_module_trains_as_in_plain_pytorch(pool: Pool, function: str, together: bool) -> None:
    """Each net of a stack: its own optimizer, rate, decay, smoothing and augmentation."""
    recipes = some(function)
    found = trained(trainer(recipes, pool, together=together, dtype=torch.float64), 8)
    for one in recipes:
        expected, counts = plainly(one, pool, 8, torch.float64)
        assert counts.double().mean() > 0.9
        assert torch.allclose(found[one.net][counts], expected[counts], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", PLAIN)
def test_in_single_precision_too(pool: Pool, function: str) -> None:
    """By SGD, which amplifies no rounding, as the quotients of Adam do."""
    one = recipe(function, seed=4, optimizer="momentum", learning_rate=0.002)
    found = trained(trainer([one], pool, dtype=torch.float32), 8)[one.net]
    expected, _ = plainly(one, pool, 8, torch.float32)
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [*PLAIN, *RANDOM, *ALONE, "Features"])
def test_a_net_alone_is_the_net_in_a_stack(pool: Pool, function: str) -> None:
    """Whichever way the stack computes; dropout and other random numbers included."""
    recipes = some(function)
    if "vit" in function.lower():  # see `plainly`
        recipes = [replace(one, optimizer="momentum") for one in recipes]
    stack = trained(trainer(recipes, pool, dtype=torch.float64), 6)
    for one in recipes:
        alone = trained(trainer([one], pool, dtype=torch.float64), 6)[one.net]
        assert torch.allclose(stack[one.net], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("function", ["dropped", "dropped_vit"])
def test_dropout_is_the_same_together_and_apart_in_single_precision(
    pool: Pool, function: str
) -> None:
    recipes = [recipe(function, seed=i, optimizer="momentum") for i in range(4)]
    one, other = (
        trained(trainer(recipes, pool, together=way, dtype=torch.float32), 6)
        for way in (True, False)
    )
    for net, vector in one.items():
        assert torch.allclose(vector, other[net], rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", ["dropped", "dropped_vit", "Noisy", "ResNet20"])
def test_a_smaller_last_batch_and_moving_averages_are_as_for_layers(
    pool: Pool, function: str
) -> None:
    """Nets with and without them share a stack; each is as it is alone."""
    recipes = [
        recipe(function, seed=i, optimizer="momentum", drop_last=bool(i % 2), ema=0.9 * (i > 1),
               train_images=100, epochs=2, inputs=("unit", "standardized")[i % 2])
        for i in range(4)
    ]  # fmt: skip
    found = trainer(recipes, pool, dtype=torch.float64)
    stack = {(s.net, s.number): s.vector for s in found.run()}
    for one in recipes:
        for alone in trainer([one], pool, dtype=torch.float64).run():
            assert np.allclose(alone.vector, stack[one.net, alone.number], rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", RANDOM)
def test_dropout_drops_and_differs_between_nets_and_steps(pool: Pool, function: str) -> None:
    two = [recipe(function, seed=i) for i in (1, 2)]
    found = trainer(two, pool, dtype=torch.float32)
    first, second = found.masks(), (found.train_step(), found.masks())[1]
    for mask, later in zip(first, second, strict=True):
        assert not torch.equal(mask[0], mask[1])
        assert not torch.equal(mask, later)
    if function == "dropped":
        kept = [float((mask > 0).double().mean()) for mask in first]
        assert kept == pytest.approx([0.75, 0.5], abs=0.15)


@pytest.mark.parametrize("function", ALONE)
def test_what_cannot_be_computed_together_is_computed_in_turn(pool: Pool, function: str) -> None:
    found = trainer(some(function), pool, dtype=torch.float32)
    found.train_step()
    assert found.arithmetic.together is False
    assert found.arithmetic.reason.startswith("cannot be computed together (RuntimeError: ")


def test_what_is_slower_together_is_computed_in_turn(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weightspace.networks.modules import stack

    for seconds, together in (([1.0, 2.0], True), ([2.0, 1.0], False)):
        left = iter(seconds)
        monkeypatch.setattr(stack, "_seconds", lambda work, device, left=left: next(left))
        stack._DECIDED.clear()
        found = trainer(some("mlp"), pool, dtype=torch.float32)
        found.train_step()
        assert found.arithmetic.together is together
    stack._DECIDED.clear()


class Stopped(Exception):
    """What ends a run, as a kill would."""


@pytest.mark.parametrize(
    ("function", "together"),
    [
        *itertools.product(("dropped", "ResNet20", "ViT", "Rows", "Features"), (False, True)),
        ("Noisy", False),
        ("Spectral", False),
    ],
)
def test_a_stopped_run_goes_on_bit_for_bit(pool: Pool, function: str, together: bool) -> None:
    recipes = some(function, epochs=2)

    def fresh() -> StackTrainer:
        return StackTrainer(recipes, pool, snapshots=3, evaluation_images=30)

    whole = fresh()
    whole.arithmetic.together = together
    expected = list(whole.run())
    begun, kept, found = fresh(), [], []
    begun.arithmetic.together = together

    def stop() -> None:
        if begun.step == 7:
            state = state_of(begun)
            arrays = {name: array.copy() for name, array in state.arrays.items()}
            kept.append(State(arrays, json.loads(json.dumps(state.facts))))
            raise Stopped

    with pytest.raises(Stopped):
        found.extend(begun.run(between=stop))
    again = fresh()
    restore(again, kept[0])
    assert again.arithmetic.together is together
    done = [(s.net, s.number) for s in begun_snapshots(expected, 7)]
    rest = [s for s in expected if (s.net, s.number) not in done]
    for one, other in zip(rest, again.run(), strict=True):
        assert (one.net, one.number, one.metrics) == (other.net, other.number, other.metrics)
        assert one.vector.tobytes() == other.vector.tobytes()
    assert whole.outcomes == again.outcomes


def begun_snapshots(snapshots: list[Snapshot], step: int) -> list[Snapshot]:
    """Those that were taken before a step."""
    return [snapshot for snapshot in snapshots if snapshot.step < step]


def test_snapshots_hold_what_the_layout_holds_and_are_evaluated_with_all_the_rest(
    pool: Pool,
) -> None:
    """The table of positions of a ViT is no layer, but the net needs it."""
    one = recipe("ViT", seed=5, epochs=8, stopping="convergence")
    found = list(StackTrainer([one], pool, snapshots=2, evaluation_images=50).run())
    layout = plan(one).layout()
    assert {len(snapshot.vector) for snapshot in found} == {layout.size}
    assert "pos_embed" not in {spec.name for spec in layout.tensors}
    assert found[-1].metrics["test_accuracy"] > 0.2 > found[0].metrics["test_accuracy"] - 0.1


def test_recipes_that_a_function_tells_apart_do_not_share_a_stack(pool: Pool) -> None:
    """`mlp` reads the width; not the optimizer, of which the stack makes a difference itself."""
    first = recipe("mlp", seed=1)
    assert plan(first) == plan(replace(first, optimizer="sgd", seed=9))
    with pytest.raises(UsageError, match="differs in plan or batch size from its stack"):
        trainer([first, replace(first, width_fc=9)], pool, dtype=torch.float32)


@pytest.mark.parametrize("name", ["he_normal", "constant"])
def test_the_initialization_of_the_recipe_is_used_where_it_names_one(pool: Pool, name: str) -> None:
    own = recipe("ViT", seed=6)
    vectors = {
        r.initialization: next(iter(StackTrainer([r], pool, snapshots=2).run())).vector
        for r in (own, replace(own, initialization=name))
    }
    assert not np.array_equal(vectors["module"], vectors[name])
    layout = plan(own).layout()
    for spec in layout.tensors:
        values = vectors[name][spec.offset : spec.stop]
        if spec.role == "bias":
            assert not values.any()
        if name == "constant" and spec.role == "weight":
            assert np.allclose(values, 0.1)


def test_the_seed_decides_a_modules_own_initial_weights(pool: Pool) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = recipe("lenet", seed=1), recipe("lenet", seed=2)
    u = torch.zeros(plan(first).layout().size, dtype=torch.float64)
    one, again = (plan(first).initial(first, u) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, plan(first).initial(second, u))
    assert torch.equal(before, torch.get_rng_state())


LATE = """
import torch
from torch import nn

class Late(nn.Module):
    def __init__(self, recipe):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.steps += 1
            if self.steps > 3:
                {late}
        return self.fc(x.flatten(1))
"""


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ("raise ValueError('no more')", r"net\.py:16: Late fails \(ValueError: no more\)"),
        ("self.seen += 1", r"net\.py:Late: changes seen in a later step, but not in the first;"),
    ],
)
def test_what_a_module_does_in_a_later_step_is_told_in_a_line(
    pool: Pool, late: str, told: str
) -> None:
    with entered("Late", text=LATE.format(late=late), file="net.py"):
        found = trainer([recipe("Late", "net.py")], pool, dtype=torch.float32)
        with pytest.raises(UsageError, match=told):
            trained(found, 6)


def test_a_chain_of_layers_has_no_initial_weights_of_its_own(pool: Pool) -> None:
    with pytest.raises(UsageError, match="'module' are the initial weights that a module"):
        trainer([replace(recipe("mlp"), architecture="nws")], pool, dtype=torch.float32)
