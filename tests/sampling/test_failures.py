"""What takes a run's means away: disk, memory, patience. One line, and the run goes on later."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from support import copies
from support.copies import Copy
from support.tiny_runs import TINY, continued, same, stacks_of
from weightspace.sampling import estimate, sample
from weightspace.zoo import Zoo, check

SPACE = TINY.with_constants(width_fc=512, depth_fc=2, epochs=12)
"""Half a megabyte a net, and steps enough that something can happen between them."""

NETS, SNAPSHOTS = 6, 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    with stacks_of(2):
        out = tmp_path_factory.mktemp("whole") / "zoo"
        return sample(SPACE, nets=NETS, out=out, snapshots=SNAPSHOTS, workers=1)


Process = Copy | subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command; what it started does not outlive the test."""
    begun: list[Process] = []

    def begin(*arguments: Any, **options: Any) -> Process:
        begun.append(started(*arguments, **options))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def started(out: Path, whole: Zoo, workers: int, save: str = "0.1", fresh: bool = False) -> Process:
    """The command, in a process group of its own, that makes the zoo which `whole` is.

    Where it is `fresh`, every array of a net comes from the system and goes back to it: so it is
    with a threshold that is set when a process starts, and a copy has started before.
    """
    space = out.parent / f"{out.name}.yaml"
    space.write_text(yaml.safe_dump(SPACE.to_dict()))
    if not out.exists():
        out.mkdir()
        continued(out, whole)
    typed = ["sample", space, "--out", out, "--nets", NETS, "--snapshots", SNAPSHOTS]
    typed += ["--workers", workers]
    environment = {"WEIGHTSPACE_SAVE_SECONDS": save}
    if not fresh:
        return copies.command(*typed, env=environment)
    return subprocess.Popen(
        [sys.executable, "-m", "weightspace", *map(str, typed)],
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | environment | {"MALLOC_MMAP_THRESHOLD_": "65536"},
        start_new_session=True,
    )


def until(process: Process, what: Callable[[], object]) -> None:
    """Wait until something is so, while the process runs."""
    while not what():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def saved(out: Path) -> list[Path]:
    return list(out.glob("states/*.safetensors"))


def ended(process: Process, code: int) -> str:
    """The one line that a process says when it ends."""
    _, said = process.communicate(timeout=300)
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert process.returncode == code, said
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


def assert_continued(start: Start, out: Path, whole: Zoo) -> None:
    """Nothing half-written counts, and the same command ends in the same zoo.

    Each worker process loads torch anew, which takes seconds: that two continue what two began is
    shown in `test_runs.py` alone.
    """
    assert not [f for f in check(out, full=True) if f.severity == "error"]
    process = start(out, whole, 1, "60")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert same(Zoo(out), whole)
    assert check(out, full=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_in_the_middle_of_a_unit(
    start: Start, whole: Zoo, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "zoo"
    process = start(out, whole, workers)
    until(process, lambda: saved(out))
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process, 130) == (
        "error: stopped; finished nets are kept, the same command continues"
    )
    assert Zoo(out).nets.height < NETS
    assert saved(out)
    assert_continued(start, out, whole)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_memory_that_runs_out(start: Start, whole: Zoo, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "zoo"
    process = start(out, whole, workers, fresh=True)
    until(process, lambda: len(saved(out)) >= workers)
    trains = psutil.Process(process.pid)
    if workers > 1:
        trains = next(p for p in trains.children() if "popen_loky" in str(p.cmdline()))
    limit = trains.memory_info().vms - 2**22
    resource.prlimit(trains.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    line = ended(process, 2)
    assert re.match(r"error: unit-\w+, [12] nets together: out of memory; finished nets", line)
    assert "run the same command to continue" in line
    assert Zoo(out).nets.height < NETS
    assert_continued(start, out, whole)


def test_a_file_that_may_not_be_so_large(start: Start, whole: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    process = start(out, whole, 1)
    until(process, lambda: saved(out))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**19, resource.RLIM_INFINITY))
    line = ended(process, 2)
    assert "bytes are more than a file may have here; raise the limit" in line
    assert_continued(start, out, whole)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for what the run is estimated to need, and little more."""
    place = tmp_path / "disk"
    place.mkdir()
    with stacks_of(2):
        needs = estimate(SPACE, nets=NETS, out=place, snapshots=SNAPSHOTS, workers=2)
    size = needs.disk_bytes + 4096 * 100  # files take whole pages
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_of_the_estimated_size_suffices(start: Start, disk: Path, whole: Zoo) -> None:
    """With states saved all the time."""
    out = disk / "zoo"
    process = start(out, whole, 2, "0.01")
    most = 0
    while process.poll() is None:
        most = max(most, sum(f.stat().st_blocks for f in list(out.rglob("*.tmp")) if f.exists()))
        time.sleep(0.01)
    assert process.returncode == 0, process.communicate()[1]
    process.communicate()
    assert most > 0
    assert same(Zoo(out), whole)


def test_a_disk_that_fills_up(start: Start, disk: Path, whole: Zoo) -> None:
    out, filler = disk / "zoo", disk / "filler"
    process = start(out, whole, 2)
    until(process, lambda: saved(out))
    with filler.open("wb") as file:  # another's file takes what is left
        while process.poll() is None:
            try:
                file.write(bytes(2**16))
                file.flush()
            except OSError:
                time.sleep(0.01)
    line = ended(process, 2)
    assert "the disk is full" in line
    assert "then run the same command again" in line
    assert Zoo(out).nets.height < NETS
    filler.unlink()
    assert_continued(start, out, whole)
