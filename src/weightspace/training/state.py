"""The state of a stack during training, as named arrays and plain values, both ways.

The rest of the training depends only on this state, the recipes and the images. So training that
continues from a state gives the same bits as without a stop, on the same implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from weightspace.networks.arithmetic import Arithmetic
from weightspace.networks.modules.stack import ModuleStack
from weightspace.training.convergence import Convergence
from weightspace.training.outcome import Outcome
from weightspace.training.schedule import Course, Moment, Thinned
from weightspace.training.trainer import StackTrainer


@dataclass(frozen=True)
class State:
    """The state of a stack between two steps.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Arrays; where possible they are views of the trainer's memory.
    facts : mapping
        Plain JSON values.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def state_of(trainer: StackTrainer) -> State:
    """Take the state of a trainer between two steps.

    Parameters
    ----------
    trainer : StackTrainer
        The trainer.

    Returns
    -------
    State
    """
    tensors = {"weights": trainer.weights, "seen": trainer.seen, "broke": trainer.broke}
    tensors |= {f"stats.{i}": tensor for i, tensor in enumerate(trainer.stats)}
    tensors |= {f"slots.{i}": tensor for i, tensor in enumerate(trainer.slots)}
    tensors |= {f"averages.{i}": tensor for i, tensor in enumerate(trainer.averages)}
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    for i, course in enumerate(trainer.courses):
        arrays |= {f"held.{i}.{j}": moment.vector for j, moment in enumerate(_held(course))}
    facts = {
        "step": trainer.step,
        "nets": [recipe.net for recipe in trainer.recipes],
        "courses": [_plain(course) for course in trainer.courses],
        "outcomes": [asdict(outcome) for outcome in trainer.outcomes],
        "together": way_of(trainer),
    }
    return State(arrays, facts)


def restore(trainer: StackTrainer, state: State) -> None:
    """Set a new trainer to a state, so that it continues from there.

    Parameters
    ----------
    trainer : StackTrainer
        A trainer of the same recipes that has not started.
    state : State
        What `state_of` returned for the other trainer.
    """
    place = {recipe.net: i for i, recipe in enumerate(trainer.recipes)}
    trainer.keep([place[net] for net in state.facts["nets"]])
    arrays, facts = state.arrays, state.facts

    def tensor(name: str) -> Tensor:
        # A copy in torch's own memory: the array may be read-only or badly aligned.
        return torch.from_numpy(np.array(arrays[name])).clone().to(trainer.device)

    trainer.step = facts["step"]
    trainer.weights, trainer.seen, trainer.broke = map(tensor, ("weights", "seen", "broke"))
    trainer.stats = [tensor(f"stats.{i}") for i in range(len(trainer.stats))]
    trainer.slots = [tensor(f"slots.{i}") for i in range(len(trainer.slots))]
    trainer.averages = [tensor(f"averages.{i}") for i in range(len(trainer.averages))]
    trainer.outcomes = [Outcome(**outcome) for outcome in facts["outcomes"]]
    for i, (course, plain) in enumerate(zip(trainer.courses, facts["courses"], strict=True)):
        vectors = [np.array(arrays[f"held.{i}.{j}"]) for j in range(len(plain["held"]))]
        _set(course, plain, vectors)
    if _decides(trainer.arithmetic):
        trainer.arithmetic.together = facts["together"]
    trainer.batches.begin_at(trainer.step)


def way_of(trainer: StackTrainer) -> bool | None:
    """Whether modules are computed by one call; None before the first step, and for layers.

    Parameters
    ----------
    trainer : StackTrainer
        The trainer.

    Returns
    -------
    bool or None
    """
    return trainer.arithmetic.together if _decides(trainer.arithmetic) else None


def ask_for(trainer: StackTrainer, together: bool | None) -> None:
    """Say how a trainer that has not started computes modules, instead of measuring it.

    Parameters
    ----------
    trainer : StackTrainer
        The trainer.
    together : bool or None
        By one call, if that gives the same results, or one after the other; None to measure it.
    """
    if _decides(trainer.arithmetic):
        trainer.arithmetic.asked = together


def _decides(arithmetic: Arithmetic) -> TypeGuard[ModuleStack]:
    """Whether it measures at its first step how it computes; that is never measured again."""
    return isinstance(arithmetic, ModuleStack)


def _held(course: Course) -> list[Moment]:
    return course.keeper.held if isinstance(course.keeper, Thinned) else []


def _plain(course: Course) -> dict[str, Any]:
    return {
        "converged": course.converged,
        "given": course.given,
        "seen": course.seen,
        "accuracy": course.accuracy,
        "rule": asdict(course.rule) if course.rule else None,
        "interval": course.keeper.interval if isinstance(course.keeper, Thinned) else None,
        "held": [{"step": moment.step, "seen": moment.seen} for moment in _held(course)],
    }


def _set(course: Course, plain: Mapping[str, Any], vectors: list[np.ndarray]) -> None:
    course.converged, course.given = plain["converged"], plain["given"]
    course.seen, course.accuracy = tuple(plain["seen"]), plain["accuracy"]
    course.rule = Convergence(**plain["rule"]) if plain["rule"] else None
    if isinstance(course.keeper, Thinned):
        course.keeper.interval = plain["interval"]
        course.keeper.held = [
            Moment(moment["step"], vector, tuple(moment["seen"]))
            for moment, vector in zip(plain["held"], vectors, strict=True)
        ]
