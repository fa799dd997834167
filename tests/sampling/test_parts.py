"""Runs in parts: shards, zoos that grow, and zoos that are merged."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.copies import Copy
from support.small_units import flat, moment, net_row, open_writer, recipes, write
from support.tiny_runs import TINY, merged_until, same, small, stacks_of, watched
from weightspace.errors import DataError, UsageError
from weightspace.networks import Plan
from weightspace.sampling.drawing import Draw
from weightspace.sampling.plan import net_steps
from weightspace.sampling.sharding import shard_of, shards
from weightspace.space import preset
from weightspace.zoo import Round, Zoo, check, merge
from weightspace.zoo.files.shard import digest
from weightspace.zoo.format import rounds

IMAGES = dict.fromkeys(("mnist", "fashion_mnist", "cifar10", "svhn", "stl10"), 50_000)
ROW = ["net", "index", "split", "dataset", "seed", "optimizer"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    with stacks_of(3):
        return small(tmp_path_factory.mktemp("whole") / "zoo", snapshots=3)


@pytest.fixture(scope="module")
def thirds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three shards, sampled as on three machines that measured other stack sizes."""
    paths = [tmp_path_factory.mktemp("shards") / f"{i}" for i in (1, 2, 3)]
    for i, path in enumerate(paths, 1):
        with stacks_of(i):
            small(path, snapshots=3, shard=(i, 3))
    return paths


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


# ---- which nets


@pytest.mark.parametrize("count", [1, 2, 7, 40, 130])
def test_shards_hold_every_net_once(count: int) -> None:
    recipes = preset("nws-main").draw(120, 5)
    found = shards(recipes, count, IMAGES)
    assert len(found) == count
    assert sorted(i for shard in found for i in shard) == list(range(120))
    assert shard_of(recipes, (count, count), IMAGES) == found[-1]


def test_shards_have_equal_work_and_keep_stacks_together() -> None:
    recipes = preset("nws-main").draw(4000, 0)
    work, buckets = [], []
    for shard in shards(recipes, 8, IMAGES):
        nets = [recipes[i] for i in shard]
        plans = [Plan.from_recipe(r) for r in nets]
        steps = [net_steps(r, IMAGES) * r.batch_size for r in nets]
        work.append(sum(s * p.multiplications for s, p in zip(steps, plans, strict=True)))
        buckets.append({(p, r.batch_size) for r, p in zip(nets, plans, strict=True)})
    assert max(work) < 1.02 * min(work)
    everything = {(Plan.from_recipe(r), r.batch_size) for r in recipes}
    assert sum(map(len, buckets)) < 1.1 * len(everything)


@pytest.mark.parametrize("shard", [(0, 4), (5, 4), (1, 0), (-1, -1)])
def test_a_shard_that_does_not_exist_is_refused(tmp_path: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=rf"shard: {shard[0]}/{shard[1]} is no shard"):
        small(tmp_path / "zoo", shard=shard)
    assert not (tmp_path / "zoo").exists()


def test_a_shard_without_nets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shard: 2 nets leave nothing for 3/9; use fewer"):
        small(tmp_path / "zoo", nets=2, snapshots=3, shard=(3, 9))


@pytest.mark.parametrize("name", ["demo", "nws-small", "nws-main"])
def test_a_larger_draw_begins_with_the_smaller(name: str) -> None:
    space = preset(name)
    more = space.draw(97, 3)
    for nets in (1, 4, 5, 60, 96):
        assert space.draw(nets, 3) == more[:nets]
        assert Draw(space, 3).splits(nets) == Draw(space, 3).splits(97)[:nets]


def test_a_fifth_of_any_number_of_nets_is_set_aside() -> None:
    space = preset("nws-main")
    for seed in range(20):
        splits = Draw(space, seed).splits(100)
        assert all(splits[i : i + 5].count("test") == 1 for i in range(0, 100, 5))
    splits = Draw(space, 0).splits(1000)
    places = [splits[i : i + 5].index("test") for i in range(0, 1000, 5)]
    assert np.bincount(places, minlength=5).min() > 20


# ---- shards and growth


def test_shards_in_zoos_of_their_own_merge_to_the_run(
    whole: Zoo, thirds: list[Path], tmp_path: Path
) -> None:
    before = [contents(path) for path in thirds]
    merged = merge(tmp_path / "zoo", thirds)
    columns = [*ROW, "steps"]
    assert merged.nets.select(columns).equals(whole.nets.select(columns))
    assert merged.snapshots.height == whole.snapshots.height
    assert check(merged.path, full=True) == []
    for path in thirds:
        part = Zoo(path)
        for net in part.nets["net"]:
            np.testing.assert_array_equal(merged.vector(net), part.vector(net))
    assert [contents(path) for path in thirds] == before
    assert same(small(merged.path, snapshots=3), merged)  # nothing is left to do


@pytest.mark.slow
def test_shards_that_share_a_path_make_the_run(whole: Zoo, tmp_path: Path) -> None:
    out = str(tmp_path / "zoo")
    crowd = [Copy(watched, out, shard=(i, 3), snapshots=3) for i in (1, 2, 3)]
    assert [process.wait(timeout=200) for process in crowd] == [0, 0, 0]
    zoo = Zoo(out)
    assert zoo.nets.select(ROW).equals(whole.nets.select(ROW))
    assert len(zoo.rounds) == 3
    assert check(out, full=True) == []


def test_without_a_shard_everything_that_is_left_is_done(whole: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    first = small(out, snapshots=3, shard=(2, 3))
    assert 0 < first.nets.height < 24
    (missing,) = check(out) or [None]
    assert missing is None
    every = small(out, snapshots=3)
    assert every.nets.select(ROW).equals(whole.nets.select(ROW))
    assert check(out, full=True) == []


def test_a_zoo_grows_and_what_was_there_stays(tmp_path: Path, whole: Zoo) -> None:
    out = tmp_path / "zoo"
    few = small(out, nets=9, snapshots=3)
    before = contents(out)
    more = small(out, snapshots=3)
    assert before.items() <= contents(out).items()
    assert more.nets.select(ROW).equals(whole.nets.select(ROW))
    assert more.nets.head(9).equals(few.nets)
    assert check(out, full=True) == []
    assert contents(small(out, nets=9, snapshots=3).path) == contents(out)
    assert [one.nets for one in more.rounds.values()] == [((0, 9),), ((9, 24),)]


def test_two_who_let_a_zoo_grow_at_once_double_nothing(tmp_path: Path) -> None:
    out = str(tmp_path / "zoo")
    crowd = [Copy(watched, out, nets=nets, snapshots=3) for nets in (12, 30, 20)]
    assert [process.wait(timeout=200) for process in crowd] == [0, 0, 0]
    zoo = Zoo(out)
    assert zoo.nets["net"].to_list() == [recipe.net for recipe in TINY.draw(30, 0)]
    assert check(out, full=True) == []


def test_other_images_do_not_enter_a_zoo_that_grows(tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    zoo = small(out, nets=2, snapshots=3)
    (file,) = (out / "rounds").iterdir()
    plain = json.loads(file.read_text())
    plain["images"]["digits"] = "0" * 16
    del plain["checksum"]
    file.write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="was started with other images of digits; give the same"):
        small(zoo.path, nets=4, snapshots=3)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"nets": [[3, 2]], "images": {}, "info": {}}', "[" * 10_000,
             '{"nets": [[0, 2], [1, 3]], "images": {}, "info": {}}',
             '{"nets": [[0, 1e3]], "images": {}, "info": {}}'],
)  # fmt: skip
def test_a_damaged_round_is_named_and_can_be_done_without(tmp_path: Path, text: str) -> None:
    out = tmp_path / "zoo"
    zoo = small(out, nets=2, snapshots=3)
    file = out / "rounds" / "000001.json"
    file.write_text(text)
    (finding,) = check(out)
    assert (finding.severity, finding.thing) == ("error", "rounds/000001.json")
    with pytest.raises(DataError, match=r"000001.json: is damaged, .*; delete it and run the same"):
        small(out, nets=2, snapshots=3)
    file.unlink()
    again = small(out, nets=4, snapshots=3)
    assert again.nets.head(2).equals(zoo.nets)
    assert again.nets.height == 4
    assert check(out, full=True) == []


def test_what_is_missing_of_a_round_is_said(thirds: list[Path], tmp_path: Path) -> None:
    out = shutil.copytree(thirds[0], tmp_path / "zoo")
    unit = next((out / "nets").iterdir())
    missing = Zoo(out).nets.filter(unit=unit.stem).height
    unit.unlink()
    found = [f for f in check(out) if f.thing.startswith("rounds")]
    planned = Zoo(thirds[0]).nets.height
    assert [(f.severity, f.message) for f in found] == [
        ("warning", f"{missing} of its {planned} nets are not in the zoo")
    ]


# ---- merging


def test_a_merge_links_and_copies_where_asked(thirds: list[Path], tmp_path: Path) -> None:
    linked, copied = merge(tmp_path / "linked", thirds), merge(tmp_path / "copy", thirds, copy=True)
    assert same(linked, copied)
    for part in thirds:
        for file in (part / "shards").iterdir():
            assert (linked.path / "shards" / file.name).samefile(file)
            assert not (copied.path / "shards" / file.name).samefile(file)
    assert check(copied.path, full=True) == []


def test_where_there_are_no_links_files_are_copied(
    thirds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def refuse(source: Any, target: Any, **how: Any) -> None:
        if Path(source).is_absolute():  # of another zoo, not of the folder that is written in
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target, **how)

    monkeypatch.setattr(os, "link", refuse)
    assert check(merge(tmp_path / "zoo", thirds).path, full=True) == []


def test_zoos_are_added_to_a_zoo_and_equal_ones_taken_once(
    thirds: list[Path], whole: Zoo, tmp_path: Path
) -> None:
    out, twin = tmp_path / "zoo", shutil.copytree(thirds[1], tmp_path / "twin")
    merge(out, thirds[:2])
    once = contents(out)
    assert contents(merge(out, [twin, thirds[0]]).path) == once
    merged = merge(out, [thirds[2], twin])
    assert merged.nets.select(ROW).equals(whole.nets.select(ROW))
    assert once.items() <= contents(out).items()
    assert check(out, full=True) == []


def test_a_merged_zoo_without_a_shard_is_completed_by_sampling(
    thirds: list[Path], whole: Zoo, tmp_path: Path
) -> None:
    merged = merge(tmp_path / "zoo", thirds[1:])
    assert merged.nets.height < 24
    every = small(merged.path, snapshots=3)
    assert every.nets.select(ROW).equals(whole.nets.select(ROW))
    assert check(merged.path, full=True) == []


SLOW = pytest.mark.slow


@pytest.mark.parametrize("files", [1, pytest.param(4, marks=SLOW), pytest.param(9, marks=SLOW), 20])
def test_a_killed_merge_shows_and_is_continued(
    thirds: list[Path], tmp_path: Path, files: int
) -> None:
    """Killed when a file has its hidden name and not yet its own."""
    out = tmp_path / "zoo"
    assert Copy(merged_until, files, out, thirds).wait(timeout=60) == -signal.SIGKILL
    findings = check(out, full=True)
    assert {f.severity for f in findings} == {"warning"}
    nets = Zoo(out).nets.height
    assert nets < 24
    assert nets == 0 or any(f.thing.startswith("rounds/") for f in findings)
    assert merge(out, thirds).nets.height == 24
    assert check(out, full=True) == []


def test_what_does_not_belong_together_is_not_merged(
    thirds: list[Path], whole: Zoo, tmp_path: Path
) -> None:
    out, one = tmp_path / "zoo", thirds[0]
    other = {
        "the seed is 1, not 0": {"seed": 1},
        "the number of snapshots is 4, not 3": {"snapshots": 4},
        "evaluation_images is 9, not 500": {"evaluation_images": 9},
        "dataset of the space": {"datasets": ["digits"]},
    }
    for i, (told, options) in enumerate(other.items()):
        path = tmp_path / str(i)
        small(path, **({"nets": 1, "snapshots": 3} | options))
        with pytest.raises(UsageError, match=f"{path}: is from another run than {one}, .*{told}"):
            merge(out, [one, path])
    with pytest.raises(UsageError, match=r"holds net number \d+ of the draw, which .* also holds"):
        merge(out, [one, whole.path])
    with pytest.raises(UsageError, match="is given twice"):
        merge(out, [one, thirds[1], one])
    with pytest.raises(UsageError, match="is given twice"):
        merge(one, [thirds[1], one])
    with pytest.raises(UsageError, match="is not a list of zoos"):
        merge(out, [])
    with pytest.raises(DataError, match="nowhere: no such directory"):
        merge(out, [one, tmp_path / "nowhere"])
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not a zoo and has other files in it"):
        merge(out, thirds)
    assert contents(out) == {"thesis.txt": b"precious"}


def test_other_images_are_not_merged(thirds: list[Path], tmp_path: Path) -> None:
    other = shutil.copytree(thirds[0], tmp_path / "other")
    file = other / "rounds" / "000001.json"
    plain = json.loads(file.read_text())
    plain["images"]["digits"] = "0" * 16
    del plain["checksum"]
    file.write_text(json.dumps(plain))
    with pytest.raises(UsageError, match=r"the digest of digits is 0{16}, not [0-9a-f]{16}"):
        merge(tmp_path / "zoo", [thirds[1], other])


def test_a_net_with_other_weights_is_refused_with_its_name(
    thirds: list[Path], tmp_path: Path
) -> None:
    """The same shard on another machine: the same stacks, other rounding."""
    other = shutil.copytree(thirds[0], tmp_path / "other")
    file = min((other / "snapshots").iterdir())
    table = pq.read_table(file)
    at, field = table.schema.get_field_index("checksum"), table.schema.field("checksum")
    with (other / "shards" / f"{file.stem}.safetensors").open("r+b") as shard:
        shard.seek(table["offset"][0].as_py())
        values = bytes(4 * table["length"][0].as_py())
        shard.write(values)
    changed = pa.array([digest(values), *table["checksum"].to_pylist()[1:]])
    pq.write_table(table.set_column(at, field, changed), file, write_page_checksum=True)
    net = table["net"][0]
    with pytest.raises(UsageError, match=f"other: net {net} is also in .* and has other weights"):
        merge(tmp_path / "zoo", [thirds[0], other])
    assert not (tmp_path / "zoo").exists()


def test_a_damaged_zoo_is_not_merged(thirds: list[Path], tmp_path: Path) -> None:
    bad = shutil.copytree(thirds[0], tmp_path / "bad")
    shard = next((bad / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(DataError, match=rf"bad: shards/{shard.name}: has [\d,]+ bytes, but"):
        merge(tmp_path / "zoo", [bad, thirds[1]])
    assert not (tmp_path / "zoo").exists()


def test_zoos_that_nobody_sampled_are_merged_as_well(tmp_path: Path) -> None:
    """Written by other means, without rounds: the result says what it was to hold."""
    for unit in (0, 1):
        write(open_writer(tmp_path / str(unit)), unit)
    parts = [tmp_path / "0", tmp_path / "1"]
    merged = merge(tmp_path / "zoo", parts)
    assert merged.nets.height == 8
    assert sum(one.count for one in merged.rounds.values()) == 8
    assert check(merged.path, full=True) == []


def test_units_of_one_name_and_other_nets_are_not_merged(tmp_path: Path) -> None:
    """None of them may be dropped for being there already."""
    for number in (0, 1):
        write(open_writer(tmp_path / str(number)), number, "unit")
    parts = [tmp_path / "0", tmp_path / "1"]
    with pytest.raises(
        UsageError, match=r"1: stack unit holds other nets than in .*0, such as \w+"
    ):
        merge(tmp_path / "zoo", parts)
    assert not (tmp_path / "zoo").exists()


def test_units_of_other_layouts_keep_theirs(tmp_path: Path) -> None:
    sizes = {"a": 3, "b": 5}
    for number, (name, size) in enumerate(sizes.items()):
        net = recipes(number)[0]
        arguments = {"nets": [net.net], "layout": flat(size), "snapshots": 1}
        with open_writer(tmp_path / name).unit(name, **arguments) as unit:
            unit.put(net.net, 1, np.full(size, size, "f4"))
            unit.commit(nets=[net_row(net, net.seed)], snapshots=[moment(net.net, 1)])
    merged = merge(tmp_path / "zoo", [tmp_path / "a", tmp_path / "b"])
    assert [merged.vector(net).tolist() for net in merged.nets["net"]] == [[3.0] * 3, [5.0] * 5]
    assert check(merged.path, full=True) == []


def test_a_unit_of_one_name_with_another_layout_is_refused(tmp_path: Path) -> None:
    """The same net, trained by code that lays it out otherwise."""
    net = recipes(0)[0]
    for size in (3, 5):
        arguments = {"nets": [net.net], "layout": flat(size), "snapshots": 1}
        with open_writer(tmp_path / str(size)).unit("unit", **arguments) as unit:
            unit.put(net.net, 1, np.zeros(size, "f4"))
            unit.commit(nets=[net_row(net, 0)], snapshots=[moment(net.net, 1)])
    with pytest.raises(UsageError, match=rf"net {net.net} is also in .* and has other weights the"):
        merge(tmp_path / "zoo", [tmp_path / "3", tmp_path / "5"])
    assert not (tmp_path / "zoo").exists()


def test_a_merge_that_was_stopped_is_not_continued_by_sampling(
    thirds: list[Path], tmp_path: Path
) -> None:
    out = shutil.copytree(thirds[0], tmp_path / "zoo")
    held = {int(i) for i in Zoo(out).rounds[1].indices}
    rounds.add(out, 2, Round.of(set(range(24)) - held, {}, {}))
    with pytest.raises(DataError, match="a merge into it was stopped; run the same merge again"):
        small(out, snapshots=3)
