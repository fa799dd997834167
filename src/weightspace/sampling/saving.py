"""Save the state of a stack during training, and continue from it if versions match."""

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
"""The largest share of a stack's time that is used to save its state."""

LEAST_SECONDS = 60.0
"""The least time between two saves; after a kill, this much work is lost if saving is fast."""

BYTES_PER_SECOND = 50e6
"""The assumed speed of writing the first state, before it is measured."""

ROOMS = ("space", "images", "networks", "training", "sampling")
"""The rooms whose code decides how training continues from a state."""

LARGEST_SOURCE = 2**28
"""The most bytes of a file of that code, including builds."""

log = logging.getLogger("weightspace")


class Saver:
    """Saves a trainer's state at intervals that cost little time.

    `rows` are the stack's rows of snapshots so far; they are saved with the state.
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
        """Save if the interval is over; called between two steps."""
        if self._clock() >= self._next:
            self.save()

    def save(self) -> None:
        """Save now, and compute the time of the next save."""
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
    """Restore a trainer to the saved state of its stack, if there is one; returns the rows so far.

    A state that is damaged, or was saved by other code, another torch, processor or device, is not
    used: a warning says so in one line, and the stack is trained from its beginning. All steps of a
    net thus use the same arithmetic.
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
    """All facts that decide the bits of trained weights; a state continues only with the same."""
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
    """A hash of the source and the builds of the rooms that train."""
    found = hashlib.blake2b(digest_size=8)
    root = Path(__file__).parent.parent
    for room in ROOMS:
        for file in sorted((root / room).rglob("*")):
            if file.suffix in (".py", ".so", ".yaml"):
                found.update(f"{file.relative_to(root)}".encode())
                found.update(read_bytes(file, LARGEST_SOURCE))
    return found.hexdigest()


def _asked() -> float | None:
    """The seconds between two saves that the environment sets, or None."""
    text = os.environ.get("WEIGHTSPACE_SAVE_SECONDS")
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            "WEIGHTSPACE_SAVE_SECONDS", f"{text!r} is no number of seconds", "unset it"
        ) from None
