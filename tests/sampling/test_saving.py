"""The state of a unit in the making: when it is saved, gone on from, and set aside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from support.small_units import LAYOUT, SNAPSHOTS, open_writer, recipes, write
from support.tiny_runs import TINY, same, stacks_of
from weightspace.errors import UsageError
from weightspace.sampling import sample, saving
from weightspace.sampling.saving import SHARE, Saver
from weightspace.sampling.work import prepared
from weightspace.training import Pool, StackTrainer
from weightspace.zoo import Writer, Zoo, check
from weightspace.zoo.format import states

ONE_UNIT = TINY.with_constants(filter_size=3)


def run(out: Path) -> Zoo:
    return sample(ONE_UNIT, nets=3, out=out, snapshots=5, workers=1)


class Stopped(Exception):
    """What ends a run within a unit."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    with stacks_of(3):
        return run(tmp_path_factory.mktemp("whole") / "zoo")


@pytest.fixture(scope="module")
def begun(whole: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one unit that was stopped after 20 of its 33 steps, states saved after each."""
    out = tmp_path_factory.mktemp("begun") / "zoo"
    shutil.copytree(whole.path / "rounds", out / "rounds")
    shutil.copy(whole.path / "zoo.json", out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTSPACE_SAVE_SECONDS", "0")
        step = StackTrainer.train_step

        def stop(trainer: StackTrainer) -> None:
            if trainer.step == 20:
                raise Stopped
            step(trainer)

        patch.setattr(StackTrainer, "train_step", stop)
        with pytest.raises(Stopped):
            run(out)
    return out


@pytest.fixture
def zoo(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "zoo")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that are trained from now on."""
    found: list[int] = []
    step = StackTrainer.train_step

    def told(trainer: StackTrainer) -> None:
        found.append(trainer.step)
        step(trainer)

    monkeypatch.setattr(StackTrainer, "train_step", told)
    return found


def state(zoo: Path) -> Path:
    (file,) = (zoo / "states").glob("*.safetensors")
    return file


def shard(zoo: Path) -> Path:
    (file,) = (zoo / "shards").glob(".*.tmp")
    return file


def finished(zoo: Path, whole: Zoo) -> bool:
    """Continue; whether the result is that of a run never stopped, with nothing left over."""
    found = run(zoo)
    names = {str(p.relative_to(zoo)) for p in zoo.rglob("*") if p.is_file()}
    there = {str(p.relative_to(whole.path)) for p in whole.path.rglob("*") if p.is_file()}
    return same(found, whole) and names == there and check(zoo, full=True) == []


def test_a_unit_goes_on_from_its_last_state(zoo: Path, whole: Zoo, steps: list[int]) -> None:
    assert Zoo(zoo).nets.is_empty()  # readers know nothing of it
    (finding,) = check(zoo)[:1]
    assert [f.thing for f in check(zoo, full=True)] == [
        "rounds/000001.json",
        f"states/{state(zoo).name}",
    ]
    assert "was stopped during training, and its state is kept" in check(zoo)[1].message
    assert finding.severity == "warning"
    assert finished(zoo, whole)
    assert steps == list(range(20, 33))


def test_a_state_is_safetensors_and_json(zoo: Path) -> None:
    with safe_open(state(zoo), framework="numpy") as opened:
        facts = json.loads(opened.metadata()["weightspace"])
        names = set(opened.keys())
        assert opened.get_tensor("weights").shape[0] == 3
    assert {"weights", "seen", "broke", "stats.0", "slots.0"} <= names
    assert facts["facts"]["trainer"]["step"] == 20
    assert len(facts["checksums"]) == 3 * 3  # 3 nets, snapshots after 0, 8 and 16 steps


def damage(at: float) -> Callable[[Path], None]:
    def flip(zoo: Path) -> None:
        data = bytearray(state(zoo).read_bytes())
        data[int(at * (len(data) - 1))] ^= 4
        state(zoo).write_bytes(data)

    return flip


def cut(zoo: Path) -> None:
    state(zoo).write_bytes(state(zoo).read_bytes()[:-9])


def empty(zoo: Path) -> None:
    state(zoo).write_bytes(b"")


def no_shard(zoo: Path) -> None:
    shard(zoo).unlink()


def cut_shard(zoo: Path) -> None:
    shard(zoo).write_bytes(shard(zoo).read_bytes()[:-4])


def flip_shard(zoo: Path) -> None:
    """A bit of the first snapshot of the first net."""
    data = bytearray(shard(zoo).read_bytes())
    data[8 + int.from_bytes(data[:8], "little") + 5] ^= 1
    shard(zoo).write_bytes(data)


def flip_header(zoo: Path) -> None:
    data = bytearray(shard(zoo).read_bytes())
    data[20] ^= 1
    shard(zoo).write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        *((damage(at), "is damaged") for at in (0.0, 0.01, 0.2, 0.5, 0.9, 1.0)),
        (cut, "is damaged"),
        (empty, "is damaged"),
        (no_shard, "cannot be opened"),
        (cut_shard, "is not of the size it was made with"),
        (flip_shard, "snapshot 1 is damaged"),
        (flip_header, "is damaged, its header has changed"),
    ],
)
def test_a_state_that_cannot_be_used_is_set_aside_with_one_line(
    zoo: Path,
    whole: Zoo,
    steps: list[int],
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    told: str,
) -> None:
    harm(zoo)
    assert not [f for f in check(zoo, full=True) if f.severity == "error"]
    assert finished(zoo, whole)
    assert steps == list(range(33))
    (line,) = caplog.messages
    assert told in line
    assert line.endswith("is trained from its beginning")
    assert "\n" not in line


@pytest.mark.parametrize("name", ["code", "torch", "device", "processor"])
def test_a_state_of_other_arithmetic_is_not_gone_on_from(
    zoo: Path,
    whole: Zoo,
    steps: list[int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    made_with = saving.made_with
    monkeypatch.setattr(saving, "made_with", lambda device: made_with(device) | {name: "other"})
    assert finished(zoo, whole)
    assert steps == list(range(33))
    (line,) = caplog.messages
    assert f"was stopped with {name} {made_with(Pool_device())[name]}, here is other; it is" in line


def Pool_device():

    return torch.device("cpu")


def test_a_vector_put_after_the_state_is_put_again(zoo: Path, whole: Zoo) -> None:
    """Between the last save and the kill, more was written: it does not count."""
    data = bytearray(shard(zoo).read_bytes())
    length = len(data) - 8 - int.from_bytes(data[:8], "little")
    data[-length // 30 :] = bytes([7]) * (length // 30)
    shard(zoo).write_bytes(data)
    assert finished(zoo, whole)


def test_who_comes_second_to_a_unit_begins_it_anew(
    zoo: Path, whole: Zoo, steps: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(zoo, space=ONE_UNIT, seed=0, info=Zoo(zoo).meta["info"])
    born = [recipe.net for recipe in ONE_UNIT.draw(3, 0)]
    first = whole.nets["net"][0]
    opening = writer.unit(
        state(zoo).stem, nets=born, layout=whole.layout(first), snapshots=5, going_on=True
    )
    with opening as unit:
        assert unit.saved is not None
        findings = {f.thing: f.message for f in check(zoo)}
        assert findings[f"states/{state(zoo).name}"].endswith("is in training")
        run(zoo)
        assert steps == list(range(33))
        assert caplog.messages == []
    assert same(Zoo(zoo), whole)
    Writer(zoo, space=ONE_UNIT, seed=0, info=Zoo(zoo).meta["info"])
    assert check(zoo, full=True) == []


def test_what_was_set_aside_and_strangers_are_mentioned(zoo: Path) -> None:
    (zoo / "states" / "notes.txt").write_text("hm")
    state(zoo).rename(state(zoo).with_suffix(".aside"))
    found = {f.thing: f for f in check(zoo)}
    assert found["states/notes.txt"].severity == "info"
    aside = next(f for thing, f in found.items() if thing.endswith(".aside"))
    assert (aside.severity, aside.message) == ("info", "is a state that could not be used")


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
def test_arrays_and_facts_come_back(tmp_path: Path, kind: str) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3).astype(kind), "none": np.zeros((0, 4), kind)}
    facts = {"x": [1, None, "é"], "nan": float("nan")}
    open_writer(tmp_path)
    saved = states.Saved(arrays, facts, ".u.0.tmp", {("n", 1): "0" * 16})
    states.write(tmp_path, "u", saved)
    found = states.read(tmp_path, "u")
    assert found is not None
    assert repr(found.facts) == repr(facts)
    assert (found.shard, found.checksums) == (saved.shard, saved.checksums)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_a_unit_with_a_state_can_be_written_by_others(tmp_path: Path) -> None:
    """Who does not ask to go on begins anew, and what it commits counts."""
    nets = [recipe.net for recipe in recipes(0)]
    arguments = {"nets": nets, "layout": LAYOUT, "snapshots": SNAPSHOTS}
    writer = open_writer(tmp_path)
    with writer.unit("unit-000", **arguments) as unit:
        unit.put(nets[0], 1, np.ones(LAYOUT.size, "f4"))
        unit.save({"w": np.ones(3)}, {})
    assert len(list(tmp_path.rglob("*.tmp"))) == 1
    write(writer, 0)
    assert check(tmp_path, full=True) == []
    assert not list((tmp_path / "states").iterdir())


# ---- how often


@dataclass
class Slow:
    """A unit whose saves take a known time by a clock that only they and `wait` move."""

    takes: float
    now: float = 0.0
    saves: list[float] = field(default_factory=list)

    def save(self, arrays: object, facts: object) -> None:
        self.saves.append(self.now)
        self.now += self.takes

    def clock(self) -> float:
        return self.now


@pytest.fixture
def trainer() -> StackTrainer:
    born = ONE_UNIT.draw(1, 0)
    return StackTrainer(born, Pool.of({born[0].dataset: prepared(born[0].dataset, None, (8, 1))}))


@pytest.mark.parametrize("takes", [0.001, 0.1, 1.0, 20.0])
def test_saving_takes_at_most_its_share(trainer: StackTrainer, takes: float) -> None:
    unit = Slow(takes)
    saver = Saver(unit, trainer, [], clock=unit.clock)
    while unit.now < 50_000:
        unit.now += 0.5
        saver()
    assert unit.saves[0] >= 60
    assert takes * len(unit.saves) <= SHARE * unit.now + takes
    gaps = np.diff(unit.saves)
    assert gaps.min() >= 60
    assert gaps.max() <= max(61, takes / SHARE + takes + 1)


def test_a_large_state_waits_for_its_first_time(
    trainer: StackTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "BYTES_PER_SECOND", 100.0)
    unit = Slow(1.0)
    saver = Saver(unit, trainer, [], clock=unit.clock)
    size = sum(array.nbytes for array in saving.state_of(trainer).arrays.values())
    unit.now = size / 100 / SHARE - 1
    saver()
    assert unit.saves == []
    unit.now += 2
    saver()
    assert len(unit.saves) == 1


def test_the_environment_decides_if_it_is_a_number(
    trainer: StackTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHTSPACE_SAVE_SECONDS", "0.5")
    unit = Slow(10.0)
    saver = Saver(unit, trainer, [], clock=unit.clock)
    for _ in range(9):
        unit.now += 0.6
        saver()
    assert len(unit.saves) == 9
    monkeypatch.setenv("WEIGHTSPACE_SAVE_SECONDS", "often")
    with pytest.raises(UsageError, match="WEIGHTSPACE_SAVE_SECONDS: 'often' is no number"):
        Saver(unit, trainer, [])
