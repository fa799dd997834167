"""Zoos as an attacker would give them away: each a sound one with one thing in it changed.

`VARIANTS` names them; each is a function of the zoo's folder and of a folder beside it that holds
what no command may touch. They stand for kinds: links at every level, things that are no files,
names that lead elsewhere, values of every column, types of Parquet, and JSON that says too much.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support import small_units
from weightspace.zoo import Round, Zoo
from weightspace.zoo.files import shard
from weightspace.zoo.files.dtypes import FLOAT32
from weightspace.zoo.format import index, tables

Change = Callable[[Path, Path], None]
UNIT = "unit-000"
FOLDERS = ("rounds", "layouts", "shards", "snapshots", "nets", "states", "index", "aside")


def make(path: Path) -> Path:
    """Two units, a round and an index, written as any zoo is."""
    writer = small_units.open_writer(path)
    writer.begin(1, Round.of(range(2 * small_units.NETS), {"digits": "0" * 16}, {"cores": 1}))
    for unit in (0, 1):
        small_units.write(writer, unit)
    index.write(path)
    return path


def make_outside(path: Path) -> Path:
    """Files that are nobody's business."""
    (path / "thesis" / "src").mkdir(parents=True)
    (path / "photos").mkdir()
    (path / "thesis" / "src" / "main.c").write_text("precious")
    (path / "photos" / "a.jpg").write_bytes(b"precious")
    (path / "precious.parquet").write_bytes(b"precious")
    (path / "nets-000-0123456789abcdef0123456789abcdef.parquet").write_bytes(b"precious")
    return path


def digest(folder: Path) -> str:
    """Names, kinds and contents of all that is in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(f"{path.relative_to(folder)} {path.lstat().st_mode}".encode())
        if path.is_file() and not path.is_symlink():
            found.update(path.read_bytes())
    return found.hexdigest()


# ---- links, and things that are no files


def _away(path: Path, what: str, outside: Path) -> None:
    """Put something that is not a regular file in place of a file or folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        path.rename(outside.parent / f"was-{path.name}")
    relative = os.path.relpath(outside, path.parent)
    targets = {
        "link to a folder outside": relative,
        "absolute link to a folder outside": str(outside),
        "link to a file outside": f"{relative}/photos/a.jpg",
        "link to the disk's root": "/",
        "link to itself": path.name,
        "link to nothing": f"{relative}/nothing",
        "link to an endless device": "/dev/zero",
        "link to a terminal": "/dev/tty",
        "link to a file of the system": "/proc/self/maps",
    }
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "empty file":
        path.write_bytes(b"")
    else:
        path.symlink_to(targets[what])


_FOLDER_KINDS = (
    "link to a folder outside",
    "absolute link to a folder outside",
    "link to the disk's root",
    "link to itself",
    "link to nothing",
    "pipe",
    "empty file",
)
_FILE_KINDS = (
    "link to a file outside",
    "link to a folder outside",
    "link to itself",
    "link to nothing",
    "link to an endless device",
    "link to a terminal",
    "link to a file of the system",
    "pipe",
    "folder",
    "empty file",
)


def _files(zoo: Path) -> dict[str, Path]:
    return {
        "zoo.json": zoo / "zoo.json",
        "round": zoo / "rounds" / "000001.json",
        "layout": next((zoo / "layouts").iterdir()),
        "shard": zoo / "shards" / f"{UNIT}.safetensors",
        "snapshots": zoo / "snapshots" / f"{UNIT}.parquet",
        "nets": zoo / "nets" / f"{UNIT}.parquet",
        "state": zoo / "states" / "unit-009.safetensors",
        "contents": zoo / "index" / "contents.json",
        "indexed": next((zoo / "index").glob("nets-*")),
        "leftover": zoo / "shards" / ".unit-009.0123456789ab.tmp",
        "leftover of zoo.json": zoo / ".zoo.0123456789ab.tmp",
    }


def _links() -> Iterator[tuple[str, Change]]:
    for folder in (*FOLDERS, "aside/0001", "aside/0001/kept", "aside/0001/kept/unit-009"):
        for what in _FOLDER_KINDS:
            yield f"{folder}: {what}", lambda z, o, f=folder, w=what: _away(z / f, w, o)
    for file in ("zoo.json", "round", "layout", "shard", "snapshots", "nets", "state", "contents",
                 "indexed", "leftover", "leftover of zoo.json"):  # fmt: skip
        for what in _FILE_KINDS:
            yield f"{file}: {what}", lambda z, o, f=file, w=what: _away(_files(z)[f], w, o)


# ---- tables


def rewrite(zoo: Path, folder: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a part's table; what it says of its shard stays."""
    file = zoo / folder / f"{UNIT}.parquet"
    table = pq.read_table(file)
    facts = table.schema.metadata
    changed = change(table).replace_schema_metadata(facts)
    pq.write_table(changed, file, write_page_checksum=True)


def _set(folder: str, column: str, values: Any, kind: pa.DataType | None = None) -> Change:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(column)
        whole = [values] * table.num_rows
        if at < 0:
            return table.append_column(column, pa.array(whole, kind))
        field = table.schema.field(at)
        if kind is not None:
            field = pa.field(column, kind)
        return table.set_column(at, field, pa.array([values, *whole[1:]], field.type))

    return lambda zoo, _: rewrite(zoo, folder, change)


def renamed(zoo: Path, name: str) -> None:
    """Give the first net another name, in tables and shard, with all checksums right."""
    files = {f: zoo / f / f"{UNIT}.parquet" for f in ("nets", "snapshots")}
    nets, moments = pq.read_table(files["nets"]), pq.read_table(files["snapshots"])
    old = nets["net"][0].as_py()

    def swapped(table: pa.Table) -> pa.Table:
        values = [name if net == old else net for net in table["net"].to_pylist()]
        return table.set_column(table.schema.get_field_index("net"), table.schema.field("net"),
                                pa.array(values, pa.string()))  # fmt: skip

    file = zoo / "shards" / f"{UNIT}.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    layout = header.pop("__metadata__")["layout"]
    rows, columns = header[old]["shape"]
    names = [name if net == old else net for net in header]
    blob, made = shard.compose(names, rows, columns, layout, FLOAT32)
    file.write_bytes(blob + data[8 + length :])
    at = moments.schema.get_field_index("offset")
    offsets = [o + len(blob) - 8 - length for o in moments["offset"].to_pylist()]
    moments = moments.set_column(at, moments.schema.field(at), pa.array(offsets, pa.int64()))
    facts = dict(nets.schema.metadata)
    plain = json.loads(facts[b"weightspace"]) | {"bytes": made.size, "header": made.checksum}
    facts[b"weightspace"] = json.dumps(plain).encode()
    pq.write_table(swapped(nets).replace_schema_metadata(facts), files["nets"],
                   write_page_checksum=True)  # fmt: skip
    pq.write_table(swapped(moments), files["snapshots"], write_page_checksum=True)


_NAMES = (
    "/tmp/escaped", "../../x", "..", ".", "", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2Ja", "a b",
    "-rf", ".hidden", "x" * 65, "x" * 5000, "café", "‮gnp", "nul:", "~", "$HOME", "*", "a%2f..",
    "__metadata__",
)  # fmt: skip


def _ids() -> Iterator[tuple[str, Change]]:
    for name in _NAMES:
        yield f"net called {name[:20]!r}", lambda z, o, n=name: renamed(z, n)
        yield f"layout called {name[:20]!r}", _set("nets", "layout", name)
        yield f"unit called {name[:20]!r}", _set("nets", "unit", name)
        yield f"shard called {name[:20]!r}", _set("snapshots", "shard", f"{name}.safetensors")


_VALUES: dict[str, tuple[Any, ...]] = {
    "index": (-1, -(2**63), 10**7, 2**63 - 1, 0),
    "split": ("dev", "", "\n", "x" * 10**6),
    "steps": (-1, 2**63 - 1),
    "diverged_step": (-1, 2**63 - 1),
    "test_accuracy": (float("nan"), float("inf"), -1e308),
    "dataset": ("", "\x1b[31m", "x" * 10**6, "../../x"),
    "learning_rate": (float("nan"), float("inf"), -1.0, 0.0, 1e308),
    "batch_size": (0, -1, 2**63 - 1),
    "depth_conv": (0, -1, 2**63 - 1, 65),
    "width_fc": (0, 2**62),
    "input_size": (0, -8, 2**40),
    "channels": (0, 2, 2**31),
    "blocks": (0, 7, 2**40),
    "filter_size": (0, 2, 10**9),
    "outputs": (0, 2**40),
    "architecture": ("", "nws\n", "__import__('os')"),
    "seed": (-1,),
}
_MOMENTS: dict[str, tuple[Any, ...]] = {
    "snapshot": (0, -1, 10**6 + 1, 2**63 - 1),
    "step": (-1, -(2**63), 2**63 - 1),
    "epoch": (float("nan"), float("inf"), -1.0),
    "test_accuracy": (float("nan"), float("-inf")),
    "offset": (-1, -4, 1, 2**63 - 4),
    "length": (0, -1, 1, 2**62),
    "checksum": ("", "0" * 16, "x" * 10**5, "\0" * 16),
}


def _columns() -> Iterator[tuple[str, Change]]:
    for folder, table in (("nets", _VALUES), ("snapshots", _MOMENTS)):
        for column, values in table.items():
            for value in values:
                yield f"{folder}.{column} is {str(value)[:16]!r}", _set(folder, column, value)
    for name in ("", "a\nb", "\x1b[2J", "x" * 1000, "net ", "é"):
        yield f"a column called {name[:10]!r}", _set("nets", name, "value", pa.string())


class _Odd(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.int64(), "odd.type")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"\xff\x00{"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _Odd:
        return cls()


_TYPES: tuple[tuple[pa.DataType, Any], ...] = (
    (pa.decimal128(38, 2), Decimal("1.00")),
    (pa.decimal256(76, 2), Decimal("1.00")),
    (pa.timestamp("ns", "Mars/Olympus"), 1),
    (pa.timestamp("s", "+99:99"), 1),
    (pa.timestamp("us"), 1),
    (pa.duration("ns"), 1),
    (pa.date32(), 1),
    (pa.date64(), 86_400_000),
    (pa.time32("s"), 1),
    (pa.time64("ns"), 1),
    (pa.binary(), b"\xff"),
    (pa.binary(2), b"\xff\xfe"),
    (pa.large_binary(), b"\xff"),
    (pa.large_string(), "x"),
    (pa.string_view(), "x"),
    (pa.float16(), 1.0),
    (pa.float32(), 1.0),
    (pa.int8(), 1),
    (pa.uint64(), 2**64 - 1),
    (pa.null(), None),
    (pa.list_(pa.int64()), [1]),
    (pa.large_list(pa.int64()), [1]),
    (pa.list_(pa.int64(), 1), [1]),
    (pa.struct([("a", pa.int64())]), {"a": 1}),
    (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    (pa.dictionary(pa.int32(), pa.string()), "x"),
    # None of decimals: pyarrow has no converter that makes such a dictionary.
    (pa.dictionary(pa.int8(), pa.int64()), 1),
)


def _odd(zoo: Path, _: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        storage = pa.array([1] * table.num_rows, pa.int64())
        return table.append_column("odd", pa.ExtensionArray.from_storage(_Odd(), storage))

    rewrite(zoo, "nets", change)


def _types() -> Iterator[tuple[str, Change]]:
    for kind, value in _TYPES:
        yield f"a column of {kind}", _set("nets", "more", value, kind)
        if value is not None:
            yield f"steps of {kind}", _set("nets", "steps", value, kind)
    yield "a column of an extension type", _odd


# ---- JSON


def _json(file: str, change: Callable[[dict[str, Any]], Any], sealed: bool = False) -> Change:
    def act(zoo: Path, _: Path) -> None:
        path = _files(zoo)[file]
        plain = json.loads(path.read_text())
        if not sealed:
            plain.pop("checksum", None)
        changed = change(plain)
        path.write_text(json.dumps(plain if changed is None else changed))

    return act


def _raw(file: str, text: bytes) -> Change:
    return lambda zoo, _: (_files(zoo)[file].write_bytes(text), None)[1]


_KEYS = ("format", "version", "created", "versions", "space", "seed", "dtype", "info")
_ANY: tuple[Any, ...] = (None, 5, -1, [], {}, "x", "\x1b[2J\n", True, 10**30, [[[]]])
_TEXTS = (
    b"", b"[", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 10**5, b'{"a":' * 10**4, b"NaN",
    b'{"nets": ' + b"9" * 10**5 + b"}", b'"\\ud800"',
)  # fmt: skip


def _says() -> Iterator[tuple[str, Change]]:
    for key in _KEYS:
        yield f"zoo.json without {key}", _json("zoo.json", lambda d, k=key: d.pop(k) and None)
        for value in _ANY:
            shown = repr(value)[:12]
            yield (
                f"zoo.json: {key} is {shown}",
                _json("zoo.json", lambda d, k=key, v=value: d.update({k: v})),
            )
    for nets in ([[0, 10**8]], [[0, 10**7]], [[-5, 2]], [[2, 1]], [[0, 8], [4, 9]], [0, 8], [],
                 [[0.0, 8.0]], [[0, 10**30]]):  # fmt: skip
        yield f"round of {nets}", _json("round", lambda d, n=nets: d.update(nets=n))
    for file in ("zoo.json", "round", "layout", "contents"):
        for text in _TEXTS:
            yield f"{file} is {text[:12]!r} of {len(text)}", _raw(file, text)
    for key in ("units", "files", "version"):
        for value in (None, [], {}, {"../../x": 1}, 10**30):
            yield (
                f"contents: {key} is {value}",
                _json("contents", lambda d, k=key, v=value: d.update({k: v})),
            )


def _lie(column: str, values: list[Any]) -> Change:
    """An index with right digests of the parts, and other rows."""

    def act(zoo: Path, _: Path) -> None:
        contents = json.loads((zoo / "index" / "contents.json").read_text())
        contents.pop("checksum")
        (name,) = contents["files"]["nets"]
        table = pq.read_table(zoo / "index" / name)
        at = table.schema.get_field_index(column)
        rows = (values * table.num_rows)[: table.num_rows]
        table = table.set_column(at, table.schema.field(at), pa.array(rows, table.schema[at].type))
        data = tables.to_bytes(tables.marked(table))
        noted = index.File.of(data, table.num_rows)
        new = f"nets-000-{noted.digest}.parquet"
        (zoo / "index" / new).write_bytes(data)
        contents["files"]["nets"] = {new: list(vars(noted).values())}
        (zoo / "index" / "contents.json").write_text(json.dumps(contents))

    return act


def _round(name: str) -> Change:
    return lambda z, o: (
        (z / "rounds" / "000001.json").rename(z / "rounds" / f"{name}.json") and None
    )


def _state(**more: Any) -> Change:
    """A state whose texts say something odd."""

    def act(zoo: Path, _: Path) -> None:
        plain = {"version": 1, "unit": "unit-009", "shard": ".unit-009.0123456789ab.tmp",
                 "checksums": [], "facts": {}} | more  # fmt: skip
        text = more.get("text") or json.dumps(plain)
        found = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        header = json.dumps({"__metadata__": {"weightspace": text, "checksum": found}}).encode()
        (zoo / "states").mkdir(exist_ok=True)
        (zoo / "states" / "unit-009.safetensors").write_bytes(
            len(header).to_bytes(8, "little") + header
        )

    return act


def _found_by_attack() -> Iterator[tuple[str, Change]]:
    yield "an index of other units", _lie("unit", ["unit-none"])
    yield "an index of other labels", _lie("dataset", ["digits", "shapes"])
    yield "an index of other layouts", _lie("layout", ["0" * 16])
    for name in ("1", "9" * 200, "0000001", "000001 "):
        yield f"a round called {name[:9]!r} of {len(name)}", _round(name)
    for what in ({"shard": 5}, {"facts": []}, {"checksums": 7}, {"text": "[" * 10**5},
                 {"text": "5"}, {"shard": "../../zoo.json"}):  # fmt: skip
        yield f"a state of {str(what)[:24]}", _state(**what)
    yield "aside/999999999", lambda z, o: (z / "aside" / "999999999").mkdir(parents=True)
    yield "a snapshot of a million", _set("snapshots", "snapshot", 10**6)


VARIANTS: dict[str, Change] = dict(
    [*_found_by_attack(), *_links(), *_ids(), *_columns(), *_types(), *_says()]
)


def sound(zoo: Path) -> None:
    """All that reading a zoo means."""
    opened = Zoo(zoo)
    _ = opened.snapshots, opened.rounds
    for net in opened.nets["net"]:
        opened.layout(net)
        opened.verified(net)
    opened.slices(16, 5, seed=1)
