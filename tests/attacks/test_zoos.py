"""No zoo makes a command fail as a bug, wait for ever, or touch what lies outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import weightspace.interop  # noqa: F401 - so that no command waits for torch to be loaded
from support import hostile_zoos, small_units
from support.hostile_zoos import VARIANTS
from weightspace.cli.app import run
from weightspace.errors import WeightspaceError
from weightspace.zoo import Zoo, check

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
    "merge a good zoo with": ["merge", "OUT/other", "ZOO"],
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


FOUND = [name for name, _ in hostile_zoos._found_by_attack()]
SOME = [*FOUND, *list(VARIANTS)[len(FOUND) :: 18]]


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
            assert not errors(fresh)
        if what == "merge a good zoo with":
            assert not errors(out / "other"), "a good zoo was broken"
            hostile_zoos.sound(out / "other")
    write_on(name, zoo, folder, before)
    assert hostile_zoos.digest(outside) == before


def errors(zoo: Path) -> list[str]:
    """What `check --full` calls an error."""
    return [str(f) for f in check(zoo, full=True) if f.severity == "error"]


def write_on(name: str, zoo: Path, folder: Path, before: str) -> None:
    """Who samples on goes through a writer."""
    fresh, aside = attack(name, zoo, folder / "write")
    with impatient(), contextlib.suppress(WeightspaceError):
        small_units.write(small_units.open_writer(fresh), 9)
    assert hostile_zoos.digest(aside) == before


@pytest.mark.parametrize("relative", [True, False])
def test_a_zoo_of_links_works_everywhere(zoo, other, tmp_path, relative):
    """As a download tool's cache has it: every file is a link to one elsewhere."""
    blobs, linked = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "rev"
    shutil.copytree(zoo, linked)
    blobs.mkdir()
    for number, file in enumerate(sorted(f for f in linked.rglob("*") if f.is_file())):
        file.rename(blobs / f"{number:040x}")
        target = blobs / f"{number:040x}"
        file.symlink_to(os.path.relpath(target, file.parent) if relative else target)
    out = tmp_path / "out"
    out.mkdir()
    for what, words in READING.items():
        assert command(words, linked, out) == (0, ""), what
    shutil.copytree(other, out / "other")
    assert command(["merge", "OUT/other", "ZOO"], linked, out) == (0, "")
    shutil.rmtree(tmp_path / "hub")  # what was merged stands by itself
    for made in ("merged", "pub", "other"):
        assert not errors(out / made)
        hostile_zoos.sound(out / made)
        assert not [f for f in (out / made).rglob("*") if f.is_symlink()]


@pytest.mark.parametrize("left", [0, 100, 0.5])
def test_a_shard_that_is_cut_short_while_it_is_read(zoo, tmp_path, left):
    """A memory map would end the process."""
    copy = Path(shutil.copytree(zoo, tmp_path / "zoo"))
    opened = Zoo(copy)
    net = opened.nets["net"][0]
    vector = opened.vector(net)
    assert vector.size
    for shard in (copy / "shards").iterdir():
        os.truncate(shard, int(left if left >= 1 else left * shard.stat().st_size))
    for act in (
        lambda: [opened.vector(n, s) for n in opened.nets["net"] for s in (1, -1)],
        lambda: list(opened.vectors()),
        lambda: opened.slices(64, 5, seed=0),
    ):
        with pytest.raises(WeightspaceError):
            act()


def test_a_link_to_itself_is_no_zoo(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for words in (*READING.values(), ["repair", "ZOO"], ["index", "ZOO"]):
        code, said = command(words, tmp_path / "loop", tmp_path)
        assert code == 2
        assert "loop" in said
        assert "bug" not in said


def test_a_sound_zoo_passes_all_of_it(zoo, other, tmp_path):
    VARIANTS["nothing"] = lambda *_: None
    try:
        judge(zoo, other, tmp_path, "nothing")
    finally:
        del VARIANTS["nothing"]
    assert json.loads((tmp_path / "out" / "pub" / "croissant.json").read_text())
