"""When nets stop and which of their moments are kept; alone as in company."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nets import BASE, MIXED, small
from weightspace.errors import UsageError
from weightspace.space import Recipe
from weightspace.training import Course, Outcome, Pool, Snapshot, StackTrainer
from weightspace.training.convergence import Convergence
from weightspace.training.schedule import Moment

STEPS = 9
"""Steps an epoch of the nets below: 144 images in batches of 16."""
STOPPING = [
    replace(
        r, stopping="convergence", epochs=70, learning_rate_decay=1.0, learning_rate=0.003,
        # A bias before a norm amplifies rounding, and 70 epochs are enough for chaos.
        batch_norm=False,
    )
    for r in MIXED
    if r.optimizer != "momentum" or r.activation == "elu"
]  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({name: small(name) for name in ("digits", "textures")})


def stopped(accuracies: list[Fraction]) -> int | None:
    """The epoch at which a net with these validation accuracies stops: the rule, told slowly."""
    smoothed = accuracies[:1]
    for a in accuracies[1:]:
        smoothed.append((smoothed[-1] + a) / 2)
    for epoch in range(20, len(accuracies)):
        past = range(1, epoch + 1)
        changes = [accuracies[e] - accuracies[e - 1] for e in past]
        falls = 0
        for change in reversed(changes):  # back to the last rise, equal ones passed over
            if change > 0:
                break
            falls += change < 0
        still = next((i for i, change in enumerate(reversed(changes)) if change), epoch)
        below = sum(smoothed[e] - accuracies[e] > Fraction(1, 10**8) for e in past)
        if falls >= 5 or below >= 30 or still >= 30:
            return epoch
    return None


levels = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.integers(0, n), min_size=90, max_size=90).map(
        lambda rights: [Fraction(right, n) for right in rights]
    )
)


@given(levels, st.booleans())
@settings(deadline=None)
def test_the_rule_is_the_published_one(accuracies: list[Fraction], rising: bool) -> None:
    if rising:
        accuracies = sorted(accuracies)
    rule = Convergence()
    heard = [rule.hear(float(a)) for a in accuracies]
    expected = stopped(accuracies)
    assert heard.index(True) == expected if expected else not any(heard)


@pytest.mark.parametrize(
    ("accuracies", "epoch"),
    [
        ([0.5] * 60, 30),  # stationary from the start
        ([e / 100 for e in range(60)], None),  # rising for ever
        ([e / 100 for e in range(30)] + [0.1 - e / 100 for e in range(9)], 34),  # five falls
        ([e / 100 for e in range(30)] + [0.1, 0.1, 0.09, 0.08, 0.07, 0.07, 0.06], 36),
        ([0.9 - e / 100 for e in range(40)], 20),  # falls do not stop a net before 20 epochs
        ([0.5, 0.4] * 50, 59),  # every second epoch lies below: the thirtieth is epoch 59
    ],
)
def test_when_a_net_stops(accuracies: list[float], epoch: int | None) -> None:
    rule = Convergence()
    heard = [rule.hear(a) for a in accuracies]
    assert (heard.index(True) if True in heard else None) == epoch


@given(st.integers(20, 900), st.integers(2, 21), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_moments_held_without_knowing_the_length_are_at_equal_fractions(
    epochs: int, count: int, steps: int
) -> None:
    """Of a net that converges after `epochs` epochs of `steps` steps, a length known to nobody."""
    recipe = replace(BASE, stopping="convergence", epochs=1000)
    course = Course.of(recipe, steps, count)
    ready: list[Moment] = []
    for epoch in range(epochs + 1):
        course.converged = epoch == epochs
        if course.kept(epoch * steps):
            moment = Moment(epoch * steps, np.zeros(1, np.float32), (0, 0, 0))
            ready += course.take(moment)
            assert len(course.keeper.held) <= 2 * count + 1
    found = [moment.step / steps for moment in ready]
    assert len(found) == len(set(found)) == count
    assert (found[0], found[-1]) == (0, epochs)
    apart = epochs / (count - 1)
    assert np.abs(found - apart * np.arange(count)).max() <= apart / 2


def trained(
    recipes: list[Recipe], pool: Pool, snapshots: int | tuple[float, ...], images: int = 1000
) -> tuple[dict[str, list[Snapshot]], dict[str, Outcome]]:
    """Snapshots and outcome by net."""
    trainer = StackTrainer(
        recipes, pool, snapshots=snapshots, dtype=torch.float64, evaluation_images=images
    )
    found: dict[str, list[Snapshot]] = {recipe.net: [] for recipe in recipes}
    for snapshot in trainer.run():
        found[snapshot.net].append(snapshot)
        assert snapshot.number == len(found[snapshot.net])
    return found, {outcome.net: outcome for outcome in trainer.outcomes}


@pytest.fixture(scope="module")
def together(pool: Pool) -> tuple[dict[str, list[Snapshot]], dict[str, Outcome]]:
    return trained(STOPPING, pool, 6)


@pytest.mark.parametrize("recipe", [*STOPPING[:3], replace(STOPPING[0], batch_norm=True)])
def test_a_net_stops_where_the_rule_says(pool: Pool, recipe: Recipe) -> None:
    """The same net is watched for its whole life by snapshots, one an epoch, and judged slowly."""
    whole = replace(recipe, stopping="epochs")
    watched, _ = trained([whole], pool, tuple(range(71)))
    life = watched[whole.net]
    validation = [Fraction(s.metrics["validation_accuracy"]).limit_denominator(99) for s in life]
    end = stopped(validation)
    found, outcomes = trained([recipe], pool, 6)
    assert outcomes[recipe.net].converged == (end is not None)
    assert outcomes[recipe.net].steps == STEPS * (end or 70)
    snapshots = found[recipe.net]
    assert len(snapshots) == 6
    assert snapshots[-1].step == outcomes[recipe.net].steps
    for snapshot in snapshots:
        same = life[int(snapshot.epoch)]
        assert snapshot.step == same.step
        assert np.array_equal(snapshot.vector, same.vector)
        for name in ("train", "validation", "test"):
            for what in (f"{name}_loss", f"{name}_accuracy"):
                assert snapshot.metrics[what] == pytest.approx(same.metrics[what], rel=1e-12)


@pytest.mark.parametrize("recipe", STOPPING, ids=lambda r: f"{r.optimizer} {r.activation}")
def test_nets_that_stop_by_themselves_are_the_same_alone_and_together(
    pool: Pool, recipe: Recipe, together: tuple[dict[str, list[Snapshot]], dict[str, Outcome]]
) -> None:
    found, outcomes = trained([recipe], pool, 6)
    assert outcomes[recipe.net] == together[1][recipe.net]
    for alone, beside in zip(found[recipe.net], together[0][recipe.net], strict=True):
        assert alone.step == beside.step
        np.testing.assert_allclose(beside.vector, alone.vector, rtol=0, atol=1e-6)
        assert beside.metrics == pytest.approx(alone.metrics, rel=1e-6, nan_ok=True)


def test_some_of_these_nets_converge_at_different_epochs(
    together: tuple[dict[str, list[Snapshot]], dict[str, Outcome]],
) -> None:
    """Or the test above would show nothing."""
    outcomes = together[1].values()
    assert sum(o.converged for o in outcomes) >= 2
    assert len({o.steps for o in outcomes}) >= 3


def test_how_many_images_measure_a_snapshot_does_not_decide_when_a_net_stops(
    pool: Pool, together: tuple[dict[str, list[Snapshot]], dict[str, Outcome]]
) -> None:
    _, outcomes = trained(STOPPING, pool, 6, images=5)
    assert {n: o.steps for n, o in outcomes.items()} == {n: o.steps for n, o in together[1].items()}


def test_a_run_of_at_most_twenty_epochs_is_as_without_the_rule(pool: Pool) -> None:
    recipe = replace(STOPPING[0], epochs=20)
    found, outcomes = trained([recipe], pool, 50)
    assert [s.step for s in found[recipe.net]] == [round(180 * k / 49) for k in range(50)]
    assert not outcomes[recipe.net].converged


def test_snapshots_after_named_epochs(pool: Pool) -> None:
    recipes = [BASE, replace(BASE, seed=1, epochs=30)]
    found, outcomes = trained(recipes, pool, (0, 0.5, 1, 3))
    for recipe in recipes:  # the last of them ends the run, however long the recipe's is
        assert [s.step for s in found[recipe.net]] == [0, 4, 9, 27]
        assert outcomes[recipe.net].steps == 27
    found, _ = trained([BASE], pool, (2, 3))
    first = found[BASE.net][0]
    assert first.metrics["batch_loss"] > 0


def test_a_net_that_converges_before_a_named_epoch_keeps_its_final_state(
    pool: Pool, together: tuple[dict[str, list[Snapshot]], dict[str, Outcome]]
) -> None:
    epochs = (0.0, 1.0, 21.5, 60.0, 69.0)
    found, outcomes = trained(STOPPING, pool, epochs)
    short = 0
    for net, snapshots in found.items():
        end = min(together[1][net].steps, 69 * STEPS)
        assert outcomes[net].steps == end
        reached = [round(e * STEPS) for e in epochs if round(e * STEPS) < end]
        assert [s.step for s in snapshots] == [*reached, end]
        short += len(snapshots) < len(epochs)
    assert short > 0


def test_a_net_that_diverges_before_it_converges_keeps_what_was_sound(pool: Pool) -> None:
    # Each step multiplies the weights by 1 - rate x decay = -5.
    wild = replace(
        STOPPING[0], seed=3, optimizer="sgd", activation="sigmoid", learning_rate=6.0,
        weight_decay=1.0,
    )  # fmt: skip
    found, (outcome,) = (both := trained([wild], pool, 4))[0], both[1].values()
    alone = found[wild.net]
    beside, outcomes = trained([wild, *STOPPING[:2]], pool, 4)
    broke = outcome.diverged_step
    assert broke is not None
    assert not outcome.converged
    assert broke > 5 * STEPS
    assert outcomes[wild.net] == outcome
    assert [s.step for s in beside[wild.net]] == [s.step for s in alone]
    assert len(alone) == 4
    assert alone[-1].step == STEPS * ((broke - 1) // STEPS)
    assert all(np.isfinite(s.vector).all() for s in alone)
    _, tame = trained(STOPPING[:2], pool, 4)
    assert all(outcomes[net] == tame[net] for net in tame)


def test_what_does_not_fit_is_refused() -> None:
    stops = replace(BASE, stopping="convergence", epochs=100)
    for recipe, snapshots, message in (
        (stops, 22, r"snapshots: 22 is not from 2 to 21, the epochs' starts of the shortest run"),
        (BASE, (0, 4), r"snapshot_epochs: 4 lies beyond the 3 epochs of the run; train longer"),
        (BASE, (), r"snapshot_epochs: none is named; name at least one, like 0,1,2,5,10"),
        (BASE, (0,), r"snapshot_epochs: none may be below 0, and one must be above"),
        (BASE, (-1, 2), r"snapshot_epochs: none may be below 0"),
        (BASE, (0, 2, 1), r"snapshot_epochs: 2 and 1 are not one after the other where an epoch"),
        (BASE, (1, 1.01), r"1 and 1.01 are not one after the other where an epoch has 9 steps"),
    ):
        with pytest.raises(UsageError, match=message):
            Course.of(recipe, STEPS, snapshots)
