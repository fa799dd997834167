"""Damage of every kind: found, named, with a remedy, and never believed by the reader."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.small_units import LAYOUT, NETS, SNAPSHOTS, open_writer, recipes, write
from weightspace.errors import DataError
from weightspace.zoo import Finding, Zoo, check
from weightspace.zoo.files.dtypes import FLOAT32
from weightspace.zoo.files.shard import read as read_header

NET = recipes(0)[1].net
FIRST = f"which concerns net {recipes(0)[0].net} and {NETS - 1} more"
AGAIN = "run `weightspace repair`, then the same `weightspace sample` command again"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "zoo"
    for unit in (0, 1):
        write(open_writer(path), unit)
    return path


@pytest.fixture
def zoo(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "zoo")


def only(path, *, full=False) -> Finding:
    findings = check(path, full=full)
    assert len(findings) == 1, findings
    assert findings[0].severity == "error"
    return findings[0]


def shard(path):
    return path / "shards/unit-000.safetensors"


def rewrite(file, **columns):
    """Replace values of a table: column=function of the list of values."""
    table = pq.read_table(file)
    for name, change in columns.items():
        field = table.schema.field(name)
        values = pa.array(change(table[name].to_pylist()), field.type)
        table = table.set_column(table.schema.get_field_index(name), field, values)
    pq.write_table(table, file, write_page_checksum=True)


def test_a_sound_zoo_has_no_findings_and_says_how_far_it_is(zoo):
    told = []
    assert check(zoo, full=True, progress=lambda *said: told.append(said)) == []
    assert {task for task, _, _ in told} == {"checking the zoo"}
    assert {total for _, _, total in told} == {2}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert done[-1] == 2


def test_a_flipped_bit_names_net_and_snapshot(zoo):
    at = int(Zoo(zoo).snapshots.row(by_predicate=_is(NET, 2), named=True)["offset"])
    data = bytearray(shard(zoo).read_bytes())
    data[at + 17] ^= 4
    shard(zoo).write_bytes(data)
    assert check(zoo) == []
    found = only(zoo, full=True)
    assert found.thing == "shards/unit-000.safetensors"
    assert found.message == f"net {NET}, snapshot 2: its values are damaged"
    assert found.remedy.startswith(AGAIN)
    assert str(found) == f"error: {found.thing}: {found.message}; {found.remedy}"


def test_a_missing_shard_is_named(zoo):
    shard(zoo).unlink()
    found = only(zoo)
    assert (found.thing, found.message) == ("shards/unit-000.safetensors", f"is missing, {FIRST}")
    assert found.remedy.startswith(AGAIN)
    reader = Zoo(zoo)
    told = rf"unit-000.safetensors: cannot be opened .*No such file.*, net {NET} is in it; run"
    with pytest.raises(DataError, match=told):
        reader.vector(NET)
    with pytest.raises(DataError, match=r"net [0-9a-f]+ is in it; run `weightspace check`"):
        reader.slices(8, 10)
    assert reader.vector(recipes(1)[0].net).any()


@pytest.mark.parametrize("keep", [0, 7, 100, 1000, -4, -1])
def test_a_truncated_shard_is_named_and_not_read_beyond_its_end(zoo, keep):
    whole = shard(zoo).read_bytes()
    shard(zoo).write_bytes(whole[:keep])
    found = only(zoo)
    assert found.thing == "shards/unit-000.safetensors"
    assert f"but {len(whole):,} were written" in found.message
    told = "cannot be opened|longer than the file|lies outside the file, which may be truncated"
    with pytest.raises(DataError, match=f"unit-000.safetensors: .*({told})"):
        Zoo(zoo).vector(recipes(0)[NETS - 1].net)


def test_a_header_that_was_changed_is_noticed(zoo):
    data = shard(zoo).read_bytes()
    other = NET.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    shard(zoo).write_bytes(data.replace(NET.encode(), other.encode()))
    assert only(zoo).message == f"its header is not the one written, {FIRST}"


@pytest.mark.parametrize("length", [2**63, 2**40, 100_000_001])
def test_a_huge_header_is_refused(zoo, length):
    data = bytearray(shard(zoo).read_bytes())
    data[:8] = length.to_bytes(8, "little")
    shard(zoo).write_bytes(data)
    assert "longer than the file" in only(zoo).message
    with pytest.raises(DataError, match="its header is longer than the file"):
        Zoo(zoo).vector(NET)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("[]", "not a table of tensors"),
        ("{}", "names no net"),
        ("{", "is not JSON"),
        ('{"a": 1, "a": 1}', "a name is repeated"),
        ('{"a": {"dtype": "F16", "shape": [1, 1], "data_offsets": [0, 4]}}', "wrong at net a"),
        ('{"a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [4, 8]}}', "wrong at net a"),
        ('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', "wrong at net a"),
        ('{"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}', "wrong at net a"),
        (
            '{"a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}',
            "4 bytes instead of|bytes",
        ),
        ("[" * 50_000, "is not JSON"),
    ],
)
def test_a_header_of_another_kind_is_refused(tmp_path, header, told):
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
    with pytest.raises(DataError, match=f"x.safetensors: is damaged, .*({told})"):
        read_header(file, FLOAT32)


@pytest.mark.parametrize("folder", ["nets", "snapshots"])
@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_a_truncated_table_is_named_by_check_and_reader(zoo, folder, cut):
    file = zoo / folder / "unit-000.parquet"
    file.write_bytes(file.read_bytes()[:cut])
    found = only(zoo)
    assert found.thing == f"{folder}/unit-000.parquet"
    assert found.message.startswith("is damaged")
    assert found.message.endswith(FIRST)  # told by the shard, where the table of nets is gone
    assert found.remedy.startswith(AGAIN)
    with pytest.raises(DataError, match=f"{folder}/unit-000.parquet: is damaged"):
        _ = Zoo(zoo).snapshots


@pytest.mark.parametrize("folder", ["nets", "snapshots"])
def test_a_flipped_bit_in_a_table_is_noticed_or_changes_nothing(tmp_path, folder):
    zoo = tmp_path / "zoo"
    write(open_writer(zoo), 0)  # alone: others would be read again for each bit
    file = zoo / folder / "unit-000.parquet"
    sound, table = file.read_bytes(), getattr(Zoo(zoo), folder)
    noticed = 0
    places = range(0, len(sound), 61)
    for at in places:
        file.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        try:
            assert getattr(Zoo(zoo), folder).equals(table)
        except DataError as error:
            assert f"{folder}/unit-000.parquet: " in str(error)  # noqa: PT017
            assert only(zoo).thing == f"{folder}/unit-000.parquet"
            noticed += 1
    assert noticed > 0.5 * len(places)


def test_a_missing_table_of_snapshots_is_named(zoo):
    (zoo / "snapshots/unit-000.parquet").unlink()
    found = only(zoo)
    assert (found.thing, found.message) == ("snapshots/unit-000.parquet", f"is missing, {FIRST}")


def test_a_unit_without_its_nets_part_does_not_count(zoo):
    (zoo / "nets/unit-000.parquet").unlink()
    assert set(Zoo(zoo).nets["unit"]) == {"unit-001"}
    findings = check(zoo, full=True)
    assert [f.severity for f in findings] == ["warning", "warning"]
    assert [f.thing for f in findings] == [
        "shards/unit-000.safetensors",
        "snapshots/unit-000.parquet",
    ]
    assert "stack unit-000 is incomplete" in findings[0].message
    assert findings[0].remedy.startswith("run the same `weightspace sample` command again")
    write(open_writer(zoo), 0)
    assert check(zoo, full=True) == []


def test_damaged_snapshots_of_a_net_are_named_together(zoo):
    data = bytearray(shard(zoo).read_bytes())
    rows = Zoo(zoo).snapshots.filter(net=NET).to_dicts()
    for row in rows:
        data[row["offset"]] ^= 1
    other = recipes(0)[2].net
    data[Zoo(zoo).snapshots.row(by_predicate=_is(other, 3), named=True)["offset"]] ^= 1
    shard(zoo).write_bytes(data)
    assert [f.message for f in check(zoo, full=True)] == [
        f"net {NET}, snapshots 1-{SNAPSHOTS}: its values are damaged",
        f"net {other}, snapshot 3: its values are damaged",
    ]


def test_a_damaged_layout_is_named_once_with_the_nets_of_all_units(zoo):
    file = zoo / "layouts" / f"{LAYOUT.key}.json"
    file.write_bytes(b"")
    found = only(zoo, full=True)
    assert found.thing == f"layouts/{LAYOUT.key}.json"
    assert f"which concerns net {recipes(0)[0].net} and {2 * NETS - 1} more" in found.message


@pytest.mark.parametrize("change", ["missing", "empty", "other", "gap", "not JSON"])
def test_a_damaged_layout_is_named(zoo, change):
    file = zoo / "layouts" / f"{LAYOUT.key}.json"
    rows = json.loads(file.read_text())
    if change == "missing":
        file.unlink()
    elif change == "other":
        rows[0]["name"] = "conv9.weight"
        file.write_text(json.dumps(rows, separators=(",", ":")))
    elif change == "gap":
        file.write_text(json.dumps(rows[1:], separators=(",", ":")))
    else:
        file.write_text({"empty": "[]", "not JSON": "{"}[change])
    findings = check(zoo)
    assert {f.thing for f in findings} == {f"layouts/{LAYOUT.key}.json"}
    with pytest.raises(DataError, match=f"layouts/{LAYOUT.key}.json: "):
        Zoo(zoo).layout(NET)


def test_a_net_in_two_units_is_named_with_both(zoo):
    for folder, suffix in (
        ("nets", "parquet"),
        ("snapshots", "parquet"),
        ("shards", "safetensors"),
    ):
        shutil.copy(zoo / folder / f"unit-000.{suffix}", zoo / folder / f"unit-000b.{suffix}")
    messages = [f.message for f in check(zoo)]
    assert f"net {NET} is also in stack unit-000" in messages
    with pytest.raises(DataError, match="is in two stacks, unit-000 and unit-000"):
        Zoo(zoo)


def test_files_that_do_not_belong_are_mentioned(zoo):
    (zoo / "shards/notes.txt").write_text("hm")
    (zoo / "README.md").write_text("a card belongs")
    (finding,) = check(zoo)
    assert (finding.severity, finding.thing) == ("info", "shards/notes.txt")


def test_values_in_a_row_that_no_table_lists_are_noticed(zoo):
    file = zoo / "snapshots/unit-000.parquet"
    pq.write_table(pq.read_table(file).slice(1), file, write_page_checksum=True)
    assert check(zoo) == []
    found = only(zoo, full=True)
    assert found.message == f"net {recipes(0)[0].net}, snapshot 1: has values but is in no table"


# ---- tables that lie


@pytest.mark.parametrize("offset", [-4, 0, 6, 2**62, 2**63 - 4])
def test_an_offset_is_never_believed(zoo, offset):
    rewrite(zoo / "snapshots/unit-000.parquet", offset=lambda v: [offset, *v[1:]])
    net = recipes(0)[0].net
    assert only(zoo).message == f"net {net}, snapshot 1: has a wrong offset or length"
    reader = Zoo(zoo)
    with pytest.raises(DataError, match=rf"net {net}, snapshot 1: lies outside the file"):
        reader.vector(net, 1)
    with pytest.raises(DataError, match="lies outside the file"):
        reader.slices(8, 10, nets=[net], snapshots=(1,))


@pytest.mark.parametrize("length", [-1, 0, LAYOUT.size + 1, 2**62])
def test_a_length_is_never_believed(zoo, length):
    rewrite(zoo / "snapshots/unit-000.parquet", length=lambda v: [length, *v[1:]])
    assert "has a wrong offset or length" in only(zoo).message
    with pytest.raises(DataError, match="vectors longer or shorter than its layout"):
        Zoo(zoo).vector(recipes(0)[0].net, 1)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b.safetensors", "", "x.bin"])
def test_a_shard_that_leads_elsewhere_is_refused(zoo, name):
    rewrite(zoo / "snapshots/unit-000.parquet", shard=lambda v: [name] * len(v))
    assert {f.thing for f in check(zoo)} == {"snapshots/unit-000.parquet"}
    told = rf"unit-000.parquet: net \w+: shard is {name!r}, which is not possible; run"
    with pytest.raises(DataError, match=told):
        Zoo(zoo).vector(NET)


def test_a_layout_key_that_leads_elsewhere_is_refused(zoo):
    rewrite(zoo / "nets/unit-000.parquet", layout=lambda v: ["../../x"] * len(v))
    with pytest.raises(DataError, match=r"layout is '../../x', which is not possible"):
        Zoo(zoo).layout(NET)
    assert any("which is not possible" in f.message for f in check(zoo))


@pytest.mark.parametrize(
    ("folder", "column", "change", "told"),
    [
        ("nets", "net", lambda v: ["stray", *v[1:]], "is in only one of the table and the shard"),
        ("nets", "net", lambda v: [v[1], *v[1:]], "is in it 2 times"),
        ("nets", "split", lambda v: ["dev", *v[1:]], "is in split 'dev'"),
        ("nets", "unit", lambda v: ["unit-007", *v[1:]], "names another stack, unit-007"),
        ("snapshots", "net", lambda v: ["stray", *v[1:]], "there is no such vector"),
        ("snapshots", "snapshot", lambda v: [99, *v[1:]], "there is no such vector"),
        ("snapshots", "snapshot", lambda v: [2, *v[1:]], "has two rows"),
        ("snapshots", "checksum", lambda v: ["", *v[1:]], "has no checksum"),
    ],
)
def test_tables_that_contradict_the_shard_are_named(zoo, folder, column, change, told):
    rewrite(zoo / folder / "unit-000.parquet", **{column: change})
    findings = [f for f in check(zoo) if told in f.message]
    assert [f.thing for f in findings] == [f"{folder}/unit-000.parquet"]


@pytest.mark.parametrize("name", ["unit-404.safetensors", "unit-001.safetensors"])
def test_a_table_that_names_an_absent_or_another_units_shard_is_named(zoo, name):
    rewrite(zoo / "snapshots/unit-000.parquet", shard=lambda v: [name] * len(v))
    findings = check(zoo)
    assert {f.thing for f in findings} == {"snapshots/unit-000.parquet"}
    what = f"names the shard {name!r}, which belongs to another stack"
    assert f"net {NET}, snapshots 1-{SNAPSHOTS}: {what}" in {f.message for f in findings}
    told = rf"net \w+, snapshot 1 names the shard {name!r}, which belongs to another stack; run"
    with pytest.raises(DataError, match=told):
        Zoo(zoo).vector(NET)


@pytest.mark.parametrize("folder", ["nets", "snapshots"])
@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.string()])
def test_a_column_of_another_type_is_named(zoo, folder, kind):
    file = zoo / folder / "unit-000.parquet"
    table = pq.read_table(file)
    at = table.schema.get_field_index("net" if kind != pa.string() else "step")
    at = table.schema.get_field_index("steps") if at < 0 else at
    name = table.schema.names[at]
    values = pa.array([None if kind != pa.string() else "1"] * len(table), kind)
    pq.write_table(table.set_column(at, name, values), file, write_page_checksum=True)
    told = rf"{folder}/unit-000.parquet: has no column {name} of \w+; run `weightspace repair`"
    with pytest.raises(DataError, match=told):
        _ = Zoo(zoo).snapshots
    assert only(zoo).thing == f"{folder}/unit-000.parquet"


@pytest.mark.parametrize("dtype", ["F16", "F64", "I32", "BF16"])
def test_a_shard_of_another_dtype_is_named(zoo, dtype):
    data = shard(zoo).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b'"F32"', f'"{dtype}"'.encode()).rstrip()
    shard(zoo).write_bytes(data[:8] + header.ljust(length) + data[8 + length :])
    found = only(zoo)
    assert found.thing == "shards/unit-000.safetensors"
    assert found.message.startswith(f"is damaged, its header is wrong at net {recipes(0)[0].net}")


def test_a_header_that_claims_more_values_than_there_are_is_named(zoo):
    """10^12 values a net, where the file holds some hundred."""
    header = json.dumps(
        {NET: {"dtype": "F32", "shape": [1, 10**12], "data_offsets": [0, 4 * 10**12]}}
    ).encode()
    shard(zoo).write_bytes(len(header).to_bytes(8, "little") + header + bytes(400))
    with pytest.raises(DataError, match=r"it has [\d,]+ bytes instead of 4,000,[\d,]+; run"):
        read_header(shard(zoo), FLOAT32)
    assert only(zoo).thing == "shards/unit-000.safetensors"
    with pytest.raises(DataError, match="lies outside the file, which may be truncated"):
        Zoo(zoo).vector(NET)


def test_a_table_without_a_column_is_named(zoo):
    file = zoo / "nets/unit-000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["steps"]), file)
    with pytest.raises(DataError, match=r"nets/unit-000.parquet: has no column steps of int64"):
        Zoo(zoo)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not JSON"),
        ("[1]", "does not say that it describes"),
        ('{"format": "weightspace-zoo", "version": true}', "version True is not a whole number"),
        ('{"format": "weightspace-zoo", "version": 1}', "is damaged at 'space'"),
        ("[" * 100_000, "is not JSON"),
        (
            '{"format": "weightspace-zoo", "version": 1, "color": 1}',
            "an entry 'color', which the format",
        ),
    ],
)
def test_a_damaged_zoo_json_is_named(zoo, text, told):
    (zoo / "zoo.json").write_text(text)
    found = only(zoo)
    assert found.thing == "zoo.json"
    assert told in found.message
    with pytest.raises(DataError, match=told):
        Zoo(zoo)


def test_a_space_that_cannot_be_drawn_from_is_named(zoo):
    meta = json.loads((zoo / "zoo.json").read_text())
    meta["space"]["recipe"] = {"colour": ["red", "blue"]}
    del meta["checksum"]
    (zoo / "zoo.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match=r"its space cannot be read .*colour"):
        Zoo(zoo)


def test_a_digit_that_changed_in_zoo_json_is_noticed(zoo):
    file = zoo / "zoo.json"
    text = file.read_text()
    file.write_text(text.replace('"seed": 0', '"seed": 7'))
    with pytest.raises(
        DataError, match=r"zoo.json: is damaged, its 'checksum' does not fit its content"
    ):
        Zoo(zoo)
    with pytest.raises(DataError, match=r"delete that entry if you changed the file on purpose"):
        open_writer(zoo)
    changed = json.loads(file.read_text())
    del changed["checksum"]
    file.write_text(json.dumps(changed))
    assert Zoo(zoo).meta["seed"] == 7


def test_a_zoo_that_lost_its_zoo_json_is_told_from_no_zoo(zoo, tmp_path):
    (zoo / "zoo.json").unlink()
    assert only(zoo).thing == "zoo.json"
    with pytest.raises(DataError, match="is not a zoo"):
        check(tmp_path)


def _is(net, snapshot):
    import polars as pl

    return (pl.col("net") == net) & (pl.col("snapshot") == snapshot)


def test_values_read_from_a_sound_zoo_are_those_of_its_safetensors(sound):
    from safetensors.numpy import load_file

    zoo = Zoo(sound)
    for net, tensor in load_file(shard(sound)).items():
        np.testing.assert_array_equal(zoo.vector(net, 3), tensor[2])
