"""Writing a zoo: refused, stopped, killed, crowded and out of room."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from support import small_units
from support.small_units import (
    LAYOUT,
    SNAPSHOTS,
    SPACE,
    flat,
    moment,
    net_row,
    open_writer,
    recipes,
    write,
)
from weightspace import disk
from weightspace.errors import DataError, UsageError
from weightspace.space import Choice, Recipe, Space
from weightspace.zoo import Writer, Zoo, check

RECIPE = Recipe(dataset="digits")


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def one(path: Path, name: str = "u", size: int = 4):
    return open_writer(path).unit(name, nets=[RECIPE.net], layout=flat(size), snapshots=1)


# ---- whose directory it is


def test_the_same_zoo_is_opened_again_and_left_as_it_was(tmp_path):
    write(open_writer(tmp_path), 0)
    before = contents(tmp_path)
    assert open_writer(tmp_path).finished == {"unit-000"}
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 1}, "the seed is 0 there and 1 here"),
        ({"info": {"snapshots": 4}}, "the number of snapshots is 3 there and 4 here"),
        (
            {"space": Space("small", {"dataset": Choice(("digits", "text"))})},
            r'dataset of the space is \["digits", "shapes"\] there and \["digits", "text"\] here',
        ),
        (
            {"space": SPACE.with_constants(dropout=0.1)},
            "dropout of the space is null there and 0.1 here",
        ),
    ],
)
def test_another_zoo_is_refused_untouched_with_what_differs(tmp_path, other, told):
    open_writer(tmp_path)
    before = contents(tmp_path)
    settings = {"space": SPACE, "seed": 0, "info": {"snapshots": SNAPSHOTS}} | other
    with pytest.raises(UsageError, match=f"holds another zoo, {told}; choose another folder, or"):
        Writer(tmp_path, **settings)
    assert contents(tmp_path) == before


def test_a_directory_of_other_files_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear reader")
    with pytest.raises(UsageError, match="is not a zoo and has other files in it; choose another"):
        open_writer(tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"dear reader"}
    with pytest.raises(UsageError, match=r"thesis.tex: is a file; choose another folder"):
        open_writer(tmp_path / "thesis.tex")


def test_an_empty_directory_or_a_new_path_becomes_a_zoo(tmp_path):
    assert open_writer(tmp_path).finished == set()
    assert open_writer(tmp_path / "new" / "deep").finished == set()


def test_info_that_json_cannot_hold_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UsageError, match="info: has a value that JSON cannot hold"):
        Writer(tmp_path / "zoo", space=SPACE, seed=0, info={"when": object()})
    assert not (tmp_path / "zoo").exists()


# ---- what a unit refuses


def test_a_unit_left_without_commit_leaves_nothing(tmp_path):
    with one(tmp_path) as unit:
        unit.put(RECIPE.net, 1, np.ones(4, "f4"))
    with pytest.raises(KeyError), one(tmp_path) as unit:
        raise KeyError
    assert Zoo(tmp_path).nets.is_empty()
    assert check(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((RECIPE.net, 1, np.ones(4)), r"the vector is float64 \[4\]; give float32 \[4\]"),
        ((RECIPE.net, 1, np.ones(5, "f4")), r"the vector is float32 \[5\]; give float32 \[4\]"),
        ((RECIPE.net, 2, np.ones(4, "f4")), "snapshot 2 is not in 1..1"),
        (("other", 1, np.ones(4, "f4")), "net other is not one of its nets"),
    ],
)
def test_a_vector_that_does_not_belong_is_refused(tmp_path, arguments, told):
    with one(tmp_path) as unit, pytest.raises(UsageError, match=told):
        unit.put(*arguments)


@pytest.mark.parametrize(
    ("nets", "snapshots", "told"),
    [
        ([], [moment(RECIPE.net, 1)], "has no row"),
        ([net_row(RECIPE)] * 2, [moment(RECIPE.net, 1)], "has two rows"),
        ([net_row(RECIPE, net="x")], [moment(RECIPE.net, 1)], "net x is not one of its nets"),
        ([net_row(RECIPE, split="dev")], [moment(RECIPE.net, 1)], "split 'dev' is not train or"),
        (
            [net_row(RECIPE, diverged=None)],
            [moment(RECIPE.net, 1)],
            "diverged is None; give its value",
        ),
        ([net_row(RECIPE, steps=0.5)], [moment(RECIPE.net, 1)], "column steps: is of int64"),
        ([net_row(RECIPE, steps=2**63)], [moment(RECIPE.net, 1)], "column steps: is of int64"),
        ([net_row(RECIPE, dead=1)], [moment(RECIPE.net, 1)], "column dead: is of bool, 1 is not"),
        ([net_row(RECIPE, epochs=True)], [moment(RECIPE.net, 1)], "column epochs: is of int64"),
        ([net_row(RECIPE, note=b"x")], [moment(RECIPE.net, 1)], "column note: holds a bytes"),
        ([{"net": RECIPE.net, "split": "train"}], [moment(RECIPE.net, 1)], "row lacks 'index'"),
        ([net_row(RECIPE)], [], "snapshot 1: has a vector but no row"),
        ([net_row(RECIPE)], [moment(RECIPE.net, 1)] * 2, "snapshot 1: has two rows"),
        ([net_row(RECIPE)], [moment(RECIPE.net, 2)], "snapshot 2: has a row but no vector"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_committed(tmp_path, nets, snapshots, told):
    with one(tmp_path) as unit:
        unit.put(RECIPE.net, 1, np.ones(4, "f4"))
        with pytest.raises(UsageError, match=told):
            unit.commit(nets=nets, snapshots=snapshots)
    assert Zoo(tmp_path).nets.is_empty()
    assert check(tmp_path) == []


@pytest.mark.parametrize("name", ["", "A", "../x", "a.b", "a/b", ".a", "a" * 201])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="lower-case letters, digits and hyphens"):
        one(tmp_path, name)


@pytest.mark.parametrize("net", ["", "a/b", "__metadata__", "..", "é"])
def test_a_net_that_cannot_be_named_is_refused(tmp_path, net):
    with pytest.raises(UsageError, match="use 1 to 64 letters, digits"):
        open_writer(tmp_path).unit("u", nets=[net], layout=flat(1), snapshots=1)


def test_a_net_twice_in_a_unit_is_refused(tmp_path):
    with pytest.raises(UsageError, match="net a is given twice"):
        open_writer(tmp_path).unit("u", nets=["a", "b", "a"], layout=flat(1), snapshots=1)


def test_nothing_can_be_put_after_the_commit(tmp_path):
    with one(tmp_path) as unit:
        unit.put(RECIPE.net, 1, np.ones(4, "f4"))
        unit.commit(nets=[net_row(RECIPE)], snapshots=[moment(RECIPE.net, 1)])
        with pytest.raises(UsageError, match="is not open"):
            unit.put(RECIPE.net, 1, np.ones(4, "f4"))
    assert Zoo(tmp_path).vector(RECIPE.net).tolist() == [1, 1, 1, 1]


# ---- no room


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync"])
def test_a_full_disk_is_one_line_and_harms_nothing(tmp_path, monkeypatch, call):
    write(open_writer(tmp_path), 0)
    before = contents(tmp_path)
    writer = open_writer(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    told = (
        r"unit-001.safetensors: the disk is full, [\d,]{5,} bytes are needed; free space there or"
    )
    with pytest.raises(DataError, match=told) as caught:
        write(writer, 1)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before
    write(writer, 1)
    assert writer.finished == {"unit-000", "unit-001"}
    assert check(tmp_path, full=True) == []


@pytest.mark.parametrize("survivor", ["posix_fallocate", None])
def test_a_file_system_that_reserves_nothing_is_written_as_well(tmp_path, monkeypatch, survivor):
    if survivor:

        def unsupported(*_):
            raise OSError(errno.EOPNOTSUPP, "not supported")

        monkeypatch.setattr(os, survivor, unsupported)
    else:
        monkeypatch.delattr(os, "posix_fallocate")
    write(open_writer(tmp_path), 0)
    assert check(tmp_path, full=True) == []


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_keeps_what_it_has(small_disk):
    writer = open_writer(small_disk)
    write(writer, 0)
    before = contents(small_disk)
    unit = writer.unit("big", nets=[RECIPE.net], layout=flat(300_000), snapshots=1)
    with pytest.raises(DataError, match=r"big.safetensors: the disk is full, 1,200,\d+ bytes are"):
        unit.__enter__()
    after = contents(small_disk)
    assert {name for name in after if not name.startswith("layouts/")} == {
        name for name in before if not name.startswith("layouts/")
    }
    assert before.items() <= after.items()
    with pytest.raises(DataError, match="the disk is full"):
        deque(write(writer, number) for number in range(1, 200))
    assert 1 < len(writer.finished) < 200
    assert writer.finished == {f"unit-{i:03d}" for i in range(len(writer.finished))}
    assert check(small_disk, full=True) == []


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path, monkeypatch):
    writer = open_writer(tmp_path)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match=r"cannot be written \(Permission denied\); check the"):
        write(writer, 0)


# ---- stopped at any moment


def start(path: Path, first: int, stop: int, shuffle: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, small_units.__file__, str(path), *map(str, (first, stop, shuffle))]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def assert_whole(path: Path) -> set[str]:
    """Every committed unit holds its vectors; nothing is damaged. Returns the units."""
    zoo = Zoo(path)
    units = set(zoo.nets["unit"])
    for name in units:
        for recipe, k in small_units.pairs(int(name[-3:])):
            np.testing.assert_array_equal(zoo.vector(recipe.net, k), small_units.vector(recipe, k))
    assert [f for f in check(path, full=True) if f.severity == "error"] == []
    return units


@pytest.mark.parametrize(
    "attempt", [*range(3), *(pytest.param(i, marks=pytest.mark.slow) for i in range(3, 20))]
)
def test_a_killed_writer_leaves_whole_units_and_can_be_continued(tmp_path, attempt):
    chance = random.Random(attempt)
    process = start(tmp_path, 0, 300, attempt)
    while not list(tmp_path.glob("nets/unit-*")):
        assert process.poll() is None
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.15))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the writer was done before it was killed"
    units = assert_whole(tmp_path)
    assert 0 < len(units) < 300
    names = {p.name.split(".")[1] for p in tmp_path.rglob(".*.tmp")}
    writer = open_writer(tmp_path)
    for name in [n for n in names if n.startswith("unit-")] or ["unit-299"]:
        if name not in writer.finished:
            write(writer, int(name[-3:]))
            units.add(name)
    assert assert_whole(tmp_path) == units
    assert not [p for p in tmp_path.rglob(".unit-*.tmp") if p.name.split(".")[1] in names]


def test_what_a_killed_writer_left_is_named_and_removed_when_the_unit_is_written(tmp_path):
    code = (
        "import os, signal; from support.small_units import *; from pathlib import Path\n"
        f"unit = open_writer(Path({str(tmp_path)!r})).unit('unit-000', "
        "nets=[r.net for r in recipes(0)], layout=LAYOUT, snapshots=SNAPSHOTS)\n"
        "unit.__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.rglob("*.tmp")
    (finding,) = check(tmp_path)
    assert (finding.severity, finding.thing) == ("warning", f"shards/{left.name}")
    assert "left unfinished by a writer that was stopped" in finding.message
    assert "weightspace sample" in finding.remedy
    assert Zoo(tmp_path).nets.is_empty()
    write(open_writer(tmp_path), 0)
    assert check(tmp_path, full=True) == []


# ---- many at once


def test_many_processes_write_the_same_zoo_at_once(tmp_path):
    place = tmp_path / "zoo"
    crowd = [
        start(place, first, first + 20, shuffle) for shuffle, first in enumerate((0, 0, 10, 20))
    ]
    assert [process.wait() for process in crowd] == [0, 0, 0, 0]
    assert assert_whole(place) == {f"unit-{i:03d}" for i in range(40)}
    assert check(place, full=True) == []


def test_two_writers_of_one_unit_do_each_other_no_harm(tmp_path):
    born = recipes(0)
    arguments = {"nets": [r.net for r in born], "layout": LAYOUT, "snapshots": SNAPSHOTS}
    with open_writer(tmp_path).unit("unit-000", **arguments) as first:
        for recipe, k in small_units.pairs(0):
            first.put(recipe.net, k, small_units.vector(recipe, k))
        (finding,) = check(tmp_path)
        assert (finding.severity, finding.message) == ("info", "is being written")
        write(open_writer(tmp_path), 0)
        zoo = Zoo(tmp_path)
        view = zoo.vector(born[0].net, 1)
        first.commit(
            nets=[net_row(r, r.seed) for r in born],
            snapshots=[moment(r.net, k) for r, k in small_units.pairs(0)],
        )
    np.testing.assert_array_equal(view, small_units.vector(born[0], 1))
    assert assert_whole(tmp_path) == {"unit-000"}
    assert check(tmp_path, full=True) == []


def test_whoever_commits_a_unit_second_changes_nothing(tmp_path):
    """As a machine that was given up for dead and finishes after all, with other rounding."""
    born = recipes(0)
    arguments = {"nets": [r.net for r in born], "layout": LAYOUT, "snapshots": SNAPSHOTS}
    with open_writer(tmp_path).unit("unit-000", **arguments) as late:
        for recipe, k in small_units.pairs(0):
            late.put(recipe.net, k, small_units.vector(recipe, k) + 1)
        write(open_writer(tmp_path), 0)
        before = {file: file.stat() for file in tmp_path.glob("*/unit-000.*")}
        late.commit(
            nets=[net_row(r, r.seed) for r in born],
            snapshots=[moment(r.net, k) for r, k in small_units.pairs(0)],
        )
    assert {file: file.stat() for file in tmp_path.glob("*/unit-000.*")} == before
    assert check(tmp_path, full=True) == []


def test_of_two_different_zoos_begun_at_once_one_is_refused(tmp_path, monkeypatch):
    """The other zoo appears after this writer saw an empty directory."""
    from weightspace.zoo.writing import writer

    original = writer._refuse_foreign

    def late(path):
        original(path)
        monkeypatch.setattr(writer, "_refuse_foreign", original)
        Writer(path.path, space=SPACE, seed=5)

    monkeypatch.setattr(writer, "_refuse_foreign", late)
    with pytest.raises(UsageError, match="the seed is 5 there and 0 here"):
        open_writer(tmp_path)
    assert Zoo(tmp_path).meta["seed"] == 5
    assert check(tmp_path) == []


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_commit_that_stops_between_its_renames_is_no_commit(tmp_path, monkeypatch, last):
    """The shard first, the nets part last: before that name, readers see nothing."""
    write(open_writer(tmp_path), 0)
    publish, named = disk.Temporary.publish, []

    def stop(file, **options):
        if len(named) == last:
            raise KeyboardInterrupt
        named.append(file.final.parent.name)
        return publish(file, **options)

    monkeypatch.setattr(disk.Temporary, "publish", stop)
    with pytest.raises(KeyboardInterrupt):
        write(open_writer(tmp_path), 1)
    monkeypatch.undo()
    assert named == ["shards", "snapshots"][:last]
    assert assert_whole(tmp_path) == {"unit-000"}
    assert {f.thing.split("/")[0] for f in check(tmp_path, full=True)} == set(named)
    write(open_writer(tmp_path), 1)
    assert assert_whole(tmp_path) == {"unit-000", "unit-001"}
    assert check(tmp_path, full=True) == []
