"""Zoos of bfloat16: half the bytes, the nearest values, and everything else as in any zoo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file

from support import small_units
from support.format_page import CODE
from support.small_units import LAYOUT, NETS, SNAPSHOTS, SPACE, pairs, recipes, vector
from support.tiny_runs import small, stacks_of
from weightspace.cli.app import run
from weightspace.errors import DataError, UsageError
from weightspace.interop import export_zoo
from weightspace.sampling import estimate, reproduce
from weightspace.zoo import Writer, Zoo, check, merge, repair
from weightspace.zoo.files.dtypes import BFLOAT16, FLOAT32
from weightspace.zoo.writing.parcel import accept, pack, twin, vectors


def open_writer(path: Path) -> Writer:
    return small_units.open_writer(path, "bfloat16")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "zoo"
    for unit in (0, 1):
        small_units.write(open_writer(path), unit)
    return path


@pytest.fixture
def zoo(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "zoo")


def nearest(values: np.ndarray) -> np.ndarray:
    """By torch, another's arithmetic."""
    return torch.from_numpy(values.copy()).to(torch.bfloat16).float().numpy()


# ---- values


@given(hnp.arrays("u4", st.integers(0, 50)))
def test_values_are_rounded_as_torch_rounds_them(bits):
    values = bits.view("f4")
    numbers = values[~np.isnan(values)]
    assert BFLOAT16.rounded(numbers).tobytes() == nearest(numbers).tobytes()
    assert (np.isnan(BFLOAT16.rounded(values)) == np.isnan(values)).all()
    assert FLOAT32.rounded(values).tobytes() == values.tobytes()


def test_the_even_of_two_and_what_is_no_number():
    halves = np.array([0x3F808000, 0x3F818000, 0xFF800000, 0x7F7FFFFF, 0x7F800001, 0xFFFFFFFF])
    rounded = BFLOAT16.narrow(halves.astype("u4").view("f4"))
    assert rounded.tolist() == [0x3F80, 0x3F82, 0xFF80, 0x7F80, 0x7FC0, 0xFFFF]


def test_what_was_stored_is_stored_again_to_the_bit():
    every = np.arange(2**16, dtype="<u2")
    quiet = BFLOAT16.narrow(BFLOAT16.widen(every))
    numbers = ~np.isnan(BFLOAT16.widen(every))
    assert (quiet == every)[numbers].all()
    assert (BFLOAT16.narrow(BFLOAT16.widen(quiet)) == quiet).all()


# ---- a zoo


def test_a_zoo_says_what_it_holds_and_gives_float32(sound, tmp_path):
    zoo = Zoo(sound)
    assert json.loads((sound / "zoo.json").read_text())["dtype"] == "bfloat16"
    assert check(sound, full=True) == []
    for recipe, k in [*pairs(0), *pairs(1)]:
        found = zoo.vector(recipe.net, k)
        assert found.dtype == np.float32
        assert not found.flags.writeable
        assert found.tobytes() == nearest(vector(recipe, k)).tobytes()
    for one in zoo.vectors():
        for k, values in zip(one.snapshots, one.values, strict=True):
            assert values.tobytes() == zoo.vector(one.net, int(k)).tobytes()
    wide = Path(small_units.open_writer(tmp_path).path)
    small_units.write(small_units.open_writer(wide), 0)
    data = 2 * LAYOUT.size * NETS * SNAPSHOTS
    sizes = [(p / "shards/unit-000.safetensors").stat().st_size for p in (sound, wide)]
    assert sizes[1] - sizes[0] in range(data - 64, data + 65)


@pytest.mark.parametrize(("part", "running"), [("all", True), ("conv", False), ("fc", False)])
def test_slices_are_those_of_the_vectors(sound, part, running):
    zoo = Zoo(sound)
    drawn = zoo.slices(50, 9, seed=2, part=part, running_stats=running)
    for values, net, snapshot, start in zip(
        drawn.values, drawn.net, drawn.snapshot, drawn.start, strict=True
    ):
        selected = zoo.vector(net, int(snapshot))[zoo.layout(net).indices(part, running)]
        np.testing.assert_array_equal(values, selected[start : start + 9])


def test_others_read_it_too(sound):
    tensors = load_file(sound / "shards/unit-000.safetensors")
    names: dict = {}
    exec(compile(CODE, "format.md", "exec"), names)
    read = {}
    for net, row, by_name in names["read_zoo"](sound, verify=True):
        read[net["net"], row["snapshot"]] = np.concatenate([t.ravel() for t in by_name.values()])
    for recipe, k in pairs(0):
        expected = nearest(vector(recipe, k)).tobytes()
        assert tensors[recipe.net].dtype == torch.bfloat16
        assert tensors[recipe.net][k - 1].float().numpy().tobytes() == expected
        assert read[recipe.net, k].tobytes() == expected


def test_one_zoo_is_of_one_dtype(sound, tmp_path):
    with pytest.raises(UsageError, match=r'the dtype is "bfloat16" there and "float32" here'):
        small_units.open_writer(sound)
    other = tmp_path / "other"
    small_units.write(small_units.open_writer(other), 2)
    with pytest.raises(UsageError, match=r"other: is from another run .* the dtype is .*float32"):
        merge(tmp_path / "zoo", [sound, other])
    with pytest.raises(UsageError, match="dtype: 'float16' is none of float32, bfloat16"):
        Writer(tmp_path / "new", space=SPACE, seed=0, dtype="float16")
    assert not (tmp_path / "new").exists()


def test_an_unknown_dtype_is_damage(zoo):
    meta = json.loads((zoo / "zoo.json").read_text())
    del meta["checksum"]
    (zoo / "zoo.json").write_text(json.dumps(meta | {"dtype": "int4"}))
    with pytest.raises(DataError, match=r"zoo.json: is damaged, dtype: 'int4' is none of float32"):
        Zoo(zoo)
    (zoo / "zoo.json").write_text(json.dumps(meta | {"dtype": "float32"}))
    assert {f.message.split(" at ")[0] for f in check(zoo)} == {"is damaged, its header is wrong"}


def test_it_is_merged_repaired_and_sent_as_any_other(zoo, tmp_path):
    third = tmp_path / "third"
    small_units.write(open_writer(third), 2)
    merged = merge(tmp_path / "merged", [zoo, third], copy=True)
    assert merged.nets.height == 3 * NETS
    spoilt = recipes(1)[2].net
    row = merged.snapshots.filter(net=spoilt, snapshot=2)
    file = merged.path / "shards" / row["shard"][0]
    data = bytearray(file.read_bytes())
    data[row["offset"][0] + 3] ^= 1
    file.write_bytes(data)
    (finding,) = check(merged.path, full=True)
    assert finding.message == f"net {spoilt}, snapshot 2: its values are damaged"
    assert repair(merged.path).lost == (spoilt,)
    assert [f for f in check(merged.path, full=True) if f.severity == "error"] == []
    left = Zoo(merged.path)
    writer = twin(open_writer(merged.path), tmp_path / "sent")
    for unit in left.nets["unit"].unique():
        parcel = pack(left, unit)
        accept(writer, parcel, vectors(left, parcel))
    sent = Zoo(tmp_path / "sent")
    assert check(sent.path, full=True) == []
    assert sent.nets.height == 3 * NETS - 1
    for net in sent.nets["net"]:
        assert sent.vector(net).tobytes() == left.vector(net).tobytes()


def test_a_unit_that_was_stopped_goes_on(tmp_path):
    net = recipes(0)[0]
    arguments = {"nets": [net.net], "layout": LAYOUT, "snapshots": 2, "going_on": True}
    with open_writer(tmp_path).unit("u", **arguments) as unit:
        unit.put(net.net, 1, vector(net, 1))
        unit.save({}, {"at": 1})
    assert Zoo(tmp_path).nets.is_empty()
    with open_writer(tmp_path).unit("u", **arguments) as unit:
        assert unit.trouble == ""
        assert unit.saved is not None
        unit.put(net.net, 2, vector(net, 2))
        moments = [small_units.moment(net.net, k) for k in (1, 2)]
        unit.commit(nets=[small_units.net_row(net)], snapshots=moments)
    zoo = Zoo(tmp_path)
    assert [zoo.vector(net.net, k).tobytes() for k in (1, 2)] == [
        nearest(vector(net, k)).tobytes() for k in (1, 2)
    ]
    assert check(tmp_path, full=True) == []


# ---- sampled


def test_a_sampled_zoo_is_the_other_rounded(tmp_path, capsys):
    settings = {"nets": 2, "snapshots": 2}
    with stacks_of(2):
        wide = small(tmp_path / "wide", **settings)
        zoo = small(tmp_path / "zoo", dtype="bfloat16", **settings)
    for net in wide.nets["net"]:
        for k in (1, 2):
            assert zoo.vector(net, k).tobytes() == nearest(wide.vector(net, k)).tobytes()
        assert zoo.snapshots["test_loss"].equals(wide.snapshots["test_loss"])
    net = zoo.nets["net"][0]
    assert reproduce(zoo, net).differences[0].equal
    assert run(["info", str(zoo.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "bfloat16"
    export_zoo(zoo, tmp_path / "out", "safetensors")
    for file in (tmp_path / "out").rglob("*.safetensors"):
        values = np.concatenate([t.float().numpy().ravel() for t in load_file(file).values()])
        assert values.tobytes() == BFLOAT16.rounded(values).tobytes()
    assert file.exists()


def test_the_command_takes_it_and_half_the_disk_is_needed(tmp_path, capsys):
    settings = {"nets": 4, "out": tmp_path / "never", "snapshots": 20}
    wide = estimate("nws-fixed", **settings)
    half = estimate("nws-fixed", dtype="bfloat16", **settings)
    assert half.values == wide.values
    assert wide.disk_bytes - half.disk_bytes == pytest.approx(2 * wide.values, rel=0.3)
    command = ["sample", "demo", "--nets", "1", "--out", str(tmp_path / "x"), "--dtype", "int8"]
    assert run(command) == 2
    assert "dtype: 'int8' is none of float32, bfloat16" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
