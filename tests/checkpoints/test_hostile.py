"""Files made to exhaust time or memory, or to steer a terminal: refused or shown harmless."""

from __future__ import annotations

import json
import math
import shutil
import signal
import struct
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import safetensors.torch
import torch

from support.hostile_pickles import bounded
from support.small_units import open_writer, write
from weightspace.checkpoints import Prediction, read_checkpoint
from weightspace.checkpoints.pickling.machine import LIMIT
from weightspace.cli import predicted, show
from weightspace.cli.app import run
from weightspace.errors import DataError
from weightspace.meta import Answer
from weightspace.networks.roles import Entry, arrange
from weightspace.networks.roles.words import natural
from weightspace.zoo import Finding

ESCAPE = "\x1b]0;owned\x07\x1b[2J"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail, not hang, where something takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refusal(path: Path, seconds: float = 1) -> str:
    with within(seconds), pytest.raises(DataError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


# ---- time


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_within_itself_ends(tmp_path, length, zipped):
    path = tmp_path / "net.pt"
    ring: list[dict] = [{"fc.weight": torch.ones(2, 3)} for _ in range(length)]
    for i, content in enumerate(ring):
        content["model"] = ring[(i + 1) % length]
    torch.save(ring[0], path, _use_new_zipfile_serialization=zipped)
    with bounded(5):
        read = read_checkpoint(path)
    assert read.layout.size == 6
    assert len(read.others) == length - 1


def test_state_dicts_within_each_other_are_still_found(tmp_path):
    path = tmp_path / "net.pt"
    content = {"fc.weight": torch.ones(2, 3)}
    for _ in range(2):
        content = {"state_dict": {"model_state_dict": {"model": {"module": content}}}}
    torch.save(content, path)
    assert read_checkpoint(path).layout.size == 6


def test_comments_without_a_page_are_told_at_once(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"<!---->" * 70 + b"x")
    assert refusal(path).startswith("in no form of checkpoints that is known")


@pytest.mark.parametrize(
    "content",
    [
        b"<!-- one -->\n <!-- two\n--><!---->\t<HTML>",
        b"<!-- <x> - -- > --><?xml version='1.0'?>",
        b"\n<!-- a --><!Doctype html>",
        b"<html>",
    ],
)
def test_a_page_after_comments_is_still_a_page(tmp_path, content):
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    assert refusal(path) == "a web page, not a checkpoint; download the file itself"


@pytest.mark.parametrize("content", [b"<!-- <html>", b"<!-- a --> b <html>", b"<htm"])
def test_what_only_looks_like_a_page_is_none(tmp_path, content):
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    assert refusal(path).startswith("in no form of checkpoints that is known")


@pytest.mark.parametrize("shape", [[2**62] * 40_000, [1] * 33, [2**48 + 1]])
def test_a_shape_beyond_every_tensor_is_not_multiplied(tmp_path, shape):
    path = tmp_path / "net.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert refusal(path).startswith("damaged; no safetensors header (a shape ")


def test_names_with_thousands_of_digits_have_an_order(tmp_path):
    names = ["conv2", "conv10", "conv" + "1" * 5000, "conv" + "2" * 5000, "conv" + "1" * 5001]
    for order in (names, names[::-1]):
        assert sorted(order, key=natural) == names
    assert natural("a007b") == natural("a7b")
    assert natural("a1") < natural("a1b") < natural("ab") < natural("abc") < natural("b")
    path = tmp_path / "net.safetensors"
    state = {f"{name}.weight": torch.ones(2, 3) for name in reversed(names)}
    safetensors.torch.save_file(state, path)
    used = read_checkpoint(path).used
    assert [note.name for note in used] == [f"{name}.weight" for name in names]


def stored(rows: dict | bytes, values: bytes = b"") -> bytes:
    header = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + values


def row(shape: list[int], begin: int, dtype: str = "F32") -> dict:
    end = begin + 4 * math.prod(shape)
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("name", ["_ln" * 20_000 + "-", "1" * 60_000 + "x", "norm1" * 9000 + "x"])
@pytest.mark.parametrize("shape", [[2, 2], [4]])
def test_names_without_end_are_judged_at_once(tmp_path, name, shape):
    path = tmp_path / "net.safetensors"
    rows = {f"{name}.weight": row(shape, 0), "fc.weight": row([2, 2], 16)}
    path.write_bytes(stored(rows, b"\0" * 32))
    torch.save({f"{name}.weight": torch.ones(shape), "fc.weight": torch.ones(2, 2)}, tmp_path / "p")
    for file in (path, tmp_path / "p"):
        with bounded(2):
            assert read_checkpoint(file).layout.size == 8


def test_thousands_of_layers_with_as_many_norms(tmp_path):
    rows: dict[str, dict] = {}
    for k in range(6000):
        rows[f"a{k}x.weight"] = row([1, 1], 12 * k)
        rows[f"n{k}.weight"] = row([2], 12 * k + 4)
    path = tmp_path / "net.safetensors"
    path.write_bytes(stored(rows, b"\0" * 72_000))
    with bounded():
        assert read_checkpoint(path).layout.size == 18_000


@pytest.mark.parametrize("count", [32_768, 50_000])
def test_thousands_of_tensors_of_one_value(tmp_path, count):
    rows = {f"a{k}": row([1], 4 * k) for k in range(count)}
    header = json.dumps(rows, separators=(",", ":")).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(stored(header, bytes(4 * count)))
    with bounded():
        said = refusal(path, 30)
    assert said.startswith("no usable tensors" if count < 40_000 else "refused; 50,000 entries")


def test_tens_of_thousands_of_tensors_in_a_pickle(tmp_path):
    path = tmp_path / "net.pt"
    values = torch.ones(40_000)
    torch.save({f"a{k}.weight": values[k : k + 1] for k in range(40_000)}, path)
    with bounded():
        assert refusal(path, 30).startswith("refused; 40,000 entries are side by side in it")


@pytest.mark.parametrize("ordered", [True, False])
def test_placing_takes_a_time_for_each_tensor_and_not_for_each_pair(ordered):
    def many(count: int, prefix: str) -> list[Entry]:
        kernels = [Entry(f"{prefix}a{k}.weight", (1, 1), "float32") for k in range(count)]
        norms = [Entry(f"{prefix}n{k}.gamma", (1,), "float32") for k in range(count)]
        return kernels + norms

    def seconds(entries: list[Entry]) -> float:
        begin = time.process_time()
        placed = arrange(entries, ordered=ordered).placed
        assert len(placed) == len(entries)
        return time.process_time() - begin

    few, often = many(1500, ""), many(12_000, "x.")
    assert seconds(often) < 30 * min(seconds(few) for _ in range(3)) + 0.5


def test_a_long_name_is_not_said_again_for_every_norm():
    kernel = Entry("k" * 10**6 + ".weight", (1, 1), "float32")
    norms = [Entry(f"n{k}.gamma", (1,), "float32") for k in range(1000)]
    placed = arrange([kernel, *norms], ordered=True).placed
    assert sum(len(p.reason) for p in placed) < 10**6


@pytest.mark.parametrize(
    "header",
    [
        b'{"__metadata__":{' + b",".join(b'"%d":""' % k for k in range(800_000)) + b"}}",
        b'{"w":' + b" " * 2**23 + b"{}}",
    ],
)
def test_a_header_as_large_as_none_is_not_read(tmp_path, header):
    path = tmp_path / "net.safetensors"
    path.write_bytes(stored(header))
    with bounded(1, 2**26):
        assert refusal(path, 30) == (
            f"refused; its header has {len(header):,} bytes, at most 8,388,608 are read; "
            "save the tensors without the metadata"
        )


@pytest.mark.parametrize("filler", [b"[],", b"{},", b'"",', b"1e9,"])
def test_a_header_full_of_other_things_ends(tmp_path, filler):
    path = tmp_path / "net.safetensors"
    path.write_bytes(stored(b'{"w":[' + filler * (8_000_000 // len(filler)) + b"0]}"))
    with bounded():
        assert refusal(path, 30).startswith("damaged; no safetensors header (")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": row([2], 0), "b": row([2], 4)}, "damaged (b is at bytes 4 to 12 instead of 8"),
        ({"a": row([2], 0), "b": row([1], 12)}, "damaged (b is at bytes 12 to 16 instead of"),
        ({"a": row([2], 0)}, "damaged (8 bytes follow its last tensor)"),
        ({"a": row([2], 0), "b": row([2], 0)}, "damaged (b is at bytes 0 to 8 instead of 8"),
        ({"a": row([4], 0, "F64")}, "damaged (a has 4 values of F64 in 16 bytes)"),
        ({"a": row([3], 4, "F4"), "b": row([1], 0)}, "damaged (a has 3 values of F4 in 12 bytes"),
        ({"a": row([4], 0, "F32 ")}, "damaged (a has an unknown dtype, 'F32 ')"),
        ({"a": row([4], 0) | {"dtype": ["F32"]}}, "damaged (a has an unknown dtype, ['F32'])"),
        ({"__metadata__": {"a": 1}, "a": row([4], 0)}, "damaged; no safetensors header (its meta"),
        ({"__metadata__": [], "a": row([4], 0)}, "damaged; no safetensors header (its metadata"),
        ({"w\ud800": row([4], 0)}, "damaged; no safetensors header ('utf-8' codec can't encode"),
        (
            b'{"a":' + json.dumps(row([4], 0)).encode() + b',"a":{}}',
            "damaged; no safetensors header (a name is in it twice)",
        ),
    ],
)
def test_every_byte_of_the_values_belongs_to_one_tensor(tmp_path, rows, message):
    path = tmp_path / "net.safetensors"
    path.write_bytes(stored(rows, b"\0" * 16))
    assert refusal(path).startswith(message)


def test_every_dtype_of_safetensors_is_known(tmp_path):
    path = tmp_path / "net.safetensors"
    state = {
        f"{dtype}.weight": torch.tensor([[1, 0, 1]]).to(dtype)
        for name, dtype in safetensors.torch._TYPES.items()
    }
    safetensors.torch.save_file(state, path)
    checkpoint = read_checkpoint(path)
    assert {note.name for note in (*checkpoint.used, *checkpoint.skipped)} == set(state)
    assert checkpoint.vector.tolist() == [1, 0, 1] * len(checkpoint.used)
    assert len(checkpoint.used) == 8
    for dtype, count in (("F4", 2), ("F6_E2M3", 4), ("F6_E3M2", 4), ("F8_E8M0", 1)):
        width = {"F4": 1, "F8_E8M0": 1}.get(dtype, 3)
        rows = {
            "a": {"dtype": dtype, "shape": [count], "data_offsets": [0, width]},
            "w": {"dtype": "F32", "shape": [1, 1], "data_offsets": [width, width + 4]},
        }
        path.write_bytes(stored(rows, b"\0" * (width + 4)))
        (note,) = read_checkpoint(path).skipped
        assert (note.name, note.shape) == ("a", (count,))


# ---- memory


def archived(path: Path, out: Path, **members: bytes) -> None:
    """Write a torch file's members again, compressed, or with others in their place."""
    kind = zipfile.ZIP_STORED if members else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", kind) as new:
        for item in old.infolist():
            stem = item.filename.rsplit("/", 1)[-1].removesuffix(".pkl")
            new.writestr(item.filename, members.get(stem, old.read(item)))


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.pt"
    torch.save({"fc.weight": torch.ones(2, 3), "note": "x" * 10**6}, path)
    assert read_checkpoint(path).layout.size == 6
    return path


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_a_compressed_torch_file_is_not_unpacked(tmp_path, whole, name):
    path = tmp_path / name
    archived(whole, path)
    assert path.stat().st_size < 10**5
    assert refusal(path) == (
        "refused; whole/data.pkl is compressed; no library writes such a file; "
        "fetch it again from its source"
    )


def test_a_pickle_as_large_as_no_state_dict_is_not_read(tmp_path, whole):
    path = tmp_path / "net.pt"
    archived(whole, path, data=b"\x80\x02]" + b"]" * LIMIT)
    message = refusal(path)
    assert message.startswith(f"refused; whole/data.pkl has {LIMIT + 3:,} bytes, at most {LIMIT:,}")
    assert message.endswith("save model.state_dict() alone")


def test_members_that_share_their_bytes_are_refused(tmp_path, whole):
    path = tmp_path / "net.pt"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # about names that stand twice
        archive.writestr("net/data.pkl", b"\x80\x02}.")
        archive.writestr("net/data/0", b"\0" * 10**5)
        archive.filelist += [archive.filelist[-1]] * 9
    assert refusal(path).startswith("refused; its members claim 1,000,004 bytes of 10")


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_archive_with_more_around_it_is_refused(tmp_path, whole, where):
    path = tmp_path / "net.pt"
    shutil.copy(whole, path)
    if where == "after":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"PK\x01\x02"
    else:
        path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    assert refusal(path).startswith("refused; it contains more than one archive; ")


# ---- terminals


@pytest.fixture
def shown(monkeypatch, capsys):
    """What a terminal would be sent for a call: escapes in it can only be those of names."""
    monkeypatch.setenv("NO_COLOR", "1")

    def call(function, *arguments) -> str:
        function(*arguments)
        text = capsys.readouterr().out
        assert all(c.isprintable() or c == "\n" for c in text), text
        return text

    return call


def test_names_of_tensors_are_printed_without_escapes(tmp_path, shown):
    path = tmp_path / f"net{ESCAPE}.safetensors"
    state = {f"{ESCAPE}{name}": torch.ones(2) for name in ("bn.gamma", "bn.scale", "x.bias")}
    safetensors.torch.save_file(state | {"fc.weight": torch.ones(2, 3)}, path)
    checkpoint = read_checkpoint(path)
    reasons = [note.reason for note in checkpoint.skipped]
    assert any(ESCAPE in reason for reason in reasons)
    answer = Answer(readings={}, classifier="trees", slices=1, novelty=0.0, novelty_limit=0.1)
    text = shown(predicted.predictions, [Prediction(checkpoint, answer)])
    assert "]0;owned" in text
    assert "[2Jx.bias: " in text


def test_findings_are_printed_without_escapes(shown):
    finding = Finding("error", f"shards/{ESCAPE}", f"net {ESCAPE} is odd", "delete it")
    text = shown(show.findings, [finding], Path(f"zoo{ESCAPE}"), False)
    assert text.count("]0;owned") == 3


def test_facts_of_a_zoo_are_printed_without_escapes(tmp_path, shown):
    write(open_writer(tmp_path / "zoo"), 0)
    file = tmp_path / "zoo/zoo.json"
    meta = json.loads(file.read_text())
    meta["space"]["name"] = f"space{ESCAPE}"
    meta["versions"] = {f"tool{ESCAPE}": ESCAPE}
    meta["created"] = ESCAPE
    del meta["checksum"]
    file.write_text(json.dumps(meta))
    text = shown(run, ["info", str(tmp_path / "zoo")])
    assert "space\N{REPLACEMENT CHARACTER}]0;owned" in text
