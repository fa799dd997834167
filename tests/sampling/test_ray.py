"""Units on the nodes of a Ray cluster, some of which die, make the zoo that one machine makes."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from support import own_nets
from support.tiny_runs import TINY, continued, same, small, stacks_of
from weightspace.errors import DataError, UsageError
from weightspace.sampling import estimate, sample
from weightspace.sampling.calibration import Pace
from weightspace.sampling.engines import local
from weightspace.sampling.engines import ray as engine
from weightspace.zoo import Zoo, check

pytest.importorskip("ray")

LONGER = TINY.with_constants(epochs=40)


class Machines:
    """A head that trains nothing, and nodes of one CPU each that can be killed and replaced."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        # A dead node is to be noticed in seconds, not in half a minute.
        noticing = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000}
        head = {"num_cpus": 0, "_system_config": noticing}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self.cluster.address
        self.nodes: list[Any] = []
        self.complete()
        # One connection for all tests, so that worker processes are used again.
        ray.init(address=self.address, log_to_driver=False)
        self.disconnect = ray.shutdown

    def complete(self) -> None:
        """Two nodes, whatever happened to those before."""
        while len(self.nodes) < 2:
            self.nodes.append(self.cluster.add_node(num_cpus=1))
        self.until(2)

    def until(self, count: int) -> None:
        """Wait until the cluster knows so many nodes; it notices late that one has died."""
        end = time.monotonic() + 60
        while self._alive() != count:
            assert time.monotonic() < end
            time.sleep(0.1)

    def _alive(self) -> int:
        table = self.cluster.global_state.node_table()
        return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in table)

    def processes(self, at: int = 0) -> list[psutil.Process]:
        """The processes of a node: its raylet, then workers and helpers."""
        raylet = psutil.Process(self.nodes[at].all_processes["raylet"][0].process.pid)
        return [raylet, *raylet.children(recursive=True)]

    def training(self, at: int = 0) -> list[psutil.Process]:
        """The workers of a node that are training a unit at this moment."""
        return [p for p in self.processes(at) if "ray::unit-" in " ".join(command(p))]

    def kill_a_node(self, at: int = 0) -> None:
        """All at once and without a word, as when a machine loses its power."""
        for process in self.processes(at):
            process.kill()
        self.nodes.pop(at).all_processes["raylet"][0].process.wait()


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.disconnect()
    made.cluster.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Sampled by this process, in stacks of two: a dozen units."""
    with stacks_of(2):
        return small(tmp_path_factory.mktemp("ray") / "zoo")


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The same with units that train for a second or so: something to interrupt."""
    with stacks_of(2):
        out = tmp_path_factory.mktemp("ray") / "longer"
        return sample(LONGER, nets=16, out=out, snapshots=5, workers=1)


@pytest.fixture
def arrivals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units that nodes sent to this process."""
    seen: list[str] = []
    real = engine.accept

    def accept(writer: Any, parcel: Any, stacks: Any) -> None:
        seen.append(parcel.unit)
        real(writer, parcel, stacks)

    monkeypatch.setattr(engine, "accept", accept)
    return seen


def begun(out: Path, like: Zoo) -> Path:
    out.mkdir()
    continued(out, like)
    return out


def equal_files(one: Path, other: Path) -> bool:
    names = [{p.relative_to(z) for p in z.rglob("*") if p.is_file()} for z in (one, other)]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )


@pytest.mark.parametrize(
    "via", [*(pytest.param(one, marks=pytest.mark.slow) for one in ("auto", "driver")), "url"]
)
def test_a_cluster_makes_the_same_files_as_one_process(
    machines: Machines, whole: Zoo, tmp_path: Path, via: str, arrivals: list[str]
) -> None:
    out = begun(tmp_path / "zoo", whole)
    how = f"file://{tmp_path}/depot" if via == "url" else via
    told: list[float] = []
    small(
        out,
        workers=None,
        engine="ray",
        address=machines.address,
        via=how,
        progress=lambda task, done, total: told.append(done / total),
    )
    assert equal_files(out, whole.path)
    assert check(out, full=True) == []
    units = len(list((whole.path / "nets").iterdir()))
    assert len(arrivals) == (units if via == "driver" else 0)
    assert len(list((tmp_path / "depot").rglob("unit-*.tar"))) == (units if via == "url" else 0)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("via", ["auto", "url"])
def test_the_text_of_a_module_travels_to_the_nodes(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    paces = {f"2^{k}": Pace(2, 0.001, True) for k in range(6, 40)}
    monkeypatch.setattr(local, "calibrate", lambda recipes, device: paces)
    space = TINY.with_constants(initialization="module", filter_size=3)
    options = {"nets": 8, "snapshots": 3, "module": f"{own_nets.__file__}:dropped"}
    whole = sample(space, out=tmp_path / "whole", workers=1, **options)
    out = begun(tmp_path / "zoo", whole)
    how = f"file://{tmp_path}/depot" if via == "url" else via
    sample(space, out=out, engine="ray", address=machines.address, via=how, **options)
    assert equal_files(out, whole.path)
    assert set(whole.nets["architecture"]) == {"own_nets.py:dropped"}


@pytest.mark.slow
@pytest.mark.parametrize("via", ["auto", "driver"])
def test_a_node_that_dies_while_it_trains_costs_nothing_but_time(
    machines: Machines,
    longer: Zoo,
    tmp_path: Path,
    via: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    machines.complete()
    out = begun(tmp_path / "zoo", longer)
    killed: list[int] = []

    def kill_a_node(task: str, done: float, total: float) -> None:
        # One node may be between two units, and so may both for a moment.
        until = time.monotonic() + 0.5
        while done >= 2 and not killed and time.monotonic() < until:
            for at in (0, 1):
                if not killed and (busy := machines.training(at)):
                    killed.append(busy[0].pid)
                    machines.kill_a_node(at)

    zoo = sample(
        LONGER,
        nets=16,
        out=out,
        snapshots=5,
        engine="ray",
        address=machines.address,
        via=via,
        progress=kill_a_node,
    )
    assert killed
    assert same(zoo, longer)
    assert zoo.nets.sort("index")["net"].to_list() == longer.nets.sort("index")["net"].to_list()
    assert [finding for finding in check(out, full=True) if finding.severity == "error"] == []
    # That a node is gone Ray may say itself, where it notices by missed heartbeats: no more.
    said = "".join(capfd.readouterr())
    assert "raylet" not in re.sub(
        r"\(raylet\).* marked dead .*?busy workload\.", "", said, flags=re.S
    )


@pytest.mark.slow
def test_what_lies_at_the_url_is_not_trained_again(
    machines: Machines, whole: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.complete()
    options = {
        "workers": None,
        "engine": "ray",
        "address": machines.address,
        "via": f"file://{tmp_path}/depot",
    }
    small(begun(tmp_path / "lost", whole), **options)
    shutil.rmtree(tmp_path / "lost")
    damaged = next((tmp_path / "depot").rglob("unit-*.tar"))
    damaged.write_bytes(damaged.read_bytes()[:3000])
    begin = engine._Tasks._begin
    trained: list[set[str]] = []

    def watch(flights: Any) -> None:
        trained.append({unit.name for unit in flights.waiting})
        begin(flights)

    monkeypatch.setattr(engine._Tasks, "_begin", watch)
    again = small(begun(tmp_path / "zoo", whole), **options)
    assert trained[0] == {damaged.stem}
    assert equal_files(again.path, whole.path)


@pytest.mark.slow
def test_nodes_train_on_the_images_of_whoever_starts_the_run(
    machines: Machines, tmp_path: Path
) -> None:
    """Their own files are not asked: here, those that were read are gone before a node starts."""
    machines.complete()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (220, 8, 8), dtype=np.uint8)
    y = np.arange(220, dtype=np.uint8) % 10
    images = tmp_path / "images"
    images.mkdir()
    np.savez(images / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    options = {"nets": 2, "snapshots": 3, "data_dir": str(images)}
    space = TINY.with_constants(dataset="mine")
    here = sample(space, out=tmp_path / "here", workers=1, **options)
    there = sample(
        space,
        out=begun(tmp_path / "there", here),
        engine="ray",
        address=machines.address,
        progress=lambda *_: shutil.rmtree(images, ignore_errors=True),
        **options,
    )
    assert not images.exists()
    assert same(there, here)


def test_stack_sizes_are_measured_on_a_node(machines: Machines, tmp_path: Path) -> None:
    machines.complete()
    out = tmp_path / "zoo"
    options = {"nets": 4, "out": out, "snapshots": 3, "engine": "ray", "address": machines.address}
    needs = estimate(TINY, **options)
    assert needs.workers == 2
    assert needs.seconds > 0
    assert not out.exists()
    assert sample(TINY, **options).nets.height == 4


@pytest.mark.slow
def test_a_unit_that_its_worker_never_survives_ends_the_run_with_a_reason(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.complete()
    monkeypatch.setattr(engine, "ATTEMPTS", 2)

    def kill_workers(task: str, done: float, total: float) -> None:
        for process in (*machines.training(0), *machines.training(1)):
            process.kill()

    with pytest.raises(
        DataError, match=r"unit-\w+: failed 2 times .* run the same command to continue"
    ):
        sample(
            TINY.with_constants(epochs=40_000),  # never over before its worker is killed
            nets=4,
            out=tmp_path / "zoo",
            snapshots=5,
            engine="ray",
            address=machines.address,
            progress=kill_workers,
        )


@pytest.fixture
def without_the_zoo(machines: Machines, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Replaces a node by one that sees an empty folder where the zoo lies."""
    ray_command = shutil.which("ray", path=str(Path(sys.executable).parent))
    hidden = tmp_path / "disk"
    hidden.mkdir()
    alone = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {hidden} && exec $0 $@"]
    if not ray_command or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("may not make a mount namespace")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        options = ["start", f"--address={machines.address}", "--num-cpus=1", "--block"]
        started.append(
            subprocess.Popen(
                [*alone, ray_command, *options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    yield start
    for process in started:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


@pytest.mark.slow
def test_nodes_that_do_not_see_the_zoo_send_it_their_nets(
    machines: Machines,
    longer: Zoo,
    tmp_path: Path,
    arrivals: list[str],
    without_the_zoo: Callable[[], None],
) -> None:
    """One node shares the disk, the other does not: each does what it can."""
    machines.complete()
    machines.kill_a_node()
    machines.until(1)
    without_the_zoo()
    machines.until(2)  # else the other node may have done all before this one is there
    out = begun(tmp_path / "disk" / "zoo", longer)
    zoo = sample(LONGER, nets=16, out=out, snapshots=5, engine="ray", address=machines.address)
    assert 0 < len(arrivals) < len(list((longer.path / "nets").iterdir()))
    assert same(zoo, longer)
    assert check(out, full=True) == []


@pytest.mark.slow
def test_ctrl_c_stops_it_at_once_and_the_same_command_continues(tmp_path: Path) -> None:
    """Without an address: on a cluster of its own, which ends with it."""
    out = tmp_path / "zoo"
    typed = [sys.executable, "-m", "weightspace", "sample", "demo", "--nets", "24", "--seed", "3"]
    typed += ["--epochs", "2", "--snapshots", "3", "--out", str(out), "--engine", "ray"]
    env = os.environ | {"RAY_ADDRESS": "local"}
    process = subprocess.Popen(
        typed,
        env=env,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not list(out.glob("nets/unit-*")):
        time.sleep(0.05)
        assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert said == ("", "error: stopped; finished nets are kept, the same command continues\n")
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    kept = len(list(out.glob("nets/unit-*")))
    done = subprocess.run([*typed, "--json"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert json.loads(done.stdout)["nets"] == 24
    assert len(list(out.glob("nets/unit-*"))) > kept
    # A task that Ray killed in the midst of a unit had no time to clear away; this run did.
    assert list(out.rglob(".*")) == []
    assert check(out, full=True) == []


def test_a_cluster_other_than_the_connected_one_is_refused(
    machines: Machines, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"address: this process is connected to .* already"):
        small(tmp_path / "zoo", engine="ray", address="127.0.0.1:1")


def test_a_gpu_is_refused_where_no_node_has_one(machines: Machines, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"device: no node of the cluster has a GPU; use `device=\"cpu"
    ):
        small(tmp_path / "zoo", engine="ray", address=machines.address, device="cuda")
