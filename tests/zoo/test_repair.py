"""After `repair` a zoo is sound, what was sound is still there, and nothing is lost for good."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.copies import Copy
from support.killing import repaired_until
from support.small_units import LAYOUT, SNAPSHOTS, open_writer, recipes, vector, write
from support.tiny_runs import same, small, stacks_of
from weightspace.cli.app import run
from weightspace.errors import DataError
from weightspace.zoo import Zoo, check, repair

UNITS = 3


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "zoo"
    for unit in range(UNITS):
        write(open_writer(path), unit)
    return path


@pytest.fixture
def zoo(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "zoo")


def nets(*units):
    return {recipe.net for unit in units for recipe in recipes(unit)}


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def spoil(zoo, net, snapshot):
    """Flip a bit of one vector; the file as it then is."""
    row = Zoo(zoo).snapshots.row(by_predicate=_is(net, snapshot), named=True)
    flip(zoo / "shards" / row["shard"], row["offset"] + 5)
    return (zoo / "shards" / row["shard"]).read_bytes()


def _is(net, snapshot):
    import polars as pl

    return (pl.col("net") == net) & (pl.col("snapshot") == snapshot)


def assert_sound(zoo, expected):
    """The zoo holds these nets, with the values that were written."""
    assert [f for f in check(zoo, full=True) if f.severity == "error"] == []
    found = Zoo(zoo)
    assert set(found.nets["net"]) == expected
    assert found.snapshots.height == len(expected) * SNAPSHOTS
    for unit in range(UNITS):
        for recipe in recipes(unit):
            if recipe.net in expected:
                for k in range(1, SNAPSHOTS + 1):
                    np.testing.assert_array_equal(found.vector(recipe.net, k), vector(recipe, k))


def test_a_sound_zoo_stays_as_it_is(zoo):
    before = {file: file.read_bytes() for file in zoo.rglob("*") if file.is_file()}
    done = repair(zoo)
    assert (done.findings, done.aside, done.kept, done.lost) == ((), None, (), ())
    assert {file: file.read_bytes() for file in zoo.rglob("*") if file.is_file()} == before


def test_a_damaged_net_goes_and_the_others_of_its_unit_stay(zoo):
    bad = recipes(1)[2].net
    damaged = spoil(zoo, bad, 2)
    columns = Zoo(zoo).nets.columns
    done = repair(zoo)
    assert [f.message for f in done.findings] == [f"net {bad}, snapshot 2: its values are damaged"]
    assert (done.lost, set(done.kept)) == ((bad,), nets(1) - {bad})
    assert_sound(zoo, nets(0, 1, 2) - {bad})
    assert Zoo(zoo).nets.columns == columns
    assert done.aside == zoo / "aside/0001"
    assert (done.aside / "shards/unit-001.safetensors").read_bytes() == damaged
    assert (done.aside / "nets/unit-001.parquet").exists()
    assert not (done.aside / "kept").exists()
    (why,) = json.loads((done.aside / "findings.json").read_text())
    assert why["message"] == done.findings[0].message
    assert repair(zoo).aside is None


def test_damage_of_every_kind_at_once(zoo):
    spoil(zoo, recipes(0)[0].net, 1)
    spoil(zoo, recipes(0)[0].net, 3)
    shard = zoo / "shards/unit-001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])  # the end of the last net
    (zoo / "nets/unit-002.parquet").write_bytes(b"PAR1")
    done = repair(zoo)
    gone = {recipes(0)[0].net, recipes(1)[3].net} | nets(2)
    assert_sound(zoo, nets(0, 1) - gone)
    assert set(done.lost) == gone
    spoil(zoo, recipes(0)[1].net, 1)
    assert repair(zoo).lost == (recipes(0)[1].net,)
    assert_sound(zoo, nets(0, 1) - gone - {recipes(0)[1].net})
    assert sorted(p.name for p in (zoo / "aside").iterdir()) == ["0001", "0002"]


@pytest.mark.parametrize("at", [3, 30, 300])
def test_a_damaged_header_costs_no_net(zoo, at):
    flip(zoo / "shards/unit-000.safetensors", at)
    assert repair(zoo).lost == ()
    assert_sound(zoo, nets(0, 1, 2))


@pytest.mark.parametrize("lost", ["shards", "snapshots"])
def test_a_unit_of_which_a_file_is_missing_goes(zoo, lost):
    next((zoo / lost).glob("unit-001.*")).unlink()
    assert set(repair(zoo).lost) == nets(1)
    assert_sound(zoo, nets(0, 2))


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_layout_is_made_again_from_a_recipe(zoo, text):
    file = zoo / "layouts" / f"{LAYOUT.key}.json"
    whole = file.read_bytes()
    file.unlink() if text is None else file.write_text(text)
    done = repair(zoo)
    assert done.lost == ()
    assert_sound(zoo, nets(0, 1, 2))
    assert file.read_bytes() == whole
    assert (done.aside / "layouts" / file.name).exists() == (text is not None)


def test_a_layout_that_no_recipe_describes_costs_its_units(zoo):
    for unit in range(UNITS):
        file = zoo / f"nets/unit-{unit:03d}.parquet"
        table = pq.read_table(file)
        values = pa.array([9] * table.num_rows)
        table = table.set_column(table.schema.get_field_index("width_fc"), "width_fc", values)
        pq.write_table(table, file, write_page_checksum=True)
    (zoo / "layouts" / f"{LAYOUT.key}.json").unlink()
    assert set(repair(zoo).lost) == nets(0, 1, 2)
    assert_sound(zoo, set())


def test_a_net_in_two_units_stays_in_the_first(zoo):
    for folder, suffix in (
        ("nets", "parquet"),
        ("snapshots", "parquet"),
        ("shards", "safetensors"),
    ):
        shutil.copy(zoo / folder / f"unit-000.{suffix}", zoo / folder / f"unit-000b.{suffix}")
    done = repair(zoo)
    assert done.lost == ()
    assert_sound(zoo, nets(0, 1, 2))
    assert set(Zoo(zoo).nets["unit"]) == {"unit-000", "unit-001", "unit-002"}


def test_values_that_no_table_lists_are_dropped(zoo):
    file = zoo / "snapshots/unit-001.parquet"
    pq.write_table(pq.read_table(file).slice(1), file, write_page_checksum=True)
    assert repair(zoo).lost == ()
    assert check(zoo, full=True) == []
    assert Zoo(zoo).snapshots.height == UNITS * 4 * SNAPSHOTS - 1


def test_a_damaged_round_is_set_aside(zoo):
    (zoo / "rounds/000001.json").write_text("{")
    done = repair(zoo)
    assert [f.thing for f in done.findings] == ["rounds/000001.json"]
    assert (done.aside / "rounds/000001.json").read_text() == "{"
    assert_sound(zoo, nets(0, 1, 2))


def test_a_zoo_that_does_not_say_what_it_is_cannot_be_repaired(zoo, tmp_path):
    (zoo / "zoo.json").write_text("{")
    with pytest.raises(DataError, match=r"zoo.json: is damaged, it is not JSON"):
        repair(zoo)
    with pytest.raises(DataError, match="no such directory"):
        repair(tmp_path / "nothing")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_whatever_was_damaged_the_rest_is_there_and_right(sound, tmp_path_factory, seed):
    chance = random.Random(seed)
    path = shutil.copytree(sound, tmp_path_factory.mktemp("fuzz") / "zoo")
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "zoo.json")
    touched = chance.sample(files, chance.choice([1, 1, 2, 4]))
    for file in touched:
        data = bytearray(file.read_bytes())
        for _ in range(chance.choice([1, 8])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data[: chance.randint(0, len(data))] if chance.random() < 0.3 else data)
    bytes_before = {file.read_bytes() for file in touched}
    done = repair(path)
    left = set(Zoo(path).nets["net"])
    assert_sound(path, left)
    assert not left & set(done.lost)
    whole = [u for u in range(UNITS) if not any(f.stem == f"unit-{u:03d}" for f in touched)]
    assert left >= nets(*whole)
    # Nothing that was there is gone for good.
    assert bytes_before <= {file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_repair_that_is_killed_is_finished_by_the_next(zoo, tmp_path):
    bad = [recipes(0)[1].net, recipes(2)[0].net]
    for net in bad:
        spoil(zoo, net, 1)
    shutil.copytree(zoo, tmp_path / "before")
    stopped = 0
    for after in (0, 3, 4, 5, 6, 7, 8, 9, 11, 14):
        shutil.rmtree(zoo)
        shutil.copytree(tmp_path / "before", zoo)
        assert Copy(repaired_until, after, zoo).wait(60) == 9
        if said := [f for f in check(zoo) if f.thing.startswith("aside/")]:
            assert said[0].message == "a repair was stopped before it put these nets back"
            stopped += 1
        repair(zoo)
        assert_sound(zoo, nets(0, 1, 2) - set(bad))
        assert not [f for f in check(zoo) if f.thing.startswith("aside/")]
    assert stopped


def test_what_is_gone_is_sampled_again(tmp_path):
    with stacks_of(4):
        whole = small(tmp_path / "whole", snapshots=3)
        zoo = shutil.copytree(whole.path, tmp_path / "zoo")
        units = sorted(zoo.glob("nets/*"))
        bad = Zoo(zoo).nets.filter(unit=units[0].stem)["net"].to_list()[:2]
        for net in bad:
            spoil(zoo, net, 3)
        (zoo / "shards" / f"{units[1].stem}.safetensors").unlink()
        done = repair(zoo)
        assert set(bad) < set(done.lost)
        assert len(Zoo(zoo).nets) == 24 - len(done.lost)
        again = small(zoo, snapshots=3)
        assert same(again, whole)
        assert check(zoo, full=True) == []
        before = sorted(zoo.glob("nets/*"))
        small(zoo, snapshots=3)
        assert sorted(zoo.glob("nets/*")) == before


def test_the_command_says_what_it_did(zoo, capsys):
    assert run(["repair", str(zoo)]) == 0
    assert capsys.readouterr().out == "nothing is damaged\n"
    bad = recipes(1)[2].net
    spoil(zoo, bad, 2)
    assert run(["check", str(zoo), "--full"]) == 1
    assert "run `weightspace repair`" in capsys.readouterr().out
    assert run(["repair", str(zoo)]) == 0
    said = capsys.readouterr().out
    assert f"net {bad}, snapshot 2: its values are damaged" in said
    assert f"set aside in {zoo}/aside/0001: 1 error\n" in said
    assert "nets of damaged shards: 3 kept, 1 lost" in said
    assert run(["check", str(zoo), "--full"]) == 0
    spoil(zoo, recipes(0)[0].net, 1)
    capsys.readouterr()
    assert run(["repair", str(zoo), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lost"] == [recipes(0)[0].net]
    assert found["aside"] == str(zoo / "aside/0002")
