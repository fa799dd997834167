"""A run can be stopped anywhere and continued, and ends in the same zoo."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from support.copies import Copy
from support.tiny_runs import TINY, continued, same, small, stacks_of, threads, watched
from weightspace.errors import DataError, UsageError
from weightspace.sampling import estimate, sample
from weightspace.sampling.calibration import Pace
from weightspace.sampling.plan import plan_units
from weightspace.space import preset
from weightspace.zoo import Zoo, check, stratified


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Sampled in stacks of two, so that there are units enough to be killed between.

    Where torch has two threads, as outside of tests: processes of one thread make the same zoo.
    """
    with stacks_of(2), threads(2):
        return small(tmp_path_factory.mktemp("sampling") / "zoo")


def test_every_net_of_the_draw_is_there_with_its_recipe(whole: Zoo) -> None:
    recipes = TINY.draw(24, 0)
    nets = whole.nets.sort("index")
    assert nets["net"].to_list() == [recipe.net for recipe in recipes]
    for row, recipe in zip(nets.to_dicts(), recipes, strict=True):
        assert {name: row[name] for name in recipe.to_dict()} == recipe.to_dict()
    assert nets["split"].to_list() == stratified(TINY.levels(TINY.draw(25, 0)), 0)[:24]
    assert whole.snapshots.height == 24 * 5
    assert check(whole.path, full=True) == []


def test_snapshots_move_and_learn(whole: Zoo) -> None:
    for net in whole.nets["net"]:
        vectors = [whole.vector(net, k) for k in range(1, 6)]
        assert all(np.isfinite(v).all() for v in vectors)
        assert all((a != b).any() for a, b in itertools.pairwise(vectors))
    last = whole.snapshots.filter(snapshot=5)["train_loss"].mean()
    first = whole.snapshots.filter(snapshot=2)["train_loss"].mean()
    assert last < first


def test_snapshots_say_what_was_measured_and_what_was_trained_on(whole: Zoo) -> None:
    table = whole.snapshots
    for of in ("train", "validation", "test"):
        assert table[f"{of}_loss"].null_count() == table[f"{of}_accuracy"].null_count() == 0
    started = table["snapshot"] > 1
    assert (table["batch_loss"].is_not_null() == started).all()
    assert (table["batch_accuracy"].is_not_null() == started).all()


def test_nets_that_stop_by_themselves_in_a_zoo(tmp_path: Path) -> None:
    space = TINY.with_constants(epochs=90, stopping=["epochs", "convergence"])
    zoo = sample(space, nets=12, out=tmp_path / "zoo", snapshots=7, workers=1)
    assert zoo.snapshots.height == 12 * 7
    for net in zoo.nets.to_dicts():
        last = zoo.snapshots.filter(net=net["net"]).sort("snapshot").row(-1, named=True)
        assert (last["step"], last["test_accuracy"]) == (net["steps"], net["test_accuracy"])
        if net["stopping"] == "epochs":
            assert not net["converged"]
            assert net["steps"] == 90 * 11
        else:
            assert 20 * 11 <= net["steps"] <= 90 * 11
            assert net["converged"] or net["steps"] == 90 * 11
    assert zoo.nets["converged"].sum() > 0
    assert check(zoo.path, full=True) == []


def test_snapshots_after_named_epochs(tmp_path: Path) -> None:
    options = {"nets": 4, "out": tmp_path / "zoo", "workers": 1}
    zoo = sample(TINY, snapshot_epochs=(0, 0.5, 2), **options)
    assert zoo.snapshots.sort("net", "snapshot")["epoch"].to_list() == [0, 6 / 11, 2] * 4
    assert zoo.meta["info"]["snapshots"] == 3
    assert sample(TINY, snapshot_epochs=[0.0, 0.5, 2.0], **options).nets.equals(zoo.nets)
    with pytest.raises(UsageError, match=r"snapshot_epochs is \[0.0, 0.5, 2.0\] there and None"):
        sample(TINY, snapshots=3, **options)
    other = options | {"out": tmp_path / "other"}
    with pytest.raises(UsageError, match=r"snapshot_epochs: 5 lies beyond the 3 epochs"):
        sample(TINY, snapshot_epochs=(0, 5), **other)
    with pytest.raises(UsageError, match=r"snapshot_epochs: nan is no number of epochs"):
        sample(TINY, snapshot_epochs=(0, float("nan")), **other)
    assert not other["out"].exists()


def test_the_same_command_on_a_finished_zoo_changes_nothing(whole: Zoo) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.path.rglob("*") if p.is_file()}
    small(whole.path)
    assert {p: p.stat().st_mtime_ns for p in whole.path.rglob("*") if p.is_file()} == before


def test_processes_give_the_same_zoo_as_one(whole: Zoo, tmp_path: Path) -> None:
    other = tmp_path / "zoo"
    other.mkdir()
    continued(other, whole)
    assert same(small(other, workers=2), whole)


@dataclass
class Kills:
    """What was killed: how often, how often within a unit whose state was saved, and where such
    units began afterwards (known of runs without worker processes)."""

    all: int = 0
    inside: int = 0
    begun: list[int] = field(default_factory=list)

    def __add__(self, other: Kills) -> Kills:
        return Kills(self.all + other.all, self.inside + other.inside, self.begun + other.begun)


def killed_and_continued(
    whole: Zoo, out: Path, rng: np.random.Generator, workers: int, most: int
) -> Kills:
    """Kill -9 a real run at random moments, `most` times at most, until it ends by itself.

    States are saved after every step, so that most moments lie between two saves of a unit.
    """
    out.mkdir()
    continued(out, whole)
    units = len(list((whole.path / "nets").iterdir()))
    kills = Kills()
    while True:
        process = Copy(watched, str(out), workers, env={"WEIGHTSPACE_SAVE_SECONDS": "0"})
        # A moment of the training: some time after some number of units has been committed.
        target = len(list(out.glob("nets/*.parquet"))) + int(rng.integers(0, 1 + units // 4))
        if kills.all == most:
            assert process.wait(timeout=300) == 0
        while process.poll() is None and len(list(out.glob("nets/*.parquet"))) < target:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)
        kills.begun += [int(line.split()[-1]) for line in process.said().splitlines()]
        if ended:
            assert process.returncode == 0
            return kills
        Zoo(out)  # whatever was cut short, the zoo opens
        kills.all += 1
        kills.inside += any(out.glob("states/*.safetensors"))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kill_9_then_the_same_command_gives_the_same_zoo(
    whole: Zoo, tmp_path: Path, workers: int
) -> None:
    rng = np.random.default_rng(workers)
    kills = killed_and_continued(whole, tmp_path / "zoo", rng, workers, 3)
    assert kills.all > 0
    assert kills.inside > 0
    assert workers > 1 or any(step > 0 for step in kills.begun)
    assert same(Zoo(tmp_path / "zoo"), whole)
    assert check(tmp_path / "zoo", full=True) == []


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments(whole: Zoo, tmp_path: Path) -> None:
    rng, kills, turn = np.random.default_rng(0), Kills(), 0
    while kills.all < 20:
        out = tmp_path / str(turn) / "zoo"
        out.parent.mkdir()
        kills += killed_and_continued(whole, out, rng, 1 + turn % 2, 5)
        assert same(Zoo(out), whole)
        assert check(out, full=True) == []
        turn += 1
    assert kills.inside >= 10
    assert sum(step > 0 for step in kills.begun) >= 3


def test_units_depend_on_recipes_and_stack_sizes_alone() -> None:
    recipes = preset("demo").draw(100, 3)
    paces = {f"2^{k}": Pace(4, 0.001) for k in range(10, 40)}
    images = dict.fromkeys(("digits", "glyphs", "textures"), 2000)
    units = plan_units(recipes, paces, images)
    assert sorted(r.net for u in units for r in u.recipes) == sorted(r.net for r in recipes)
    assert max(len(u.recipes) for u in units) == 4
    assert [u.name for u in units] == [u.name for u in plan_units(recipes, paces, images)]
    assert [u.cost for u in units] == sorted((u.cost for u in units), reverse=True)
    short = plan_units(recipes, paces, images, epochs=4)  # of 16
    assert sum(u.cost for u in short) == pytest.approx(sum(u.cost for u in units) / 4)


def test_an_estimate_is_near_the_truth_and_writes_nothing(whole: Zoo, tmp_path: Path) -> None:
    with stacks_of(2):
        needs = estimate(TINY, nets=24, snapshots=5, out=tmp_path / "never", workers=1)
    assert not (tmp_path / "never").exists()
    assert needs.nets == 24
    assert needs.values == whole.snapshots["length"].sum()
    size = sum(f.stat().st_size for f in whole.path.rglob("*") if f.is_file())
    assert size < needs.disk_bytes < 1.5 * size
    assert 0 < needs.seconds < 120


def test_a_space_of_larger_nets_is_refused_by_what_differs(whole: Zoo) -> None:
    """Its work class has no stack size in the zoo; that must not be the first thing noticed."""
    with pytest.raises(UsageError, match=r"holds another zoo, width_conv of the space is 2 there"):
        sample(TINY.with_constants(width_conv=64), nets=24, out=whole.path, snapshots=5, workers=1)


def test_other_images_do_not_continue_a_zoo(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("one", "other"):
        x = rng.integers(0, 256, (220, 8, 8), dtype=np.uint8)
        y = np.arange(220, dtype=np.uint8) % 10
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    space = TINY.with_constants(dataset="mine")
    out = tmp_path / "zoo"
    options = {"nets": 2, "snapshots": 3, "workers": 1, "out": out}
    sample(space, data_dir=str(tmp_path / "one"), **options)
    with pytest.raises(UsageError, match=r"was started with other images of mine; give the same"):
        sample(space, data_dir=str(tmp_path / "other"), **options)


def test_two_starts_of_one_command_make_one_sound_zoo(tmp_path: Path) -> None:
    both = [Copy(watched, str(tmp_path / "zoo")) for _ in range(2)]
    assert [process.wait(timeout=200) for process in both] == [0, 0]
    assert Zoo(tmp_path / "zoo").nets.height == 24
    assert check(tmp_path / "zoo", full=True) == []


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_workers_do_not_outlive_their_parent(tmp_path: Path, kill: signal.Signals) -> None:
    """Only the parent is killed, as `timeout` or the kernel does."""
    space = TINY.with_constants(epochs=400)
    parent = Copy(watched, str(tmp_path / "zoo"), 2, space=space)
    workers: list[psutil.Process] = []
    while len(workers) < 2:
        time.sleep(0.02)
        assert parent.poll() is None
        children = psutil.Process(parent.pid).children(recursive=True)
        workers = [p for p in children if "LokyProcess" in str(p.cmdline())]
    parent.send_signal(kill)
    parent.wait(timeout=20)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"batch_size": 8, "outputs": 100}])
def test_any_batch_size_and_number_of_outputs_can_be_timed(
    tmp_path: Path, change: dict[str, int]
) -> None:
    needs = estimate(TINY.with_constants(**change), nets=2, snapshots=5, out=tmp_path, workers=1)
    assert needs.seconds > 0


@pytest.mark.parametrize("name", ["nets", "epochs", "evaluation_images", "workers"])
def test_options_below_one_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}: 0 is below 1"):
        small(tmp_path / "zoo", **{name: 0})
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"holds another zoo, the seed is 0 there and 1 here; choose another folder"),
        ({"snapshots": 6}, r"holds another zoo, .*snapshots is 5 there and 6 here"),
        ({"epochs": 4}, r"holds another zoo, .*epochs"),
    ],
)
def test_another_zoo_in_the_way_is_refused_and_untouched(
    whole: Zoo, options: dict[str, int], message: str
) -> None:
    before = {p: p.read_bytes() for p in whole.path.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match=message):
        small(whole.path, **options)
    assert {p: p.read_bytes() for p in whole.path.rglob("*") if p.is_file()} == before


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"is not a zoo and has other files in it"):
        small(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adamant"}, r"optimizer: 'adamant' is unknown; known are adam, adamw"),
        ({"activation": "rely"}, r"activation: 'rely' is unknown; known are relu"),
        ({"initialization": "he"}, r"initialization: 'he' is unknown; known are constant"),
        ({"train_images": 50_000}, r"train_images: digits has"),
        ({"epochs": 1, "batch_size": 128}, r"snapshots: 5 do not fit in a run of 1 steps"),
        ({"dataset": "minst"}, r"minst"),
        ({"train_images": 9}, r"train_images: 9 of \w+ are too few"),
        ({"train_images": 15, "batch_size": 14}, r"batch_size: 14 is more than the 13 training"),
        ({"outputs": 5}, r"outputs: 5 are too few for the 10 classes of digits"),
    ],
)
def test_a_space_that_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        sample(TINY.with_constants(**change), nets=4, out=tmp_path / "zoo", snapshots=5, workers=1)
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer: [adam, adamant]", r"mine.yaml:4: optimizer: 'adamant' is unknown; known are"),
        ("activation: rely", r"mine.yaml:4: activation: 'rely' is unknown; known are relu, elu"),
        ("initialization: he", r"mine.yaml:4: initialization: 'he' is unknown; known are const"),
        (
            "architecture: alexnet",
            r"mine.yaml:4: architecture: 'alexnet' is unknown; known are nws, mod",
        ),
        ("input_size: [8, 16]", r"mine.yaml:4: input_size: must be one value in a space"),
        ("train_images: 50000", r"mine.yaml:4: train_images: digits has"),
        ("outputs: 9", r"mine.yaml:4: outputs: 9 are too few for the 10 classes of digits"),
        ("batch_size: 4096", r"mine.yaml:4: batch_size: 4096 is more than the .* images of digits"),
    ],
)
def test_a_mistake_in_a_file_is_reported_with_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nrecipe:\n  dataset: digits\n  {line}\n")
    with pytest.raises(UsageError, match=message):
        sample(str(file), nets=4, out=tmp_path / "zoo", snapshots=5, workers=1)
    assert not (tmp_path / "zoo").exists()


def test_a_disk_too_small_is_refused_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"needs 0\.00 GB, the disk has 0\.00 GB; free some"):
        small(tmp_path / "zoo")


@pytest.mark.slow
def test_a_killed_worker_is_a_clear_message_and_the_run_continues(
    whole: Zoo, tmp_path: Path
) -> None:
    out = tmp_path / "zoo"
    out.mkdir()
    continued(out, whole)

    killed: list[int] = []

    def kill_a_worker(task: str, done: float, total: float) -> None:
        if done > 2 and not killed:
            workers = [p for p in psutil.Process().children() if "popen_loky" in str(p.cmdline())]
            workers[0].kill()
            killed.append(workers[0].pid)

    with pytest.raises(DataError, match=r"a worker process died .* run the same command"):
        small(out, workers=2, progress=kill_a_worker)
    assert killed
    assert same(small(out), whole)
