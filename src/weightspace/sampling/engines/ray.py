"""Train stacks on the nodes of a Ray cluster: each is one task, and enters the zoo once."""

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
"""How often a stack is started before the run fails, because nodes can die."""

POLL_SECONDS = 0.2
GRACE_SECONDS = 3
PATIENCE_SECONDS = 300
"""How many seconds a cluster may have no node that can train."""


@contextmanager
def cluster(address: str | None, workers: int | None, via: str) -> Iterator[Ray]:
    """The engine of the cluster at `address`, or of one found or else started on this machine."""
    with connected(address) as api:
        yield Ray(api, workers, via)


@dataclass(frozen=True)
class Ray:
    """A connected cluster; made by `cluster`.

    `asked` stacks train at the same time, or as many as there are CPUs or GPUs. `via` says how
    stacks reach the zoo: "auto" (nodes that see its folder write into it, the others send to this
    process), "driver" (all send to this process), or an fsspec URL to which all write.
    """

    here: ClassVar[bool] = False
    api: Any
    asked: int | None
    via: str

    def device(self, asked: str) -> str:
        """The device of stacks: GPUs if the cluster has any, unless `asked` is cpu."""
        check_device(asked)
        if asked == "cuda" and not self._slots("cuda"):
            raise UsageError("device", "no node of the cluster has a GPU", 'use `device="cpu"`')
        return "cuda" if asked != "cpu" and self._slots("cuda") else "cpu"

    def workers(self, device: str) -> int:
        """How many units train at once."""
        return self.asked or max(self._slots(device), 1)

    def calibrate(self, recipes: Sequence[Recipe], device: str) -> dict[str, Pace]:
        """Measure stack sizes and seconds of a step on one of the nodes."""
        task = self._remote(node.measure, device, max_retries=ATTEMPTS - 1)
        try:
            found: dict[str, Pace] = self.api.get(
                task.remote(named(recipes), list(recipes), device, node.versions())
            )
        except self.api.exceptions.RayError as error:
            cause = _of_ray(error, self.api.exceptions)
            raise DataError("calibration", f"failed on the cluster ({first_line(cause)})") from None
        return found

    def train(self, work: Work, progress: Progress) -> None:
        """Train every stack, again if its node died; the first other failure stops the run."""
        if work.units:
            with _probe(work, self.via) as probe:
                _Tasks(self, work, probe, Bar(work, progress)).run()

    def _slots(self, device: str) -> int:
        kind = "GPU" if device == "cuda" else "CPU"
        return int(self.api.cluster_resources().get(kind, 0))

    def _remote(self, function: Any, device: str, **options: Any) -> Any:
        gpus = 1 if device == "cuda" else 0
        return self.api.remote(num_cpus=1, num_gpus=gpus, **options)(function)


class _Tasks:
    """The tasks of one run: starts them, and handles their results and failures."""

    def __init__(
        self, cluster: Ray, work: Work, probe: node.SharedFolderProbe | None, bar: Bar
    ) -> None:
        self.cluster, self.api, self.work, self.bar = cluster, cluster.api, work, bar
        device = work.job.device
        self.depot = None
        if cluster.via not in ("auto", "driver"):
            self.depot = Depot.of(cluster.via, run_facts(work))
        self.waiting = deque(self._not_left_there())
        self.attempts = dict.fromkeys((unit.name for unit in work.units), 0)
        self.under_way: dict[Any, tuple[Unit, list[Any]]] = {}
        self.seen_slots = time.monotonic()
        spec = node.TaskSpec(
            secrets.token_hex(8),
            work.job,
            twin(work.writer, work.writer.path.absolute()),
            probe,
            self.depot,
            node.versions(),
        )
        self.spec, self.images = self.api.put(spec), self.api.put(dict(work.pool.sets))
        del work.pool  # the nodes hold their own
        self.task = cluster._remote(node.run_task, device, max_retries=0)
        here = self.api.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self.api.get_runtime_context().get_node_id(), soft=False
        )
        remote = self.api.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self.actor = remote(node.ProgressActor).remote()
        self.news = self.actor.news.remote()

    def run(self) -> None:
        """Keep the cluster busy until every stack is in the zoo."""
        try:
            while self.waiting or self.under_way:
                self._begin()
                tasks = list(self.under_way)
                done, _ = self.api.wait(tasks, num_returns=len(tasks), timeout=0)
                for first in done:
                    self._end(*self.under_way.pop(first))
                self._hear()
                # Not `ray.wait` with a timeout: a signal during it becomes exit code 1.
                time.sleep(POLL_SECONDS)
        finally:
            self._cancel()
        missing = {unit.name for unit in self.work.units} - self.work.writer.finished
        if missing:
            raise DataError(
                self.work.writer.path,
                f"{min(missing)} was written by a node, but is missing here",
                'run the same command again, with `via="driver"` if this repeats',
            )

    def _cancel(self) -> None:
        """Cancel running tasks: first with a request, so that they can clean up, then by force."""
        tasks = list(self.under_way)
        with suppress(Exception):  # the caller must get the error that ended the run
            for force in (False, True):
                for task in tasks:
                    self.api.cancel(task, force=force)
                if tasks:
                    _, tasks = self.api.wait(tasks, num_returns=len(tasks), timeout=GRACE_SECONDS)

    def _not_left_there(self) -> Iterator[Unit]:
        """The stacks to train: all except those that an earlier run wrote to the depot."""
        there = self.depot.units() if self.depot else set()
        for unit in self.work.units:
            if self.depot and unit.name in there:
                # A damaged stack is trained again, and then replaced.
                with suppress(DataError):
                    self.depot.take(unit, self.work.writer, self.work.job.count)
                    self.bar(unit.name, 1.0, before=1.0)
                    continue
            yield unit

    def _begin(self) -> None:
        """Give Ray some more tasks than it can run, so that no node waits for this loop."""
        slots = self.cluster._slots(self.work.job.device)
        now = time.monotonic()
        if slots:
            self.seen_slots = now
        elif now - self.seen_slots > PATIENCE_SECONDS:
            raise DataError(
                "cluster",
                f"has had no node that can train for {PATIENCE_SECONDS} seconds",
                "finished nets are kept, run the same command when it has",
            )
        most = self.cluster.asked or 2 * slots + 8
        while self.waiting and len(self.under_way) < most:
            unit = self.waiting.popleft()
            self.attempts[unit.name] += 1
            task = self.task.options(num_returns=1 + len(unit.recipes), name=unit.name)
            first, *rest = task.remote(self.spec, self.images, unit, self.actor)
            self.under_way[first] = (unit, [first, *rest])

    def _end(self, unit: Unit, results: list[Any]) -> None:
        """Commit the stack of a finished task to the zoo, or start it again."""
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
        """Start a stack again, unless it is in the zoo or has failed too often."""
        if unit.name in self.work.writer.finished:
            self.bar(unit.name, 1.0)
        elif self.attempts[unit.name] < ATTEMPTS:
            self.waiting.appendleft(unit)
        else:
            raise DataError(
                unit.name,
                f"failed {ATTEMPTS} times on the cluster, the last time because: "
                f"{first_line(error)}",
                "finished nets are kept, run the same command to continue, with fewer `workers=` "
                "if the nodes are short of memory",
            )

    def _hear(self) -> None:
        """Show the latest progress, if the actor has answered; ignore an actor that died."""
        ready, _ = self.api.wait([self.news], timeout=0)
        if ready:
            with suppress(self.api.exceptions.RayError):
                for unit, said in self.api.get(self.news).items():
                    self.bar(unit, *said)
            self.news = self.actor.news.remote()


@contextmanager
def _probe(work: Work, via: str) -> Iterator[node.SharedFolderProbe | None]:
    """Write a file into the zoo's folder for the time of the run, by which nodes recognise it."""
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
        yield node.SharedFolderProbe(file.place, secret)
    finally:
        file.discard()


def _of_ray(error: Any, errors: Any) -> Exception:
    """The failure of Ray (a node or worker died, data were lost); other errors are raised."""
    cause: Exception = error.cause if isinstance(error, errors.RayTaskError) else error
    by_ray: type[Exception] = errors.RayError
    if not isinstance(cause, by_ray):
        raise cause from error  # as it was raised in the task
    if "No module named" in str(cause):
        raise DataError(
            "a node of the cluster",
            f"is not prepared ({first_line(cause)})",
            "install what is missing there, weightspace in the version that starts the run",
        ) from None
    return cause
