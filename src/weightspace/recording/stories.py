"""What is kept of a run that is not over: beside its vectors, in the state of its stack."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.recording.recipes import Known
from weightspace.recording.register import split_of
from weightspace.zoo import UnitWriter, Writer
from weightspace.zoo.files import places
from weightspace.zoo.format import states
from weightspace.zoo.format.states import Saved

Story = dict[str, Any]
"""The name, number, recipe, planned and kept snapshots of a run, as plain JSON values."""
VERSION = 1
_TAKES = {"net": str, "index": int, "split": str, "layout": str, "marks": list, "rows": list}
_TAKES |= {"recipe": dict, "facts": dict, "diverged": bool}


def unit_of(name: str) -> str:
    """The name of the stack of a run: lower case, and with a hash, as names may differ in case.

    >>> unit_of("A.1")
    'run-a-1-8ccfea86'
    """
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "net"
    return f"run-{word}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def begun(name: str, known: Known, marks: tuple[int, ...], total: int | None) -> Story:
    """The story of a new run, which has no number yet."""
    return {
        "recorded": VERSION,
        "net": name,
        "recipe": dict(known.recipe),
        "facts": dict(known.facts),
        "marks": list(marks),
        "total": total,
        "rows": [],
        "diverged": False,
        "diverged_step": None,
    }


def numbered(story: Story, index: int, layout: Layout) -> Story:
    """The story of a new run with its place in the zoo."""
    return story | {"index": index, "split": split_of(index), "layout": layout.key}


def continued(story: Story, step: int | None, total: int | None, told: Mapping[str, Any]) -> Story:
    """The story of a stopped run that goes on at `step`; UsageError if it cannot be told how."""
    who = f"run {story['net']}"
    last = story["rows"][-1]["step"] if story["rows"] else 0
    if step is None or (step == 0 and last > 0):
        raise UsageError(
            who,
            f"was stopped; its last snapshot is of step {last:,}",
            "to continue, restore your checkpoint and give its steps as `step=`; or commit what is "
            f"there with recorder.finish({story['net']!r}), or drop it with recorder.discard(...)",
        )
    if total is not None and total != story["total"]:
        raise UsageError(
            who, f"began with total_steps={story['total']}, not {total}", "give the same number"
        )
    there = {**story["facts"], **story["recipe"]}
    for name, value in told.items():
        if value is not None and name in there and there[name] != value:
            raise UsageError(
                who, f"began with {name}={there[name]!r}, not {value!r}", "give another `name=`"
            )
    return story


def read(path: Path, unit: str) -> Story | None:
    """The story of a stack that is not finished; None if there is none, DataError if damaged."""
    saved = states.read(path, unit)
    return None if saved is None else told(saved, path, unit)


def told(saved: Saved, path: Path, unit: str) -> Story:
    """The story in the state of a stack that is not finished; DataError if it is none."""
    story = dict(saved.facts)
    sound = story.get("recorded") == VERSION and all(
        isinstance(story.get(name), kind) for name, kind in _TAKES.items()
    )
    if not sound or unit_of(story["net"]) != unit:
        raise DataError(
            places.part(path, places.STATES, unit),
            "is no state of a recorded run that this version can continue",
            "continue it with the version that began it, or delete it",
        )
    return story


def not_ended(path: Path) -> list[str]:
    """The runs of a zoo that are not in it yet, as far as their states can be read."""
    names = []
    for unit in places.units(path, places.STATES):
        try:
            story = None if is_in(path, unit) else read(path, unit)
        except DataError:
            continue
        names += [story["net"]] if story else []
    return names


def find(writer: Writer, name: str) -> Story | None:
    """The story of a run of this name; None if there is none.

    UsageError if it is in the zoo already, or is being recorded.
    """
    unit = unit_of(name)
    if is_in(writer.path, unit):
        states.remove(writer.path, unit)  # it is needed no more
        raise UsageError(f"run {name}", f"is in {writer.path} already", "give another `name=`")
    if is_recorded(writer.path, unit):
        raise UsageError(
            f"run {name}",
            f"another process, or another run of this one, is recording it in {writer.path}",
            "give another `name=`",
        )
    return read(writer.path, unit)


def is_in(path: Path, unit: str) -> bool:
    """Whether the run of this stack is in the zoo."""
    return disk.exists(places.part(path, places.NETS, unit))


def is_recorded(path: Path, unit: str) -> bool:
    """Whether a living process is recording this stack."""
    files = disk.temporaries(InnerPath(path) / places.SHARDS)
    return any(f.name.split(".")[1] == unit and disk.is_being_written(f) for f in files)


def opened(writer: Writer, story: Story, layout: Layout) -> UnitWriter:
    """The open stack of a run; DataError if vectors that it kept are damaged."""
    name = story["net"]
    stack = writer.unit(
        unit_of(name), nets=[name], layout=layout, snapshots=len(story["marks"]), going_on=True
    )
    stack.__enter__()
    if story["rows"] and stack.saved is None:
        trouble = stack.trouble or "its snapshots are missing"
        stack.__exit__(None, None, None)
        writer.drop(stack.name)
        raise DataError(
            f"run {name}", f"cannot be continued ({trouble})", "begin it again from its first step"
        )
    return stack
