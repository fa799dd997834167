"""Zoos that are written, killed, gone on with, merged, damaged and repaired, in any order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from support import killing
from support.killing import SNAPSHOTS, TASKS, KilledError, killed_at, recipe, unit_of, vector
from weightspace.errors import DataError, UsageError
from weightspace.zoo import Zoo, check
from weightspace.zoo.format.states import ASIDE

ZOOS = ("a", "b")
GROUPS = ([0, 1, 2], [3, 4], [5])
"""Nets that are written together, of the first zoo; the other's come after them."""
DEATHS = st.none() | st.integers(0, 60)


def numbers_of(zoo: str) -> list[int]:
    return [n + 10 * ZOOS.index(zoo) for group in GROUPS for n in group]


class Life(RuleBasedStateMachine):
    """Two zoos of one run; `nets` is what was committed to each, `spoilt` what was damaged."""

    really = False

    def __init__(self):
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # no disk to wait for
        self.folder = Path(tempfile.mkdtemp(prefix="zoo-life-", dir=memory))
        self.nets = {zoo: set() for zoo in ZOOS}
        self.spoilt = {zoo: set() for zoo in ZOOS}

    def teardown(self):
        shutil.rmtree(self.folder)

    def path(self, zoo):
        return self.folder / zoo

    def attempt(self, task, arguments, death) -> bool:
        """Whether the task was done before its death came."""
        self.done = self._attempt(task, arguments, death)
        return self.done

    def _attempt(self, task, arguments, death) -> bool:
        if death is None:
            TASKS[task](*arguments)
            return True
        if self.really:
            command = [sys.executable, killing.__file__, str(death), task, json.dumps(arguments)]
            code = subprocess.run(command, check=False).returncode
            assert code in (0, -9), code
            return code == 0
        try:
            with killed_at(death):
                TASKS[task](*arguments)
        except KilledError:
            return False
        return True

    @rule(
        zoo=st.sampled_from(ZOOS),
        group=st.sampled_from(GROUPS),
        save_at=st.integers(-1, 5),
        death=DEATHS,
    )
    def write(self, zoo, group, save_at, death):
        numbers = [n + 10 * ZOOS.index(zoo) for n in group]
        missing = [n for n in numbers if n not in self.nets[zoo]]
        if not missing:
            return
        place = str(self.path(zoo))
        number = ZOOS.index(zoo) + 1
        done = self.attempt("write", [place, number, numbers_of(zoo), missing, save_at], death)
        if done or (self.path(zoo) / "nets" / f"{unit_of(missing)}.parquet").exists():
            self.nets[zoo].update(missing)
        self.look(zoo)
        if done and not self.spoilt[zoo]:
            assert not [f for f in check(self.path(zoo), full=True) if unit_of(missing) in str(f)]

    @precondition(lambda self: not any(self.spoilt.values()))
    @rule(zoos=st.permutations(ZOOS), death=DEATHS)
    def merge(self, zoos, death):
        out, other = zoos
        if not self.nets[other]:
            return
        before = self.units(out), self.units(other)
        clash = self.clashes(*before)
        try:
            done = self.attempt("merge", [str(self.path(out)), str(self.path(other))], death)
            refused = False
        except UsageError:
            done, refused = False, True
        assert clash if refused else not (done and clash)
        there = self.units(out)
        arrived = there.keys() - before[0].keys()
        assert arrived <= before[1].keys()
        assert not done or arrived == before[1].keys() - before[0].keys()
        for unit in arrived:
            assert there[unit] == before[1][unit]  # whole or not at all
            self.nets[out] |= there[unit]
        self.look(out)
        self.look(other)

    def units(self, zoo) -> dict[str, set[int]]:
        if not (self.path(zoo) / "zoo.json").exists():
            return {}
        units: dict[str, set[int]] = {}
        for unit, index in Zoo(self.path(zoo)).nets.select("unit", "index").rows():
            units.setdefault(unit, set()).add(index)
        return units

    @staticmethod
    def clashes(one, other) -> bool:
        """Whether a net is in two units."""
        of = {n: unit for unit, nets in one.items() for n in nets}
        return any(of.get(n, unit) != unit for unit, nets in other.items() for n in nets)

    @rule(zoo=st.sampled_from(ZOOS), which=st.integers(0, 20), snapshot=st.integers(1, SNAPSHOTS))
    def damage(self, zoo, which, snapshot):
        sound = sorted(self.nets[zoo] - self.spoilt[zoo])
        if not sound:
            return
        number = sound[which % len(sound)]
        found = Zoo(self.path(zoo)).snapshots.filter(net=recipe(number).net, snapshot=snapshot)
        file = self.path(zoo) / "shards" / found["shard"][0]
        data = bytearray(file.read_bytes())
        data[found["offset"][0] + 1] ^= 1
        file.unlink()  # another zoo may hold it, too, by a second name
        file.write_bytes(data)
        self.spoilt[zoo].add(number)
        self.look(zoo)

    @precondition(lambda self: any(self.spoilt.values()))
    @rule(death=DEATHS)
    def repair(self, death):
        zoo = next(zoo for zoo in ZOOS if self.spoilt[zoo])
        self.first = self.attempt("repair", [str(self.path(zoo))], death)
        if not self.first:
            # Until it is done the sound nets of damaged units may be away, and check says so.
            left = set(Zoo(self.path(zoo)).nets["index"])
            assert left <= self.nets[zoo]
            if away := self.nets[zoo] - self.spoilt[zoo] - left:
                assert [f for f in check(self.path(zoo)) if "repair" in f.message], away
            self.attempt("repair", [str(self.path(zoo))], None)
        self.nets[zoo] -= self.spoilt[zoo]
        self.spoilt[zoo] = set()
        self.look(zoo)

    def look(self, zoo):
        """The zoo holds what was committed, to the bit, and check names all that is not right."""
        path = self.path(zoo)
        if not (path / "zoo.json").exists():
            assert not self.nets[zoo]
            return
        found = Zoo(path)
        assert set(found.nets["index"]) == self.nets[zoo]
        assert found.snapshots.height == SNAPSHOTS * len(self.nets[zoo])
        for number in self.nets[zoo] - self.spoilt[zoo]:
            for k in range(1, SNAPSHOTS + 1):
                values = found.vector(recipe(number).net, k)
                assert values.tobytes() == vector(number, k).tobytes()
        findings = check(path, full=True)
        wrong = [f for f in findings if f.severity == "error"]
        assert len({f.message.split(",")[0] for f in wrong}) == len(self.spoilt[zoo])
        for number in self.spoilt[zoo]:
            assert any(recipe(number).net in f.message for f in wrong)
        said = " ".join(f"{f.thing} {f.message}" for f in findings)
        for file in self.unfinished(path):
            assert file.name.lstrip(".").split(".")[0] in said, file

    def unfinished(self, path):
        """Files of units that are not in the zoo, and those under hidden names."""
        committed = {file.stem for file in (path / "nets").glob("*.parquet")}
        for file in path.rglob("*"):
            aside = "aside" in file.relative_to(path).parts or file.suffix == ASIDE
            ours = file.is_file() and not aside and file.stem.startswith((".", "unit-"))
            if ours and file.stem not in committed:
                yield file

    @rule(zoo=st.sampled_from(ZOOS))
    def finish(self, zoo):
        """All that was set out is written: nothing unfinished is left but hidden files."""
        for group in GROUPS:
            self.write(zoo, group, -1, None)


def live(machine, examples, steps):
    health = list(HealthCheck)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, suppress_health_check=health
        ),
    )


def test_any_life_leaves_what_was_committed():
    live(Life, 10, 10)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Two zoos of one unit each, from which every death begins."""
    life = Life()
    life.write("a", GROUPS[0], -1, None)
    life.write("b", GROUPS[1], -1, None)
    folder = shutil.copytree(life.folder, tmp_path_factory.mktemp("begun") / "zoos")
    life.teardown()
    return folder, life.nets


def one_step_further(begun, task, death) -> bool:
    """A task on two zoos, killed and done again; whether it was done before its death came."""
    life = Life()
    try:
        folder, nets = begun
        shutil.copytree(folder, life.folder, dirs_exist_ok=True)
        life.nets = {zoo: set(numbers) for zoo, numbers in nets.items()}
        if task == "write":
            life.write("a", GROUPS[1], 1, death)
        elif task == "merge":
            life.merge(("a", "b"), death)
        else:
            life.damage("a", 0, 1)
            life.repair(death)
            return life.first
        done = life.done
        if task == "write":
            life.write("a", GROUPS[1], 1, None)
        else:
            life.merge(("a", "b"), None)
        assert life.nets["a"] == ({0, 1, 2, 3, 4} if task == "write" else {0, 1, 2, 13, 14})
        return done
    finally:
        life.teardown()


@pytest.mark.parametrize("task", ["write", "merge", "repair"])
@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_one_step_after_the_other(begun, task, stride):
    """A rename takes effect some steps before the next, so that every third step sees each."""
    death = 0
    while not one_step_further(begun, task, death):
        death += stride
    assert death > 15


@pytest.mark.slow
def test_long_lives():
    live(Life, 100, 30)


class Mortal(Life):
    """The same with processes that are really killed."""

    really = True


@pytest.mark.slow
def test_lives_of_processes_that_are_killed():
    live(Mortal, 15, 12)


def test_a_death_is_one(tmp_path):
    """The first change of the disk is the last, and nothing is tidied up after."""
    place = str(tmp_path / "zoo")
    with pytest.raises(KilledError), killed_at(0):
        TASKS["write"](place, 1, [0], [0], 0)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError):
        Zoo(place)
    with killed_at(10**6):
        TASKS["write"](place, 1, [0], [0], 0)
    assert Zoo(place).nets.height == 1
