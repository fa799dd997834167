"""Units on the nodes of a Ray cluster: each is one task, and comes into the zoo once."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from weightspace.disk import InnerPath, Temporary, remove_leftovers
from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress
from weightspace.sampling.calibration import Pace
from weightspace.sampling.engines import node
from weightspace.sampling.engines.connection import connected, first_line
from weightspace.sampling.engines.depot import Depot
from weightspace.sampling.engines.engine import Bar, Work, run_facts
from weightspace.sampling.engines.local import check_device
from weightspace.sampling.plan import Unit
from weightspace.space import Recipe
from weightspace.training import named
from weightspace.zoo.writing.parcel import accept, twin

ATTEMPTS = 5
"""How often a unit is begun before it is given up: nodes die, but not under every unit."""

POLL_SECONDS = 0.2
GRACE_SECONDS = 3
PATIENCE_SECONDS = 300
"""How long a cluster may be without any node that could train."""


@contextmanager
def cluster(address: str | None, workers: int | None, via: str) -> Iterator[Ray]:
    """The engine of the cluster at `address`, or of one found or else started on this machine."""
    with connected(address) as api:
        yield Ray(api, workers, via)


@dataclass(frozen=True)
class Ray:
    """A cluster that is connected; made by `cluster`.

    `asked` units train at once, or as many as there are CPUs or GPUs. `via` says how units reach
    the zoo: "auto" (nodes that see its folder write there, others send to this process), "driver"
    (all send to this process), or an fsspec URL where all leave them.
    """

    here: ClassVar[bool] = False
    api: Any
    asked: int | None
    via: str

    def device(self, asked: str) -> str:
        """What units train on: GPUs where the cluster has any, unless `asked` says cpu."""
        check_device(asked)
        if asked == "cuda" and not self._slots("cuda"):
            raise UsageError("device: no node of the cluster has a GPU; use --device cpu")
        return "cuda" if asked != "cpu" and self._slots("cuda") else "cpu"

    def workers(self, device: str) -> int:
        """How many units train at once."""
        return self.asked or max(self._slots(device), 1)

    def calibrate(self, recipes: Sequence[Recipe], device: str) -> dict[str, Pace]:
        """Stack sizes and seconds a step, measured on one of the nodes."""
        task = self._remote(node.measure, device, max_retries=ATTEMPTS - 1)
        try:
            found: dict[str, Pace] = self.api.get(
                task.remote(named(recipes), list(recipes), device, node.versions())
            )
        except self.api.exceptions.RayError as error:
            cause = _of_ray(error, self.api.exceptions)
            raise DataError(f"calibration: failed on the cluster ({first_line(cause)})") from None
        return found

    def train(self, work: Work, progress: Progress) -> None:
        """Train every unit, units of nodes that died again; the first other failure stops it."""
        if work.units:
            with _beacon(work, self.via) as beacon:
                _Flights(self, work, beacon, Bar(work, progress)).run()

    def _slots(self, device: str) -> int:
        kind = "GPU" if device == "cuda" else "CPU"
        return int(self.api.cluster_resources().get(kind, 0))

    def _remote(self, function: Any, device: str, **options: Any) -> Any:
        gpus = 1 if device == "cuda" else 0
        return self.api.remote(num_cpus=1, num_gpus=gpus, **options)(function)


class _Flights:
    """The tasks of one run: which are under way, and what becomes of each."""

    def __init__(self, cluster: Ray, work: Work, beacon: node.Beacon | None, bar: Bar) -> None:
        self.cluster, self.api, self.work, self.bar = cluster, cluster.api, work, bar
        device = work.job.device
        self.depot = None
        if cluster.via not in ("auto", "driver"):
            self.depot = Depot.of(cluster.via, run_facts(work))
        self.waiting = deque(self._not_left_there())
        self.attempts = dict.fromkeys((unit.name for unit in work.units), 0)
        self.under_way: dict[Any, tuple[Unit, list[Any]]] = {}
        self.seen_slots = time.monotonic()
        told = node.Errand(
            secrets.token_hex(8),
            work.job,
            twin(work.writer, work.writer.path.absolute()),
            beacon,
            self.depot,
            node.versions(),
        )
        self.told, self.images = self.api.put(told), self.api.put(dict(work.pool.sets))
        del work.pool  # the nodes hold their own
        self.errand = cluster._remote(node.errand, device, max_retries=0)
        here = self.api.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self.api.get_runtime_context().get_node_id(), soft=False
        )
        board = self.api.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(node.Board)
        self.board = board.remote()
        self.news = self.board.news.remote()

    def run(self) -> None:
        """Keep the cluster busy until every unit is in the zoo."""
        try:
            while self.waiting or self.under_way:
                self._begin()
                tasks = list(self.under_way)
                done, _ = self.api.wait(tasks, num_returns=len(tasks), timeout=0)
                for first in done:
                    self._end(*self.under_way.pop(first))
                self._hear()
                # Ray could wait by itself, but turns a signal that it gets then into exit code 1.
                time.sleep(POLL_SECONDS)
        finally:
            self._cancel()
        missing = {unit.name for unit in self.work.units} - self.work.writer.finished
        if missing:
            raise DataError(
                f"{self.work.writer.path}: {min(missing)} was written by a node and is not to be "
                "seen here; run the same command again, with --via driver if it stays so"
            )

    def _cancel(self) -> None:
        """End what is under way: asked first, so that it can clean up behind itself."""
        tasks = list(self.under_way)
        with suppress(Exception):  # why the run ends is what the caller must hear
            for force in (False, True):
                for task in tasks:
                    self.api.cancel(task, force=force)
                if tasks:
                    _, tasks = self.api.wait(tasks, num_returns=len(tasks), timeout=GRACE_SECONDS)

    def _not_left_there(self) -> Iterator[Unit]:
        """The units to train: all but those that an earlier run left at the depot."""
        there = self.depot.units() if self.depot else set()
        for unit in self.work.units:
            if self.depot and unit.name in there:
                # What cannot be used is trained again, and then replaced.
                with suppress(DataError):
                    self.depot.take(unit, self.work.writer, self.work.job.count)
                    self.bar(unit.name, 1.0, before=1.0)
                    continue
            yield unit

    def _begin(self) -> None:
        """Keep some more tasks with Ray than it can run, so that no node waits for this loop."""
        slots = self.cluster._slots(self.work.job.device)
        now = time.monotonic()
        if slots:
            self.seen_slots = now
        elif now - self.seen_slots > PATIENCE_SECONDS:
            raise DataError(
                f"cluster: has had no node that can train for {PATIENCE_SECONDS} seconds; finished "
                "nets are kept, run the same command when it has"
            )
        most = self.cluster.asked or 2 * slots + 8
        while self.waiting and len(self.under_way) < most:
            unit = self.waiting.popleft()
            self.attempts[unit.name] += 1
            task = self.errand.options(num_returns=1 + len(unit.recipes), name=unit.name)
            first, *rest = task.remote(self.told, self.images, unit, self.board)
            self.under_way[first] = (unit, [first, *rest])

    def _end(self, unit: Unit, results: list[Any]) -> None:
        """Bring a unit whose task has ended into the zoo, or let it begin again."""
        errors = self.api.exceptions
        try:
            parcel = self.api.get(results[0])
            if parcel is not None:
                accept(self.work.writer, parcel, map(self.api.get, results[1:]))
            elif self.depot:
                self.depot.take(unit, self.work.writer, self.work.job.count)
        except errors.RayError as error:
            self._again(unit, _of_ray(error, errors))
        else:
            self.bar(unit.name, 1.0)

    def _again(self, unit: Unit, error: Exception) -> None:
        """Let a unit begin again, unless it is in the zoo all the same or has failed too often."""
        if unit.name in self.work.writer.finished:
            self.bar(unit.name, 1.0)
        elif self.attempts[unit.name] < ATTEMPTS:
            self.waiting.appendleft(unit)
        else:
            raise DataError(
                f"{unit.name}: failed {ATTEMPTS} times on the cluster, the last time because: "
                f"{first_line(error)}; finished nets are kept, run the same command to continue, "
                "with fewer --workers if the nodes are short of memory"
            )

    def _hear(self) -> None:
        """Show the latest news, if the board has answered; a board that died is missed by none."""
        ready, _ = self.api.wait([self.news], timeout=0)
        if ready:
            with suppress(self.api.exceptions.RayError):
                for unit, said in self.api.get(self.news).items():
                    self.bar(unit, *said)
            self.news = self.board.news.remote()


@contextmanager
def _beacon(work: Work, via: str) -> Iterator[node.Beacon | None]:
    """A file in the zoo's folder, for as long as the run lasts, by which nodes know the folder."""
    if via != "auto":
        yield None
        return
    path = InnerPath(work.writer.path.absolute())
    remove_leftovers(path, "beacon")
    secret = secrets.token_bytes(16)
    file = Temporary(path / "beacon", len(secret))
    try:
        file.write(secret, 0)
        file.sync()
        yield node.Beacon(file.place, secret)
    finally:
        file.discard()


def _of_ray(error: Any, errors: Any) -> Exception:
    """What failed, if it was Ray: a node or worker died, something was lost; else it is raised."""
    cause: Exception = error.cause if isinstance(error, errors.RayTaskError) else error
    by_ray: type[Exception] = errors.RayError
    if not isinstance(cause, by_ray):
        raise cause from error  # as it was raised in the task
    if "No module named" in str(cause):
        raise DataError(
            f"a node of the cluster is not prepared ({first_line(cause)}); install what is "
            "missing there, weightspace in the version that starts the run"
        ) from None
    return cause
