"""Nets in a stack are the nets they would be alone, and those of plain PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from support.nets import BASE, MIXED, PlainNet, small
from support.optimizers import plain_optimizer
from weightspace.errors import UsageError
from weightspace.networks import Layout, Plan
from weightspace.space import Recipe
from weightspace.training import OPTIMIZERS, Pool, StackTrainer, snapshot_steps


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({name: small(name) for name in ("digits", "textures")})


def final_vectors(
    recipes: list[Recipe], pool: Pool, dtype: torch.dtype = torch.float64, nudge: float = 0.0
) -> dict[str, np.ndarray]:
    """Train a stack to the end; its final values by net, at full precision."""
    trainer = StackTrainer(recipes, pool, snapshots=2, dtype=dtype, evaluation_images=50)
    finals: dict[str, np.ndarray] = {}
    trainer.weights *= 1 + nudge
    while trainer.step < max(course.last for course in trainer.courses):
        trainer.train_step()
    vectors = trainer.shape.join(trainer.weights, trainer.stats).numpy()
    for recipe, vector in zip(trainer.recipes, vectors, strict=True):
        finals[recipe.net] = vector
    return finals


def settled(layout: Layout) -> np.ndarray:
    """Which values training decides: bool [P], all but conv biases and their running means.

    A bias before batch norm has a gradient of exactly zero. Floating point leaves noise of it,
    which Adam and RMSProp scale up to steps, and which depends on the order of summation.
    """
    keep = np.ones(layout.size, bool)
    for spec in layout.tensors:
        if spec.part == "conv" and spec.role in ("bias", "running_mean"):
            keep[spec.offset : spec.stop] = False
    return keep


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_eight_mixed_nets_trained_together_equal_the_same_nets_alone(
    pool: Pool, dtype: torch.dtype
) -> None:
    """Only rounding differs, which training amplifies, by how much depends on the recipe.

    So each net is also trained alone from initial weights moved by one unit in the last place.
    After 3 epochs the stack may differ from the net alone by ten times what that does, or by a
    hundred such units of the vector's length.
    """
    unit = torch.finfo(dtype).eps
    together = final_vectors(MIXED, pool, dtype)
    keep = settled(Plan.from_recipe(BASE).layout())
    for recipe in MIXED:
        alone = final_vectors([recipe], pool, dtype)[recipe.net][keep]
        nudged = final_vectors([recipe], pool, dtype, nudge=unit)[recipe.net][keep]
        allowed = max(10 * np.linalg.norm(nudged - alone), 100 * unit * np.linalg.norm(alone))
        assert np.linalg.norm(together[recipe.net][keep] - alone) <= allowed, recipe


def test_most_nets_of_a_stack_equal_the_same_nets_alone_to_ten_digits(pool: Pool) -> None:
    """In float64: six of the eight recipes amplify rounding by less than a million."""
    together = final_vectors(MIXED, pool)
    keep = settled(Plan.from_recipe(BASE).layout())
    alone = {r.net: final_vectors([r], pool)[r.net] for r in MIXED}
    worst = [abs(together[n] - v)[keep].max() / abs(v).max() for n, v in alone.items()]
    assert sum(difference < 1e-10 for difference in worst) >= 6


def test_the_order_of_recipes_does_not_matter(pool: Pool) -> None:
    forward, backward = final_vectors(MIXED, pool), final_vectors(MIXED[::-1], pool)
    for net, vector in forward.items():
        np.testing.assert_allclose(vector, backward[net], rtol=0, atol=1e-12 * abs(vector).max())


# Lion takes the signs of gradients, and so whole steps where they are nothing but rounding, as
# before a norm; test_recipes.py has it without norms.
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "lion"])
@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_a_stack_equals_plain_pytorch(pool: Pool, optimizer: str, activation: str) -> None:
    """Same initial weights, batches and masks: equal to 1e-9 in float64 after 3 epochs."""
    recipe = replace(
        BASE, seed=7, optimizer=optimizer, activation=activation, augmentation=True,
        weight_decay=0.001, label_smoothing=0.05, learning_rate_decay=0.7, label_noise=0.1,
    )  # fmt: skip
    other = replace(recipe, seed=8, optimizer="adam", activation="sigmoid")
    trainer = StackTrainer([recipe, other], pool, snapshots=2, dtype=torch.float64)
    row = [r.net for r in trainer.recipes].index(recipe.net)
    net = PlainNet(trainer.plan, activation).double()
    first = trainer.shape.join(trainer.weights, trainer.stats)[row]
    with torch.no_grad():
        for spec, tensor in zip(trainer.layout.tensors, net.tensors(), strict=True):
            tensor.copy_(first[spec.offset : spec.stop].view(spec.shape))
    step = plain_optimizer(recipe, net)
    schedule = torch.optim.lr_scheduler.ExponentialLR(step, recipe.learning_rate_decay)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for _ in range(27):
        images, y = trainer.batches.at(trainer.step)
        x = images.values(torch.float64)
        masks = [mask[row] for mask in trainer.masks()]
        step.zero_grad()
        loss_of(net(x[row], masks), y[row]).backward()
        step.step()
        trainer.train_step()
        if trainer.step % 9 == 0:  # an epoch: 144 images in batches of 16
            schedule.step()
    ours = trainer.shape.join(trainer.weights, trainer.stats)[row].numpy()
    theirs = torch.cat([tensor.detach().reshape(-1) for tensor in net.tensors()]).numpy()
    difference = np.abs(ours - theirs)[settled(trainer.layout)].max()
    assert difference < 1e-9 * np.abs(theirs).max()


def test_snapshots_are_the_run_at_equal_fractions(pool: Pool) -> None:
    trainer = StackTrainer(MIXED, pool, snapshots=7, evaluation_images=50)
    seen: dict[str, list[int]] = {}
    for snapshot in trainer.run():
        seen.setdefault(snapshot.net, []).append(snapshot.step)
        assert snapshot.vector.dtype == np.float32
        assert snapshot.vector.shape == (trainer.layout.size,)
        assert 0 <= snapshot.metrics["test_accuracy"] <= 1
        assert np.isnan(snapshot.metrics["batch_loss"]) == (snapshot.number == 1)
    assert seen == {r.net: [0, 4, 9, 14, 18, 22, 27] for r in MIXED}
    assert {o.net: o.steps for o in trainer.outcomes} == {r.net: 27 for r in MIXED}


def test_label_noise_replaces_its_share_of_labels_by_other_classes(pool: Pool) -> None:
    clean = replace(BASE, seed=5, train_images=400)
    noisy = replace(clean, label_noise=0.3)
    batches = StackTrainer([clean, noisy], pool, snapshots=2).batches
    assert batches.labels is not None
    truth = pool.labels[batches.train[0]]
    assert torch.equal(batches.train[0], batches.train[1])
    assert torch.equal(batches.labels[0], truth)
    wrong = (batches.labels[1] != truth).double().mean().item()
    assert abs(wrong - 0.3) < 0.08  # 360 labels: three standard errors
    assert batches.labels.min() >= 0
    assert batches.labels.max() <= 9


def test_training_learns(pool: Pool) -> None:
    recipe = replace(BASE, epochs=40, train_images=0, dropout=0.0, learning_rate=0.01)
    *_, last = StackTrainer([recipe], pool, snapshots=2).run()
    assert last.metrics["test_accuracy"] > 0.6


def test_nets_with_fewer_steps_leave_the_stack_unharmed(pool: Pool) -> None:
    short = replace(BASE, seed=1, epochs=1)
    trainer = StackTrainer([short, *MIXED[:3]], pool, snapshots=2, dtype=torch.float64)
    last = {s.net: s for s in trainer.run()}
    assert last[short.net].step == 9
    alone = final_vectors([MIXED[0]], pool)[MIXED[0].net].astype(np.float32)
    keep = settled(trainer.layout)
    np.testing.assert_allclose(last[MIXED[0].net].vector[keep], alone[keep], rtol=0, atol=1e-6)


def test_a_diverging_net_is_flagged_and_harms_nobody(pool: Pool) -> None:
    # Each step multiplies the weights by 1 - rate x decay = -98.
    wild = replace(BASE, seed=3, optimizer="momentum", learning_rate=99.0, weight_decay=1.0)
    tame = MIXED[:3]
    trainer = StackTrainer([wild, *tame], pool, snapshots=4, evaluation_images=50)
    numbers = [s.number for s in trainer.run() if s.net == wild.net]
    outcomes = {o.net: o for o in trainer.outcomes}
    broke = outcomes[wild.net].diverged_step
    assert broke is not None
    assert 0 < broke <= 27
    assert numbers == [k + 1 for k, step in enumerate((0, 9, 18, 27)) if step < broke]
    for recipe in tame:
        assert outcomes[recipe.net].diverged_step is None


def test_a_net_that_never_moves_is_flagged_dead(pool: Pool) -> None:
    still = replace(BASE, optimizer="momentum", learning_rate=1e-12)
    trainer = StackTrainer([still], pool, snapshots=2)
    list(trainer.run())
    assert trainer.outcomes[0].dead


def test_too_few_steps_for_the_snapshots_is_refused() -> None:
    with pytest.raises(UsageError, match=r"snapshots: 20 do not fit in a run of 18 steps"):
        snapshot_steps(18, 20)
    assert snapshot_steps(19, 20) == list(range(20))


def test_a_batch_larger_than_the_training_set_is_refused(pool: Pool) -> None:
    with pytest.raises(UsageError, match=r"batch_size: 256 is more than the 144 training images"):
        StackTrainer([replace(BASE, batch_size=256)], pool)
