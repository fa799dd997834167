"""Small files of a zoo that would fill the memory or take for ever: refused unread."""

from __future__ import annotations

import base64
import contextlib
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.small_units import LAYOUT, NETS, SNAPSHOTS, open_writer, recipes, tensor, write
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.zoo import Zoo, check
from weightspace.zoo.files import parquet
from weightspace.zoo.format import tables
from weightspace.zoo.format.layouts import read_layout


@pytest.fixture
def zoo(tmp_path):
    write(open_writer(tmp_path / "zoo"), 0)
    return tmp_path / "zoo"


def repeated(text: str, times: int) -> pa.Table:
    """A column of one text that takes no memory but that of its rows' codes."""
    codes = pa.array(np.zeros(times, "i4"))
    return pa.table({"net": pa.DictionaryArray.from_arrays(codes, pa.array([text]))})


def save(file, table: pa.Table) -> None:
    pq.write_table(table, file, compression="zstd", write_page_checksum=True, store_schema=False)


@pytest.mark.parametrize("folder", ["nets", "snapshots"])
def test_a_small_part_of_many_rows_is_refused_by_reader_and_check(zoo, folder, monkeypatch):
    file = zoo / folder / "unit-000.parquet"
    save(file, repeated("a" * 32, tables.MOST_ROWS + 1))
    assert file.stat().st_size < 10**5
    monkeypatch.setattr(tables, "_decoded", lambda *_: pytest.fail("was read"))
    with pytest.raises(DataError, match=rf"{folder}/unit-000.parquet: has 1,000,001 rows"):
        tables.read(file, tables.NETS)
    monkeypatch.undo()
    with pytest.raises(DataError, match=rf"{folder}/unit-000.parquet: has 1,000,001 rows"):
        _ = Zoo(zoo).snapshots
    assert any("has 1,000,001 rows" in finding.message for finding in check(zoo))


def test_check_knows_how_many_snapshots_a_unit_can_have(zoo):
    file = zoo / "snapshots/unit-000.parquet"
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, table]), file, write_page_checksum=True)
    (finding,) = check(zoo)
    assert finding.thing == "snapshots/unit-000.parquet"
    rows = NETS * SNAPSHOTS
    assert finding.message.startswith(f"has {2 * rows} rows, at most {rows} are")


def test_a_row_of_many_values_is_refused(tmp_path):
    file = tmp_path / "part.parquet"
    values = pa.array(np.zeros(tables.MOST_ROWS + 1, "i8"))
    save(file, pa.table({"more": pa.ListArray.from_arrays([0, len(values)], values)}))
    assert file.stat().st_size < 10**5
    with pytest.raises(DataError, match=r"part.parquet: is damaged \(it has a nested column\)"):
        tables.read(file, tables.NETS)


def test_a_part_that_says_it_is_large_is_not_read(tmp_path, monkeypatch):
    file = tmp_path / "part.parquet"
    save(file, repeated("a" * 10**6, 1))
    monkeypatch.setattr(tables, "_MOST_BYTES", 10**5)
    monkeypatch.setattr(tables, "_decoded", lambda *_: pytest.fail("was read"))
    with pytest.raises(
        DataError, match=r"part.parquet: takes 1,000,.* bytes or more, at most 100,000"
    ):
        tables.read(file, tables.NETS)


def test_a_long_text_repeated_in_every_row_does_not_fill_the_memory(tmp_path, monkeypatch):
    file = tmp_path / "part.parquet"
    save(file, repeated("a" * 10**6, 1000))
    assert file.stat().st_size < 10**4
    monkeypatch.setattr(tables, "_MOST_BYTES", 10**7)
    monkeypatch.setattr(tables, "_BATCH_BYTES", 2 * 10**6)
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"takes 1.,...,... bytes or more, at most 10,000,000"):
        tables.read(file, tables.NETS)
    assert pa.total_allocated_bytes() - before < 10**7


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_a_footer_that_lies_about_its_pages_is_not_believed(tmp_path, monkeypatch):
    """Two kilobytes that say they are a thousand bytes and unpack to some twenty megabytes."""
    file = tmp_path / "part.parquet"
    text = pa.array(["a" * 10**7])
    columns = {f"x{i}": pa.DictionaryArray.from_arrays(pa.array([0], "i4"), text) for i in range(2)}
    pq.write_table(pa.table(columns), file, compression="zstd", store_schema=False,
                   write_statistics=False, write_page_checksum=True)  # fmt: skip
    data = file.read_bytes()
    was = _varint(2 * pq.read_metadata(file).row_group(0).total_byte_size)
    lie = bytes(b | 128 for b in _varint(2000)) + b"\x80" * (len(was) - 3) + b"\0"
    assert was in data
    file.write_bytes(data.replace(was, lie))
    assert pq.read_metadata(file).row_group(0).total_byte_size == 1000
    monkeypatch.setattr(tables, "_MOST_BYTES", 10**7)
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"takes 20,000,... bytes or more, at most 10,000,000"):
        tables.read(file, tables.NETS)
    assert pa.total_allocated_bytes() - before < 10**6


@pytest.mark.parametrize("seed", range(30))
def test_what_a_file_unpacks_to_is_told_as_its_reader_tells(tmp_path, seed):
    """Of any file of pyarrow's: pages of any kind, codec and size, with and without rows."""
    chance = np.random.default_rng(seed)
    rows = int(chance.integers(0, 300))
    columns = {
        "text": pa.array([f"x{i % 7}" * (i % 5) for i in range(rows)], pa.string()),
        "number": pa.array(chance.normal(size=rows)),
        "whole": pa.array([None if i % 3 else i for i in range(rows)], pa.int64()),
        "truth": pa.array([bool(i % 2) for i in range(rows)], pa.bool_()),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns),
        sink,
        compression=str(chance.choice(["none", "snappy", "gzip", "zstd", "brotli", "lz4"])),
        data_page_version=str(chance.choice(["1.0", "2.0"])),
        use_dictionary=bool(chance.integers(2)),
        data_page_size=int(chance.choice([64, 1024, 2**20])),
        row_group_size=int(chance.integers(1, 400)),
        write_page_checksum=bool(chance.integers(2)),
        store_schema=bool(chance.integers(2)),
    )
    data = sink.getvalue().to_pybytes()
    metadata = pq.read_metadata(pa.BufferReader(data))
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    told = parquet.unpacked(data)
    assert len(told) == len(groups)
    for found, group in zip(told, groups, strict=True):
        pages = [group.column(i) for i in range(group.num_columns)]
        headers = 60 * sum(2 + page.num_values for page in pages)  # counted by the reader alone
        assert found <= sum(page.total_uncompressed_size for page in pages) <= found + headers


# Hand-made files of a row group or two, of which pyarrow 26 makes gigabytes, and what refuses them.
SMALL = {
    "a million bytes in each of four thousand nulls": (
        "UEFSMQUCAAUEDgUGDgwKBQKAQAUEAAUGBgUIBgAAAwAAAIBAAAUCBAkELAgIBnNjaGVtYQUKAgAFAg4F"
        "BICAgAEFBgIICANuZXQABgaAQAkIHAkCHAYECAwGBQIOCQQ1AAYQCQYYA25ldAUIAAYKgEAGDEIGDkIG"
        "EggAAAYEQgYGgEAACAwgcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEAgwAAAFBBUjE=",
        "has no column net of string",
    ),
    "half a billion lengths of nothing": (
        "UEFSMQUCAAUEKAUGKAwKBQICBQQMBQYGBQgGAAACAAAAAgGAgICABAGAyrXuAQAAAAUCBAkELAgIBnNj"
        "aGVtYQUKAgAFAgwFBgIICANuZXQFDAAABgYCCQgcCQIcBgQIDAYFAgwJBCUMBgkGGANuZXQFCAAGCgIG"
        "DFoGDloGEggAAAYEWgYGAgAIDCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMQB8AAAAUEFS"
        "MQ==",
        "has an encoding that zoos do not use",
    ),
    "half a billion prefixes of nothing": (
        "UEFSMQUCAAUERAUGRAwKBQICBQQOBQYGBQgGAAACAAAAAgGAgICABAGAyrXuAQAAAICAgIAEAYDKte4B"
        "AAAABQIECQQsCAgGc2NoZW1hBQoCAAUCDAUGAggIA25ldAUMAAAGBgIJCBwJAhwGBAgMBgUCDAkEJQ4G"
        "CQYYA25ldAUIAAYKAgYMdgYOdgYSCAAABgR2BgYCAAgMIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24g"
        "MjYuMC4xAHwAAABQQVIx",
        "has an encoding that zoos do not use",
    ),
}


@pytest.mark.parametrize("what", SMALL)
def test_a_file_of_two_hundred_bytes_does_not_fill_the_memory(tmp_path, what):
    text, told = SMALL[what]
    file = tmp_path / "part.parquet"
    file.write_bytes(base64.b64decode(text))
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=told):
        tables.read(file, tables.NETS)
    assert pa.total_allocated_bytes() - before < 10**6


def field(kind: int, delta: int, value: int) -> bytes:
    return bytes([delta << 4 | kind]) + _varint(value << 1 if value >= 0 else (-value << 1) - 1)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (field(5, 2, 99) + b"\x05" + _varint(4) + _varint(2), "is repeated"),  # the same again
        (field(5, 2, 99) + b"\x04" + _varint(4) + _varint(2), "is repeated"),  # of 16 bits
        (
            field(5, 2, 99) + b"\x05" + _varint(2 * 65538) + _varint(2),
            "is repeated or has an invalid number",
        ),
        (field(5, 2, 2**32 + 9), "too large"),  # of which the lower bits are 9
        (field(6, 9, 2**64 + 9), "too large|no end"),
        (b"\x1b\x00", "has invalid content"),  # a map
        (b"\x19\x58" + b"\x00" * 9, "has invalid content"),  # texts where structs belong
    ],
)
def test_a_header_that_a_reader_takes_for_another_is_refused(header, told):
    with pytest.raises(ValueError, match=told):
        parquet._struct(header + b"\0" * 9, 0, len(header) + 9, 0)


def test_old_writers_and_nested_columns_are_refused():
    plain = tables.to_bytes(pa.table({"a": [1]}))
    with pytest.raises(ValueError, match="parquet-mr"):
        parquet.unpacked(plain.replace(b"parquet-cpp", b"Parquet-MR "))
    with pytest.raises(ValueError, match="has a nested column"):
        parquet.unpacked(tables.to_bytes(pa.table({"a": [{"b": 1}]})))


def test_a_long_text_is_refused_at_the_first_row(tmp_path, monkeypatch):
    file = tmp_path / "part.parquet"
    save(file, repeated("a" * 10**6, 5000))
    monkeypatch.setattr(tables, "_LONGEST_TEXT", 10**5)
    with pytest.raises(DataError, match="holds a text that is too long"):
        tables.read(file, tables.NETS)


def test_a_cut_or_changed_footer_is_damage(tmp_path):
    data = tables.to_bytes(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}))
    chance = np.random.default_rng(0)
    for _ in range(3000):
        changed = bytearray(data)
        for at in chance.integers(0, len(data), 3):
            changed[at] = chance.integers(256)
        if chance.integers(2):
            changed = changed[: chance.integers(len(data))]
        with contextlib.suppress(ValueError):
            assert all(size >= 0 for size in parquet.unpacked(bytes(changed)))


def test_parts_read_in_batches_are_whole(tmp_path, monkeypatch):
    file = tmp_path / "part.parquet"
    row = {"net": "n", "snapshot": 1, "step": 0, "epoch": 0.0}
    place = {"shard": "u.safetensors", "offset": 0, "length": 1, "checksum": "0" * 16}
    rows = [row | place | {"snapshot": k, "more": f"x{k}"} for k in range(1, 101)]
    facts = tables.ShardFacts("u.safetensors", 1, 100, "0")
    file.write_bytes(tables.compose(rows, tables.SNAPSHOTS, facts))
    whole = pq.read_table(file)
    monkeypatch.setattr(tables, "_BATCH_BYTES", 1)  # a row each
    table = tables.read(file, tables.SNAPSHOTS)
    assert table.equals(whole)
    assert tables.facts(file, table) == facts
    file.write_bytes(tables.compose([], tables.SNAPSHOTS))
    assert tables.read(file, tables.SNAPSHOTS).num_rows == 0


# ---- layouts and arguments


def stored(zoo, layout: Layout, text: str) -> str:
    (zoo / "layouts" / f"{layout.key}.json").write_text(text)
    return layout.key


@pytest.mark.parametrize("shape", [(2**80,), (2**40,), (2**20, 2**20), (1,) * 33])
def test_a_layout_of_more_values_than_any_net_is_refused(zoo, shape):
    layout = Layout((tensor(*shape),))
    key = stored(zoo, layout, layout.to_json())
    with pytest.raises(DataError, match=f"{key}.json: is damaged"):
        read_layout(zoo, key)


def test_the_largest_layout_is_read(zoo):
    layout = Layout((tensor(2**20, 2**19), tensor(2**39 - 1, offset=2**39)))
    assert read_layout(zoo, stored(zoo, layout, layout.to_json())) == layout


def test_a_shape_of_thousands_of_dimensions_is_not_multiplied(zoo):
    layout = Layout((tensor(*[2**39] * 40_000),))
    key = stored(zoo, layout, layout.to_json())
    start = time.perf_counter()
    with pytest.raises(DataError, match="is damaged"):
        read_layout(zoo, key)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"name": "x"}]', "[1]", "3", "null"])
def test_json_that_is_no_layout_is_refused(zoo, text):
    with pytest.raises(DataError, match="is damaged"):
        read_layout(zoo, stored(zoo, LAYOUT, text))


def test_a_layout_file_as_large_as_none_is_not_read(zoo):
    with (zoo / "layouts" / f"{LAYOUT.key}.json").open("ab") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(DataError, match=r"has 67,108,865 bytes, at most 67,108,864 are"):
        read_layout(zoo, LAYOUT.key)


def test_a_seed_below_zero_is_refused(zoo):
    net = recipes(0)[0].net
    with pytest.raises(UsageError, match="seed: -1 is below 0; give a whole number from 0"):
        Zoo(zoo).slices(1, 1, seed=-1, nets=[net])
