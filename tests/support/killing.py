"""What is done to a zoo, and how it is killed at any of the steps that change the disk.

`killed_at(n)` lets n such calls of the system pass; the next takes half effect, if it can, and it
and all that follow raise: nothing is tidied up, as after SIGKILL.
`python killing.py N TASK ARGUMENTS` really kills itself there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from support.small_units import SPACE, flat, moment, net_row
from weightspace.space import Recipe
from weightspace.zoo import Round, Writer, merge, repair
from weightspace.zoo.files.shard import digest

SIZE, SNAPSHOTS = 6, 2
_CHANGES = ("open", "pwrite", "fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir")


class KilledError(BaseException):
    """The end of a process that does not end."""


@contextmanager
def killed_at(count: int, really: bool = False) -> Iterator[Callable[[], int]]:
    """Be killed at the change after `count` of them; what is open is closed, as the system does.

    Gives a function that says how many changes there were.
    """
    true = {name: getattr(os, name) for name in (*_CHANGES, "close")}
    left, held = count, set()

    def changing(name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if name == "open" and not arguments[1] & os.O_CREAT:
                descriptor = true["open"](*arguments, **options)
                held.add(descriptor)
                return descriptor
            left -= 1
            if left < 0:
                if left == -1 and name == "pwrite":
                    descriptor, data, offset = arguments
                    true["pwrite"](descriptor, data[: len(data) // 2], offset)
                if really:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise KilledError
            done = true[name](*arguments, **options)
            if name == "open":
                held.add(done)
            return done

        return call

    def close(descriptor: int) -> None:
        held.discard(descriptor)
        true["close"](descriptor)

    for name in _CHANGES:
        setattr(os, name, changing(name))
    os.close = close
    try:
        yield lambda: count - left
    finally:
        for name, function in true.items():
            setattr(os, name, function)
        for descriptor in held:
            with suppress(OSError):
                os.close(descriptor)


def recipe(number: int) -> Recipe:
    return Recipe(dataset="digits", seed=number)


def vector(number: int, snapshot: int) -> np.ndarray:
    return np.random.default_rng([number, snapshot]).normal(size=SIZE).astype("f4")


def unit_of(numbers: list[int]) -> str:
    """The same nets are the same unit."""
    return f"unit-{digest(' '.join(map(str, numbers)).encode())}"


def write(path: str, number: int, all_nets: list[int], numbers: list[int], save_at: int) -> None:
    """Bring these nets into the zoo as a unit, which goes on from a state that it finds."""
    writer = Writer(path, space=SPACE, seed=0, info={"snapshots": SNAPSHOTS})
    writer.begin(number, Round.of(all_nets, {}, {}))
    name = unit_of(numbers)
    if name in writer.finished:
        return
    pairs = [(n, k) for n in numbers for k in range(1, SNAPSHOTS + 1)]
    nets = [recipe(n).net for n in numbers]
    arguments: dict[str, Any] = {"nets": nets, "layout": flat(SIZE), "snapshots": SNAPSHOTS}
    with writer.unit(name, going_on=True, **arguments) as unit:
        first = int(unit.saved.facts["next"]) if unit.saved else 0
        for at, (n, k) in enumerate(pairs[first:], first):
            unit.put(recipe(n).net, k, vector(n, k))
            if at == save_at:
                unit.save({"next": np.array([at + 1])}, {"next": at + 1})
        unit.commit(
            nets=[net_row(recipe(n), n) for n in numbers],
            snapshots=[moment(recipe(n).net, k) for n, k in pairs],
        )


def repaired_until(renames: int, path: Path) -> None:
    """Repair a zoo in a process of its own, which ends at the rename after so many."""
    left = renames

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        left -= event == "os.rename"
        if left < 0:
            os._exit(9)

    sys.addaudithook(hear)
    repair(path)


TASKS = {
    "write": write,
    "merge": lambda out, other: merge(out, [other]),
    "repair": repair,
}

if __name__ == "__main__":
    from weightspace.zoo import Zoo, check  # noqa: F401 - nothing is imported where it may be killed

    with killed_at(int(sys.argv[1]), really=True):
        TASKS[sys.argv[2]](*json.loads(sys.argv[3]))
    Path(os.devnull).touch()
