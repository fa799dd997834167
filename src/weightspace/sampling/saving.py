"""When a unit's state is saved, what it must match to be gone on from, and what it holds."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from weightspace.disk import read_bytes
from weightspace.errors import UsageError
from weightspace.networks.arithmetic import in_use
from weightspace.training import StackTrainer, State, restore, state_of
from weightspace.zoo import UnitWriter

SHARE = 0.02
"""Of a unit's time, at most, goes into saving its state."""

LEAST_SECONDS = 60.0
"""Between two saves: what a kill costs at most where a save is quick."""

BYTES_PER_SECOND = 50e6
"""How fast the first state is taken to be written, before one was."""

ROOMS = ("space", "images", "networks", "training", "sampling")
"""Whose code decides what a state means and what follows from it."""

LARGEST_SOURCE = 2**28
"""Bytes of a file of that code, builds included, at most."""

log = logging.getLogger("weightspace")


class Saver:
    """Saves a trainer's state into a unit now and then, so rarely that it hardly costs time.

    `rows` are the unit's rows of snapshots so far; they are saved with the state.
    """

    def __init__(
        self,
        unit: UnitWriter,
        trainer: StackTrainer,
        rows: list[dict[str, Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit, self._trainer, self._rows, self._clock = unit, trainer, rows, clock
        self._every = _asked()
        size = sum(array.nbytes for array in state_of(trainer).arrays.values())
        self._next = clock() + self._pause(size / BYTES_PER_SECOND)

    def __call__(self) -> None:
        """Save if it is time to; called between two steps."""
        if self._clock() >= self._next:
            self.save()

    def save(self) -> None:
        """Save now, and find out how long to wait until the next time."""
        begun = self._clock()
        state = state_of(self._trainer)
        made_by = made_with(self._trainer.device)
        facts = {"made_by": made_by, "trainer": state.facts, "rows": self._rows}
        self._unit.save(state.arrays, facts)
        now = self._clock()
        self._next = now + self._pause(now - begun)

    def _pause(self, took: float) -> float:
        return self._every if self._every is not None else max(LEAST_SECONDS, took / SHARE)


def go_on(unit: UnitWriter, trainer: StackTrainer) -> list[dict[str, Any]]:
    """Bring a trainer to where the unit was stopped, if it was; returns the rows so far.

    A state that is damaged or was made by other code, another torch, processor or device is set
    aside, which is said in one line, and the unit begins again: nets are of one arithmetic.
    """
    saved, unit.saved = unit.saved, None
    if unit.trouble:
        log.warning(f"{unit.trouble}; {unit.name} is trained from its beginning")
    if saved is None:
        return []
    then, now = saved.facts["made_by"], made_with(trainer.device)
    for name in now:
        if then.get(name) != now[name]:
            log.warning(
                f"{unit.name}: was stopped with {name} {then.get(name)}, here is {now[name]}; "
                "it is trained from its beginning"
            )
            unit.begin_again()
            return []
    restore(trainer, State(saved.arrays, saved.facts["trainer"]))
    return list(saved.facts["rows"])


def made_with(device: torch.device) -> dict[str, str]:
    """What decides the bits that training gives: a state goes on with the same alone."""
    cuda = device.type == "cuda"
    return {
        "code": _code(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "arithmetic": in_use(device.type),
    }


@cache
def _code() -> str:
    """A digest of the source and the builds of the rooms that train."""
    found = hashlib.blake2b(digest_size=8)
    root = Path(__file__).parent.parent
    for room in ROOMS:
        for file in sorted((root / room).rglob("*")):
            if file.suffix in (".py", ".so", ".yaml"):
                found.update(f"{file.relative_to(root)}".encode())
                found.update(read_bytes(file, LARGEST_SOURCE))
    return found.hexdigest()


def _asked() -> float | None:
    """Seconds between two saves that the environment asks for, whatever they cost."""
    text = os.environ.get("WEIGHTSPACE_SAVE_SECONDS")
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"WEIGHTSPACE_SAVE_SECONDS: {text!r} is no number of seconds; unset it"
        ) from None
