"""Training that is stopped between any two steps and restored goes on bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nets import BASE, MIXED, small
from weightspace.space import Recipe
from weightspace.training import Pool, Snapshot, StackTrainer, State, restore, state_of

STOPS = [replace(r, stopping="convergence", epochs=26, train_images=60) for r in MIXED[:4]]
WILD = replace(BASE, seed=3, optimizer="momentum", learning_rate=99.0, weight_decay=1.0)
LONG = [replace(r, epochs=1 + i, train_images=60 + 20 * i) for i, r in enumerate(MIXED[:5])]
CASES: dict[str, tuple[list[Recipe], Any]] = {
    "mixed": (MIXED, 4),
    "lengths and a divergence": ([*LONG, WILD], 3),
    "stopped by the rule": (STOPS, 4),
    "named epochs": (MIXED[:3], (0.0, 0.4, 1.0, 2.5)),
    "alone": (MIXED[2:3], 2),
}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({name: small(name) for name in ("digits", "textures")})


class Stopped(Exception):
    """What ends a run, as a kill would."""


def trainer(case: str, pool: Pool) -> StackTrainer:
    recipes, snapshots = CASES[case]
    return StackTrainer(recipes, pool, snapshots=snapshots, evaluation_images=30)


def stopped(case: str, pool: Pool, step: int) -> tuple[list[Snapshot], State | None]:
    """A run that ends at a step, if it comes to it; its snapshots and its state, by way of text."""
    running, found, kept = trainer(case, pool), [], []

    def stop() -> None:
        if running.step == step:
            state = state_of(running)
            arrays = {name: array.copy() for name, array in state.arrays.items()}
            kept.append(State(arrays, json.loads(json.dumps(state.facts))))
            raise Stopped

    try:
        for snapshot in running.run(between=stop):
            found.append(snapshot)
    except Stopped:
        return found, kept[0]
    return found, None


def same(one: list[Snapshot], other: list[Snapshot]) -> bool:
    """Whether two runs handed out the same, bit for bit."""
    plain = [
        [
            (s.net, s.number, s.step, s.epoch, s.vector.tobytes(), np.array([*s.metrics.values()]))
            for s in snapshots
        ]
        for snapshots in (one, other)
    ]
    return repr(plain[0]) == repr(plain[1])


@pytest.fixture(scope="module")
def whole(pool: Pool) -> dict[str, tuple[list[Snapshot], list[Any]]]:
    found = {}
    for case in CASES:
        running = trainer(case, pool)
        found[case] = (list(running.run()), running.outcomes)
    return found


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_a_restored_run_ends_as_one_never_stopped(
    case: str, pool: Pool, whole: dict[str, Any], data: st.DataObject
) -> None:
    snapshots, outcomes = whole[case]
    last = max(outcome.steps for outcome in outcomes)
    step = data.draw(st.integers(1, last))
    begun, state = stopped(case, pool, step)
    assert state is not None
    again = trainer(case, pool)
    restore(again, state)
    assert same([*begun, *again.run()], snapshots)
    assert again.outcomes == outcomes


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_a_trainer_is_forgotten(case: str, pool: Pool) -> None:
    """Whatever attribute a trainer has or gets: after a restore it has the same value."""
    running = trainer(case, pool)
    again = trainer(case, pool)

    def compare() -> None:
        if running.step == 13:
            state = state_of(running)
            restore(again, State(state.arrays, json.loads(json.dumps(state.facts))))
            assert again.step == 13
            compared = list(differences("trainer", running, again))
            # Beyond the net's own images, an order holds what nobody reads.
            sizes = running.batches.sizes.tolist()
            for i, size in enumerate(sizes):
                assert torch.equal(running.batches.order[i, :size], again.batches.order[i, :size])
            assert set(compared) <= {"trainer.batches.order"}
            raise Stopped

    with pytest.raises(Stopped):
        list(running.run(between=compare))


def differences(name: str, one: Any, other: Any) -> Iterator[str]:
    """Names of the values in which two trainers differ, however deep they lie."""
    parts = [*zip(*map(pieces, (one, other)), strict=False)]
    if isinstance(one, torch.Tensor | np.ndarray):
        if repr(one.dtype) != repr(other.dtype) or one.tolist() != other.tolist():
            yield name
    elif parts or len(pieces(one)) != len(pieces(other)):
        if [key for key, _ in pieces(one)] != [key for key, _ in pieces(other)]:
            yield name
        for (key, a), (_, b) in parts:
            yield from differences(f"{name}.{key}", a, b)
    elif type(one) is not type(other) or (repr(one) != repr(other) and " at 0x" not in repr(one)):
        yield name


def pieces(value: Any) -> list[tuple[Any, Any]]:
    """What a value is made of: attributes, items or elements, with their names."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    ours = type(value).__module__.startswith("weightspace.training")
    return list(vars(value).items()) if ours else []


def test_a_forgotten_value_would_be_noticed(pool: Pool) -> None:
    one, other = trainer("stopped by the rule", pool), trainer("stopped by the rule", pool)
    assert list(differences("t", one, other)) == []
    other.courses[1].rule.falls += 1
    other.batches.held["test"].index[0, 0] += 1
    other.slots[0][0, 0] = 1
    assert list(differences("t", one, other)) == [
        "t.batches.held.test.index",
        "t.slots.0",
        "t.courses.1.rule.falls",
    ]
