"""A thousand kills: whatever a command was doing, nothing that was there is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from support import deaths, killing
from support.killing import recipe, vector
from support.populations import synthetic_zoo
from weightspace.dissection import Dissection, dissect
from weightspace.learners.neural import Patches
from weightspace.meta import Evaluation, Model, fit
from weightspace.zoo import Zoo, check

NETS = [0, 1, 2]
KILLS = 1000
QUICK = {
    "slice_length": 3000,
    "slices_per_net": 2,
    "positions": 2,
    "seeds": (0,),
    "permutations": 0,
}


@pytest.fixture(scope="module")
def server() -> Iterator[deaths.Server]:
    made = deaths.Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """What the commands start from; nothing in it is written to."""
    folder = tmp_path_factory.mktemp("store")
    for name, first in (("a", 0), ("b", 10)):
        numbers = [n + first for n in NETS]
        killing.write(str(folder / name), 1 + (first > 0), numbers, numbers, -1)
    damaged = Path(shutil.copytree(folder / "a", folder / "damaged"))
    (shard,) = (damaged / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    (folder / "checkpoints").mkdir()
    for i in range(3):
        net = torch.nn.Linear(3, 2)
        torch.save(net.state_dict(), folder / "checkpoints" / f"n{i}.pt")
    zoo = synthetic_zoo(folder / "population", nets=30)
    for name, what in (("model-a", "initialization"), ("model-b", "filter_size")):
        fit(zoo, properties=[what], slice_length=3000, slices_per_net=2, folds=2).save(
            folder / name
        )
    for name, seed in (("network-a", 0), ("network-b", 1)):
        rows = torch.randn(24, 600, generator=torch.manual_seed(seed)).numpy()
        Patches(epochs=1, seed=seed).fit(rows, [0, 1] * 12).save(folder / name)
    for name, what in (("dissection-a", "initialization"), ("dissection-b", "filter_size")):
        dissect(zoo, properties=[what], also=(), **QUICK).save(folder / name)
    return folder


def sound(path: Path) -> None:
    """A zoo, if there is one, with nothing damaged in it."""
    if (path / "zoo.json").exists():
        assert not [f for f in check(path, full=True) if f.severity == "error"]


def holds(path: Path, numbers: list[int]) -> None:
    """A zoo with exactly these nets, and their weights."""
    zoo = Zoo(path)
    assert set(zoo.nets["net"]) == {recipe(n).net for n in numbers}
    for n in numbers:
        for k in range(1, killing.SNAPSHOTS + 1):
            assert zoo.verified(recipe(n).net, k).tobytes() == vector(n, k).tobytes()


def no_leftovers(folder: Path) -> None:
    """No hidden file or folder of a killed command."""
    assert list(folder.rglob("*.tmp")) == []


@dataclass(frozen=True)
class Command:
    """A command: `begin` prepares a folder, `kept` looks after a kill, `done` after it ended."""

    task: str

    def begin(self, folder: Path, store: Path) -> list[Any]:
        raise NotImplementedError

    def kept(self, folder: Path, store: Path) -> None:
        raise NotImplementedError

    def done(self, folder: Path, store: Path) -> None:
        raise NotImplementedError

    def finished(self, folder: Path) -> bool:
        """Whether the command refuses to run again, since its result is there."""
        return False


class Write(Command):
    def begin(self, folder, store):
        return [str(folder / "zoo"), 1, NETS, NETS, 2]

    def kept(self, folder, store):
        sound(folder / "zoo")

    def done(self, folder, store):
        sound(folder / "zoo")
        holds(folder / "zoo", NETS)


class Merge(Command):
    def begin(self, folder, store):
        shutil.copytree(store / "a", folder / "zoo")
        shutil.copytree(store / "b", folder / "other")
        return [str(folder / "zoo"), str(folder / "other")]

    def kept(self, folder, store):
        for zoo in ("zoo", "other"):
            sound(folder / zoo)
        holds(folder / "other", [n + 10 for n in NETS])

    def done(self, folder, store):
        self.kept(folder, store)
        holds(folder / "zoo", [*NETS, *(n + 10 for n in NETS)])


class Repair(Command):
    def begin(self, folder, store):
        shutil.copytree(store / "damaged", folder / "zoo")
        return [str(folder / "zoo")]

    def kept(self, folder, store):
        there = Zoo(folder / "zoo").nets["net"]  # whatever stage it is in, it opens
        assert set(there) <= {recipe(n).net for n in NETS}

    def done(self, folder, store):
        sound(folder / "zoo")
        holds(folder / "zoo", NETS[:2])


class Index(Command):
    def begin(self, folder, store):
        shutil.copytree(store / "a", folder / "zoo")
        return [str(folder / "zoo")]

    def kept(self, folder, store):
        sound(folder / "zoo")
        holds(folder / "zoo", NETS)

    def done(self, folder, store):
        self.kept(folder, store)
        assert check(folder / "zoo") == []


class Folders(Command):
    """A command whose result is a folder that appears at the end."""

    def begin(self, folder, store):
        shutil.copytree(store / "a", folder / "zoo")
        return [str(folder / "zoo"), str(folder / "out")]

    def kept(self, folder, store):
        sound(folder / "zoo")
        holds(folder / "zoo", NETS)
        if (folder / "out").exists():
            self.whole(folder / "out")

    def done(self, folder, store):
        self.kept(folder, store)
        assert (folder / "out").exists()

    def finished(self, folder):
        return (folder / "out").exists()

    def whole(self, out):
        if self.task == "publish":
            sound(out)
            holds(out, NETS)
            assert (out / "README.md").exists()
        else:
            assert len(list(out.rglob("*.safetensors"))) == len(NETS) * killing.SNAPSHOTS
            assert (out / "known.csv").exists()


class Add(Command):
    def begin(self, folder, store):
        return [str(store / "checkpoints"), str(folder / "zoo")]

    def kept(self, folder, store):
        sound(folder / "zoo")

    def done(self, folder, store):
        sound(folder / "zoo")
        assert set(Zoo(folder / "zoo").nets["net"]) == {"n0", "n1", "n2"}


class Replace(Command):
    """A command that replaces a result by another: one of the two is there, whole."""

    names = {  # noqa: RUF012 - a table
        "fit": ("model", lambda p: Model.load(p).to_dict()),
        "network": (
            "network",
            lambda p: [v.tolist() for v in Patches.load(p).fitted_.networks[0].parameters()],
        ),
    }

    def begin(self, folder, store):
        name, _ = self.names[self.task]
        shutil.copytree(store / f"{name}-a", folder / "out")
        return [str(store / f"{name}-b"), str(folder / "out")]

    def kept(self, folder, store):
        name, read = self.names[self.task]
        assert read(folder / "out") in (read(store / f"{name}-a"), read(store / f"{name}-b"))

    def done(self, folder, store):
        name, read = self.names[self.task]
        assert read(folder / "out") == read(store / f"{name}-b")


class Tables(Command):
    """A command that replaces tables: each of them is there, whole."""

    def begin(self, folder, store):
        shutil.copytree(store / "dissection-a", folder / "out")
        return [str(store / "dissection-b"), str(folder / "out")]

    def read(self, path):
        kind = Evaluation if self.task == "evaluate" else Dissection
        return kind.read(path) if self.task == "evaluate" else kind.load(path)

    def kept(self, folder, store):
        self.read(folder / "out")

    def done(self, folder, store):
        found, wanted = self.read(folder / "out"), self.read(store / "dissection-b")
        frames = [x if self.task == "evaluate" else x.much for x in (found, wanted)]
        assert frames[0].frame().equals(frames[1].frame())


COMMANDS = [
    Write("write"),
    Merge("merge"),
    Repair("repair"),
    Index("index"),
    Folders("publish"),
    Folders("export"),
    Add("add"),
    Replace("fit"),
    Replace("network"),
    Tables("evaluate"),
    Tables("dissect"),
]


def die(command: Command, server: deaths.Server, store: Path, folder: Path, count: int) -> bool:
    """One kill, what must hold after it, and the same command again; whether it was killed."""
    arguments = command.begin(folder, store)
    code, _ = server(count, command.task, *arguments)
    assert code in (0, -9), (command.task, count, code)
    command.kept(folder, store)
    if not command.finished(folder):
        again, _ = server(10**9, command.task, *arguments)
        assert again == 0, (command.task, count)
    command.done(folder, store)
    no_leftovers(folder)
    return code == -9


def changes(command: Command, server: deaths.Server, store: Path, folder: Path) -> int:
    """How many changes to the disk the command makes when it is not killed."""
    code, count = server(10**9, command.task, *command.begin(folder, store))
    assert code == 0
    command.done(folder, store)
    return count


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.task)
def test_a_few_kills(command, server, store, tmp_path):
    (tmp_path / "whole").mkdir()
    most = changes(command, server, store, tmp_path / "whole")
    assert most > 3
    for count in {most // 3, most - 1}:
        folder = tmp_path / str(count)
        folder.mkdir()
        assert die(command, server, store, folder, count)


@pytest.mark.slow
def test_a_thousand_kills(server, store, tmp_path):
    chance = random.Random(1)
    killed = {}
    for i, command in enumerate(COMMANDS):
        (tmp_path / command.task).mkdir()
        most = changes(command, server, store, tmp_path / command.task)
        share = KILLS * (i + 1) // len(COMMANDS) - KILLS * i // len(COMMANDS)
        killed[command.task] = 0
        for number in range(share):
            folder = tmp_path / f"{command.task}-{number}"
            folder.mkdir()
            killed[command.task] += die(command, server, store, folder, chance.randrange(most))
            shutil.rmtree(folder)
    print(killed)
    assert sum(killed.values()) == KILLS
