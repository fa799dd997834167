"""No zoo makes a command fail as a bug, wait for ever, or touch what lies outside."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import hostile_zoos
import small_units
import weightspace.doors  # noqa: F401 - so that no command waits for torch to be loaded
from hostile_zoos import VARIANTS
from weightspace.cli.app import run
from weightspace.errors import WeightspaceError
from weightspace.zoo import check

PATIENCE = 60
"""Seconds for one command; on an idle machine each takes less than one."""

READING = {
    "check": ["check", "ZOO", "--full"],
    "info": ["info", "ZOO"],
    "merge": ["merge", "OUT/merged", "ZOO"],
    "export": ["export", "ZOO", "OUT/exported", "--format", "safetensors"],
    "publish": ["publish", "ZOO", "a/b", "--out", "OUT/pub", "--licence", "mit", "--dry-run"],
}
"""Commands that must work on every zoo that `check --full` finds nothing wrong with."""

CHANGING = {
    "repair": ["repair", "ZOO"],
    "index": ["index", "ZOO"],
    "merge into": ["merge", "ZOO", "OUT/other"],
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return hostile_zoos.make(tmp_path_factory.mktemp("sound") / "zoo")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another part of the same run."""
    path = tmp_path_factory.mktemp("other") / "zoo"
    small_units.write(small_units.open_writer(path), 2)
    return path


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def late(*_: object) -> None:
        raise AssertionError(f"no end after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(words: list[str], zoo: Path, out: Path) -> tuple[int, str]:
    """Exit code and standard error of a command on the zoo."""
    typed = [w.replace("ZOO", str(zoo)).replace("OUT", str(out)) for w in words]
    said = io.StringIO()
    with impatient(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run(typed)
    return code, said.getvalue()


def attack(name: str, zoo: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of the zoo with one thing changed, and the folder that nobody may touch."""
    outside = hostile_zoos.make_outside(folder / "home")
    changed = Path(shutil.copytree(zoo, folder / "a" / "b" / "zoo"))
    VARIANTS[name](changed, outside)
    return changed, outside


def test_there_are_enough():
    assert len(VARIANTS) >= 300


SOME = list(VARIANTS)[:: max(1, len(VARIANTS) // 110)]


@pytest.mark.parametrize("name", SOME)
def test_a_hostile_zoo(zoo, other, tmp_path, name):
    judge(zoo, other, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in SOME])
def test_all_hostile_zoos(zoo, other, tmp_path, name):
    judge(zoo, other, tmp_path, name)


def judge(zoo: Path, other: Path, folder: Path, name: str) -> None:
    """Every command on one hostile zoo."""
    changed, outside = attack(name, zoo, folder / "read")
    before, within = hostile_zoos.digest(outside), hostile_zoos.digest(changed)
    told = {}
    for what, words in READING.items():
        out = folder / "out"
        out.mkdir(exist_ok=True)
        told[what] = command(words, changed, out)
        assert "this is a bug" not in told[what][1], (what, told[what])
        assert told[what][1].count("\n") <= 1 or told[what][0] == 0, (what, told[what])
    assert hostile_zoos.digest(changed) == within, "a command that reads has written"
    if told["check"][0] == 0:
        assert {what: code for what, (code, _) in told.items() if code} == {}, told
        hostile_zoos.sound(changed)
    for what, words in CHANGING.items():
        fresh, aside = attack(name, zoo, folder / what.replace(" ", "-"))
        out = folder / "out" / what.replace(" ", "-")
        shutil.copytree(other, out / "other")
        code, said = command(words, fresh, out)
        assert "this is a bug" not in said, (what, said)
        assert hostile_zoos.digest(aside) == before, f"{what} has touched what is outside"
        if what == "repair" and code == 0:
            assert not [f for f in check(fresh, full=True) if f.severity == "error"]
    write_on(name, zoo, folder, before)
    assert hostile_zoos.digest(outside) == before


def write_on(name: str, zoo: Path, folder: Path, before: str) -> None:
    """Who samples on goes through a writer."""
    fresh, aside = attack(name, zoo, folder / "write")
    with impatient(), contextlib.suppress(WeightspaceError):
        small_units.write(small_units.open_writer(fresh), 9)
    assert hostile_zoos.digest(aside) == before


def test_a_sound_zoo_passes_all_of_it(zoo, other, tmp_path):
    VARIANTS["nothing"] = lambda *_: None
    try:
        judge(zoo, other, tmp_path, "nothing")
    finally:
        del VARIANTS["nothing"]
    assert json.loads((tmp_path / "out" / "pub" / "croissant.json").read_text())
