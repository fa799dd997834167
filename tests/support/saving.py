"""A model made by hand, full disks and killed processes: what tests of saving share."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from support.killing import killed_at
from weightspace.features import STATISTICS_NAMES
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import LinearMap
from weightspace.meta import Model
from weightspace.meta.model.caution import Caution, Step
from weightspace.meta.model.likeness import Likeness
from weightspace.meta.model.range import Range
from weightspace.meta.model.reader import Ability, Reader, View

COLUMNS = len(STATISTICS_NAMES)


def small_model(seed: int, knots: int = 8) -> Model:
    """A linear model of slices that tells two levels; `facts` say which seed."""
    rng = np.random.default_rng(seed)
    ascending = np.sort(rng.normal(size=(COLUMNS, knots)), axis=1)
    fitted = Discriminant(
        LinearMap(Gaussianiser(ascending, np.sort(rng.normal(size=(COLUMNS, knots)), axis=1))),
        rng.normal(size=(COLUMNS, 2)),
        rng.normal(size=2),
        (2,),
    )
    any_net = Likeness((), ((), ()), ((), ()))
    steps = (Step(0.5, 0.9, 100),)
    caution = Caution((0.0, 0.0), 0.95, 0.5, any_net, 9.0, 0.0, None, steps)
    ability = Ability("optimizer", ("adam", "momentum"), 0.9, 0.8, 0.95, 0.5, 1.0, caution)
    view = View("shallow", 100, 1, "all", True)
    far = Range(np.full(COLUMNS, -1e3), np.full(COLUMNS, 1e3), 0.1)
    return Model((Reader(view, fitted, (ability,), far),), {"seed": seed})


def which(folder: Path) -> int:
    """Which model is whole in the folder: it says so, and answers as that one does."""
    model = Model.load(folder)
    seed = model.facts["seed"]
    knots = model.readers[0].fitted.map.gaussianiser.knots.shape[1]
    vector = np.linspace(-1, 1, 500, dtype=np.float32)
    assert model.predict(vector) == small_model(seed, knots).predict(vector)
    return seed


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may have more bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small disk of its own; the test is skipped where nobody may mount one."""
    place.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if os.geteuid() or subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> None:
    """Leave no room."""
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def killed_while(count: int, act: Callable[[], object]) -> bool:
    """Whether a process of its own was killed at a call of the system before it was done."""
    child = os.fork()
    if not child:
        try:
            with killed_at(count, really=True):
                act()
            os._exit(0)
        finally:
            os._exit(1)  # whatever happened: this is no test run
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
