"""Write nets that were trained elsewhere to a zoo: what is known of each net, and its vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.errors import SITE, DataError, UsageError
from weightspace.interop.netnames import named
from weightspace.interop.spaces import space_of
from weightspace.networks import Layout
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.space import Choice, Space, Uniform
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Writer, Zoo, stratified
from weightspace.zoo.files.places import MANIFEST

_LONGEST_SOURCE = 4096  # characters, enough for any path
UNIT_BYTES = 2**26
UNIT_NETS = 256
LEAST_MOVE = 1e-6
"""A smaller change of a value counts as rounding."""

Vectors = Iterable[tuple[Layout, np.ndarray]]
LeftOut = Callable[[str, DataError], None]
"""Called as `left_out(net, error)` for a net that cannot be read."""


@dataclass(frozen=True)
class Arrival:
    """One net that was trained elsewhere.

    `source` is its place in the folder that is read. `recipe` contains the known hyper-parameters.
    `moments` has a row for each snapshot, in order, with what is known of step, epoch and metrics.
    `read` yields the layout and the vector (float32 [layout.size]) of each snapshot, in this order.
    `facts` are further columns of the table of nets.
    """

    source: str
    recipe: Mapping[str, Any]
    moments: Sequence[Mapping[str, Any]]
    read: Callable[[], Vectors]
    split: str | None = None
    name: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Where a zoo comes from: the format, its name and description, ranges of hyper-parameters."""

    format: str
    name: str
    description: str
    ranges: Mapping[str, Uniform] = field(default_factory=dict)


class Unreadable(DataError):
    """A net whose values cannot be read."""


class NoNet(DataError):
    """A file that turned out to be no net when it was read, which is no error of the user."""


@contextmanager
def sparing(net: str, left_out: LeftOut | None) -> Iterator[None]:
    """Leave out a net with which something is wrong, if `left_out` is given; else it is an error.

    Used where nets are listed. `settle` does the same where they are read.
    """
    try:
        yield
    except DataError as error:
        if left_out is None:
            raise
        left_out(net, error)


def settle(
    out: Path,
    arrivals: Sequence[Arrival],
    origin: Origin,
    left_out: LeftOut | None = None,
    progress: Progress = silent,
    no_net: LeftOut = lambda source, error: None,
) -> Zoo:
    """Write nets to the zoo at `out`: a new one, or one that the same call began.

    A net that cannot be read is an error, unless `left_out` is given, which is then called. A file
    that turns out to be no net is left out, and `no_net` is called with its source. Raises
    UsageError if `out` contains anything else, and DataError, before anything is written, if two
    nets have the same name, or if no net at all can be read.
    """
    if not arrivals:
        raise DataError(origin.name, "contains no nets", f"{SITE}interop/ shows the expected files")
    names = named([(arrival.name, arrival.source) for arrival in arrivals])
    space = space_of(origin.name, origin.description, [a.recipe for a in arrivals], origin.ranges)
    writer = _writer(out, space, origin, arrivals)
    there = set(Zoo(out).nets["net"])
    splits = _splits(space, arrivals)
    units, failures = _Units(writer), _Failures(left_out, no_net)
    try:
        for index, arrival in enumerate(arrivals):
            progress("importing nets", index, len(arrivals))
            if names[index] not in there:
                with failures.noted(names[index], arrival.source):
                    units.add(_Settler(names[index], index, splits[index], arrival))
    except Unreadable:
        units.flush()  # what was read stays
        raise
    units.flush()
    progress("importing nets", len(arrivals), len(arrivals))
    made = Zoo(out)
    if failures.first and not made.nets.height:
        why = f"{failures.first.cause}; none of {len(arrivals):,} nets can be read"
        raise failures.first.but(cause=why)
    return made


@dataclass
class _Failures:
    """What becomes of nets that cannot be read, and the first of the reasons."""

    left_out: LeftOut | None
    no_net: LeftOut
    first: DataError | None = None

    @contextmanager
    def noted(self, name: str, source: str) -> Iterator[None]:
        """Leave out a net, or the file that is no net; raise if nets must not be left out."""
        try:
            yield
        except NoNet as error:
            self.first = self.first or error
            self.no_net(source, error)
        except Unreadable as error:
            if self.left_out is None:
                raise
            self.first = self.first or error
            self.left_out(name, error)


def _writer(out: Path, space: Space, origin: Origin, arrivals: Sequence[Arrival]) -> Writer:
    told = [[a.source, a.split, dict(a.recipe), len(a.moments)] for a in arrivals]
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
    info = {
        "source": {"format": origin.format, "digest": digest},
        "snapshots": max(len(a.moments) for a in arrivals),
    }
    if (out / MANIFEST).exists():
        there = Zoo(out).meta["info"].get("source")
        if there != info["source"]:
            raise UsageError(
                out, "holds another zoo, not one of these nets", "choose another OUT or remove it"
            )
    return Writer(out, space=space, seed=0, info=info)


def _splits(space: Space, arrivals: Sequence[Arrival]) -> list[str]:
    """The split of each net: the given one, or one of every five consecutive nets is a test net."""
    found = [arrival.split for arrival in arrivals]
    without = [i for i, split in enumerate(found) if split is None]
    levels = np.full((len(without), len(space.properties)), -1, np.int64)
    for j, name in enumerate(space.properties):
        values: list[Any] = [arrivals[i].recipe.get(name) for i in without]
        known = [k for k, value in enumerate(values) if value is not None]
        distribution = space.distributions[name]
        assert isinstance(distribution, Choice | Uniform)
        levels[known, j] = distribution.levels([values[k] for k in known])
    for i, split in zip(without, stratified(levels, seed=0), strict=True):
        found[i] = split
    return [str(split) for split in found]


@dataclass
class _Settler:
    """A net that is to be written; its first vector is read to know the layout."""

    name: str
    index: int
    split: str
    arrival: Arrival

    def __post_init__(self) -> None:
        self._rest = self._read()
        self._head = list(islice(self._rest, 1))
        if not self._head:
            raise Unreadable(
                f"net {self.name} ({printable(self.arrival.source)})", "has no snapshot"
            )
        self.layout = self._head[0][0]

    @property
    def bytes(self) -> int:
        return 4 * self.layout.size * len(self.arrival.moments)

    def hold(self) -> None:
        """Read all vectors now."""
        self._head += list(self._rest)

    def vectors(self) -> Iterator[np.ndarray]:
        return (vector for _, vector in chain(self._head, self._rest))

    def _read(self) -> Iterator[tuple[Layout, np.ndarray]]:
        """Read from the arrival; its errors are distinguished from errors of writing."""
        who = f"net {self.name} ({printable(self.arrival.source)})"
        first = None
        try:
            for number, (layout, vector) in enumerate(self.arrival.read(), 1):
                first = first or layout
                if layout.key != first.key:
                    raise Unreadable(
                        who,
                        f"snapshot {number} has other tensors than the first, {layout.size:,} "
                        f"values and not {first.size:,}",
                        "move it elsewhere",
                    )
                yield layout, vector
        except NoNet:
            raise
        except DataError as error:
            known = error.cause.startswith("net ") or who in str(error)
            cause = error.cause if known else f"net {self.name}: {error.cause}"
            raise Unreadable(error.thing, cause, error.remedy) from None


class _Units:
    """Groups nets of one layout into stacks of a convenient size and writes them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: dict[str, list[_Settler]] = {}

    def add(self, net: _Settler) -> None:
        """Add a net; full stacks are written."""
        if net.bytes > UNIT_BYTES:
            self._write([net])  # too large for memory
            return
        net.hold()
        group = self._open.setdefault(net.layout.key, [])
        group.append(net)
        if len(group) >= UNIT_NETS or sum(n.bytes for n in group) > UNIT_BYTES:
            self._write(self._open.pop(net.layout.key))
        elif sum(n.bytes for other in self._open.values() for n in other) > 4 * UNIT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the nets that wait."""
        while self._open:
            self._write(self._open.popitem()[1])

    def _write(self, group: list[_Settler]) -> None:
        names = [net.name for net in group]
        snapshots = max(len(net.arrival.moments) for net in group)
        digest = hashlib.blake2b("\n".join(names).encode(), digest_size=6).hexdigest()
        layout = group[0].layout
        name = f"unit-{digest}"
        with self._writer.unit(name, nets=names, layout=layout, snapshots=snapshots) as unit:
            rows, moments = [], []
            for net in group:
                history = _History(layout)
                for number, (vector, row) in enumerate(
                    zip(net.vectors(), net.arrival.moments, strict=True), 1
                ):
                    unit.put(net.name, number, vector)
                    history.see(vector, row.get("step"))
                    known = {"step": None, "epoch": None} | dict(row)
                    moments.append({"net": net.name, "snapshot": number} | known)
                rows.append(_row(net, history))
            unit.commit(nets=rows, snapshots=moments)


class _History:
    """What the vectors of a net show about its training."""

    def __init__(self, layout: Layout) -> None:
        self._trainable = layout.select(running_stats=False)
        self._first: list[np.ndarray] = []
        self.count = 0
        self.moved = False
        self.diverged = False
        self.diverged_step: int | None = None

    def see(self, vector: np.ndarray, step: int | None) -> None:
        self.count += 1
        own = [vector[start:stop] for start, stop in self._trainable]
        if self.count == 1:
            self._first = [part.copy() for part in own]
        self.moved = self.moved or any(map(_differ, own, self._first))
        if not self.diverged and not np.isfinite(vector).all():
            self.diverged, self.diverged_step = True, step


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        return not np.abs(one - other).max(initial=0.0) <= LEAST_MOVE


def _row(net: _Settler, history: _History) -> dict[str, Any]:
    recipe = net.arrival.recipe
    steps = [row.get("step") for row in net.arrival.moments]
    # Whether a net that changed stayed at chance accuracy is not known here.
    dead = True if history.count > 1 and not history.moved else None
    return {
        "net": net.name,
        "index": net.index,
        "split": net.split,
        **{name: recipe.get(name) for name in FIELDS},
        "steps": steps[-1],
        "diverged": history.diverged,
        "diverged_step": history.diverged_step,
        "dead": dead,
        "source": printable(net.arrival.source, _LONGEST_SOURCE),
        **net.arrival.facts,
    }
