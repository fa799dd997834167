"""Runs that are killed, resumed, finished by hand, and recorded by many processes at once."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
import torch

from support import killing, recorded
from support.copies import Copy
from support.recorded import STEPS, net, recorder, steps, train
from weightspace.cli.app import run as command
from weightspace.errors import DataError, UsageError
from weightspace.recording.stories import unit_of
from weightspace.zoo import Zoo, check


def sound(path) -> Zoo:
    """The zoo opens, and nothing that is in it is damaged."""
    found = check(path, full=True)
    assert [one for one in found if one.severity == "error"] == []
    assert command(["check", str(path), "--full"]) == 0
    return Zoo(path)


def stopped(path, at: int = 12, name: str = "a") -> None:
    process = Copy(recorded.train_until_killed, str(path), name, at)
    assert process.wait(60) == -signal.SIGKILL


def resumed(path, at: int, name: str = "a") -> None:
    """Go on from the step `at`, with the weights of then."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    for _ in range(at):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    with recorder(path).run(model, name=name, optimizer=optimizer, step=at) as run:
        steps(model, optimizer, run, STEPS)


@pytest.mark.parametrize("at", [8, pytest.param(10, marks=pytest.mark.slow), 12])
def test_a_killed_run_goes_on_with_its_snapshots(tmp_path, at):
    path = tmp_path / "zoo"
    train(path, "whole")
    stopped(path)
    zoo = sound(path)
    assert zoo.nets["net"].to_list() == ["whole"]
    assert recorder(path).stopped == ["a"]
    (warning,) = check(path)
    assert "was stopped during training, and its state is kept" in warning.message
    assert warning.remedy == "continue the run, or commit what it has with `Recorder.finish`"
    resumed(path, at)
    assert check(path, full=True) == []
    zoo = Zoo(path)
    rows = zoo.snapshots.filter(net="a").to_dicts()
    assert [(row["snapshot"], row["step"]) for row in rows] == [
        *((1, 0), (2, 5), (3, 10), (4, 15), (5, 20))
    ]
    assert rows[1]["test_accuracy"] == 0.5
    np.testing.assert_array_equal(zoo.vector("a", 1), zoo.vector("whole", 1))
    assert zoo.nets.filter(net="a")["steps"].to_list() == [20]
    assert zoo.nets.filter(net="a")["optimizer"].to_list() == ["adam"]
    assert recorder(path).stopped == []


def test_how_a_stopped_run_goes_on_is_not_guessed(tmp_path):
    path = tmp_path / "zoo"
    stopped(path)
    for step in (None, 0):
        with pytest.raises(UsageError, match=r"its last snapshot is of step 10; .*finish\('a'\)"):
            recorder(path).run(net(), name="a", step=step)
    with pytest.raises(UsageError, match="began with total_steps=20, not 30"):
        recorder(path).run(net(), name="a", step=10, total_steps=30)
    with pytest.raises(UsageError, match="began with seed=0, not 7"):
        recorder(path).run(net(), name="a", step=10, seed=7)
    with pytest.raises(UsageError, match="has other tensors than when the run began"):
        recorder(path).run(torch.nn.Linear(3, 4), name="a", step=10)
    resumed(path, 10)  # none of this took anything away
    assert Zoo(path).snapshots.height == 5


def test_a_stopped_run_can_be_finished_or_dropped(tmp_path):
    path = tmp_path / "zoo"
    stopped(path, name="a")
    stopped(path, name="b", at=7)
    here = recorder(path)
    here.finish("a")
    here.discard("b")
    assert check(path, full=True) == []
    zoo = Zoo(path)
    assert zoo.snapshots["step"].to_list() == [0, 5, 10]
    assert zoo.nets["steps"].to_list() == [10]
    assert here.stopped == []
    for act in (here.finish, here.discard):
        with pytest.raises(UsageError, match=r"is in .* already"):
            act("a")
        with pytest.raises(UsageError, match="no run of that name was stopped"):
            act("b")
    train(path, "b")
    assert Zoo(path).nets.height == 2


def failing(model, optimizer, run) -> None:
    steps(model, optimizer, run, 12)
    raise ZeroDivisionError


def test_an_error_in_the_loop_keeps_the_run(tmp_path):
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    run = recorder(tmp_path / "zoo").run(model, name="a", optimizer=optimizer)
    with pytest.raises(ZeroDivisionError), run:
        failing(model, optimizer, run)
    assert recorder(tmp_path / "zoo").stopped == ["a"]
    resumed(tmp_path / "zoo", 12)
    assert Zoo(tmp_path / "zoo").snapshots["step"].to_list() == [0, 5, 10, 15, 20]


def test_two_runs_of_one_name(tmp_path):
    path = tmp_path / "zoo"
    with recorder(path).run(net(), name="a") as run:
        with pytest.raises(UsageError, match="run a: another process, or another run of this one"):
            recorder(path).run(net(), name="a")
        process = Copy(recorded.train, str(path), "a")
        process.wait(60)
        assert "is recording it in" in process.communicate()[1]
        with pytest.raises(UsageError, match="is recording it"):
            recorder(path).discard("a")
        assert recorder(path).stopped == []
        run.step(step=STEPS)
    with pytest.raises(UsageError, match=r"run a: is in .*zoo already; give another `name=`"):
        recorder(path).run(net(), name="a")
    recorder(path).run(net(), name="A", step=STEPS).close()
    assert sorted(Zoo(path).nets["net"]) == ["A", "a"]


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_many_processes_make_a_population(tmp_path, count):
    path, nets = tmp_path / "zoo", 4 * count
    processes = [Copy(recorded.train_many, str(path), first, 4) for first in range(0, nets, 4)]
    assert [process.wait(120) for process in processes] == [0] * count
    assert check(path, full=True) == []
    zoo = Zoo(path)
    assert sorted(zoo.nets["net"]) == sorted(f"net-{seed}" for seed in range(nets))
    assert sorted(zoo.nets["index"]) == list(range(nets))
    assert zoo.snapshots.height == nets * 5
    assert zoo.space.distributions["learning_rate"].values == (0.001, 0.002, 0.003)
    assert zoo.space.properties == ("learning_rate",)
    for seed in (0, nets - 1):
        model = net(seed)
        vector = zoo.vector(f"net-{seed}", 1)
        np.testing.assert_array_equal(vector[:36], model[0].weight.detach().numpy().ravel())


def killed_in_the_middle(path, moment: float) -> None:
    """Kill a process that does nothing but record, so many seconds after it began."""
    process = Copy(recorded.train_forever, str(path), "a")
    while "begun" not in process.said():
        time.sleep(0.005)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    "moment", [0.05, *(pytest.param(at, marks=pytest.mark.slow) for at in (0.0, 0.17))]
)
def test_a_kill_at_any_moment_loses_no_snapshot(tmp_path, moment):
    path = tmp_path / "zoo"
    train(path, "whole")
    killed_in_the_middle(path, moment)
    sound(path)
    here = recorder(path)
    assert here.stopped == ["a"]
    here.finish("a")
    zoo = Zoo(path)
    assert check(path, full=True) == []
    found = zoo.snapshots.filter(net="a")["step"].to_list()
    assert found == list(range(len(found)))
    assert zoo.nets.height == 2


def after_changes(tmp_path, path, at: int) -> None:
    """Kill a run at a change of the disk: what is there is sound, and the run can be made anew."""
    shutil.rmtree(tmp_path / "here", ignore_errors=True)
    if path.exists():
        shutil.copytree(path, tmp_path / "here")
    process = Copy(recorded.train_until_change, str(tmp_path / "here"), "a", at)
    assert process.wait(60) in (0, -signal.SIGKILL), process.communicate()
    here = recorder(tmp_path / "here")
    if (tmp_path / "here" / "zoo.json").exists():
        names = set(sound(tmp_path / "here").nets["net"])
        assert names >= ({"before"} if path.exists() else set())
    if here.stopped:
        here.discard("a")
    if process.returncode:
        with contextlib.suppress(UsageError):  # killed after the commit
            train(tmp_path / "here", "a")
    names = sound(tmp_path / "here").nets["net"]
    assert sorted(names) == (["a", "before"] if path.exists() else ["a"])
    assert check(tmp_path / "here", full=True) == []


@pytest.mark.parametrize("there", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_kill_at_any_change_of_the_disk(tmp_path, there):
    path = tmp_path / "zoo"
    if there:
        train(path, "before")
    with killing.killed_at(10**6) as count:
        train(tmp_path / "other", "a")
    for at in random.Random(there).sample(range(count()), 3):
        after_changes(tmp_path, path, at)


@pytest.mark.slow
def test_a_kill_at_every_change_of_the_disk(tmp_path):
    with killing.killed_at(10**6) as count:
        train(tmp_path / "other", "a")
    for at in range(count()):
        after_changes(tmp_path, tmp_path / "zoo", at)


def test_damaged_snapshots_of_a_stopped_run_are_no_net(tmp_path):
    path = tmp_path / "zoo"
    stopped(path)
    (shard,) = (path / "shards").glob(".*.tmp")
    data = bytearray(shard.read_bytes())
    data[-data.count(0) // 2 - 1000] ^= 255
    data[2000] ^= 255
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be continued \(.*\); begin it again"):
        recorder(path).run(net(), name="a", step=10)
    train(path, "a")
    assert check(path, full=True) == []


def test_a_state_of_something_else_is_refused(tmp_path):
    path = tmp_path / "zoo"
    stopped(path)
    file = path / "states" / f"{unit_of('a')}.safetensors"
    data = file.read_bytes()
    file.write_bytes(data.replace(b'recorded\\": 1', b'recorded\\": 9'))
    with pytest.raises(DataError, match="is damaged"):
        recorder(path).run(net(), name="a", step=10)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "zoo"
    model = net()
    run = recorder(path).run(model, name="a")
    run._journal.flush()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(5):
        run.step()
    with pytest.raises(DataError, match="shards/run-a"):
        run._journal.flush()
    monkeypatch.undo()
    run.step()
    run.leave()
    assert recorder(path).stopped == ["a"]


def test_the_state_of_a_run_that_is_in_the_zoo_is_no_stopped_run(tmp_path):
    """As a kill between the last two changes of the disk leaves it."""
    path = tmp_path / "zoo"
    stopped(path)
    state = path / "states" / f"{unit_of('a')}.safetensors"
    data = state.read_bytes()
    recorder(path).finish("a")
    state.write_bytes(data)
    assert recorder(path).stopped == []
    with pytest.raises(UsageError, match=r"run a: is in .* already"):
        train(path, "a")
    assert check(path, full=True) == []
