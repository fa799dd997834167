"""Archives of images that claim more than they hold, or hold more than they show."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from weightspace.errors import DataError
from weightspace.images import catalogue, load, npz, search


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("WEIGHTSPACE_DATA", raising=False)
    monkeypatch.setattr(search, "cache", lambda: tmp_path / "cache")


def array(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def members(**replaced: bytes) -> dict[str, bytes]:
    x, y = np.full((8, 6, 6), 7, np.uint8), np.arange(8, dtype=np.uint8) % 4
    plain = {"x_train": array(x), "y_train": array(y), "x_test": array(x), "y_test": array(y)}
    return {f"{key}.npy": data for key, data in (plain | replaced).items()}


def save(path: Path, content: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def message(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load("mine", folder)
    assert "\n" not in str(caught.value)
    assert next(e for e in catalogue(folder) if e.name == "mine").note == str(caught.value)
    return str(caught.value)


def test_a_header_without_end_is_not_read(tmp_path):
    length = 2**26
    bomb = b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * length
    path = save(tmp_path / "mine.npz", members(x_train=bomb))
    assert path.stat().st_size < 10**5
    tracemalloc.start()
    try:
        said = message(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said.startswith(f"{path}: x_train is not a NumPy array (EOF: ")
    assert peak < 5 * 10**6


@pytest.mark.parametrize(
    "text",
    ["(" * 9000, "-" * 9000 + "1", "'", "{'descr': '|u1'", "1" * 9000, "{'a': 1}\n  \\ x"],
)
def test_a_header_that_no_parser_takes_is_refused(tmp_path, text):
    data = text.encode() + b"\n"
    raw = b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data
    path = save(tmp_path / "mine.npz", members(x_train=raw))
    assert message(tmp_path).startswith(f"{path}: x_train is not a NumPy array (")


def test_a_negative_shape_is_refused(tmp_path):
    out = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (-2, -144, 1)}
    np.lib.format.write_array_header_1_0(out, claim)
    save(tmp_path / "mine.npz", members(x_train=out.getvalue() + bytes(288)))
    assert "x_train is not a NumPy array (its shape is [-2, -144, 1])" in message(tmp_path)


def test_more_than_fits_in_memory_is_not_unpacked(tmp_path, monkeypatch):
    x = np.zeros((100, 100, 100), np.uint8)
    y = np.arange(100, dtype=np.uint8) % 4
    path = save(
        tmp_path / "mine.npz",
        members(x_train=array(x), y_train=array(y), x_test=array(x[:9]), y_test=array(y[:9])),
    )
    load("mine", tmp_path)
    monkeypatch.setattr(npz, "_MOST_BYTES", 10**6)
    monkeypatch.setattr(npz, "_array", lambda *_: pytest.fail("was unpacked"))
    assert message(tmp_path).startswith(f"{path}: its arrays take 1,09")
    assert "at most 1,000,000 are read" in message(tmp_path)


def test_images_of_the_wrong_kind_are_not_unpacked(tmp_path, monkeypatch):
    path = save(tmp_path / "mine.npz", members(x_train=array(np.zeros((8, 6, 6)))))
    monkeypatch.setattr(npz, "_array", lambda *_: pytest.fail("was unpacked"))
    assert (
        message(tmp_path)
        == f"{path}: x_train is float64; images must be uint8, 0..255, and other numbers float32"
    )


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_numpy_does_not_write_is_refused(tmp_path, kind):
    path = save(tmp_path / "mine.npz", members(), kind)
    assert message(tmp_path) == (
        f"{path}: x_train is compressed in a way that NumPy does not write; save it again"
    )


@pytest.mark.parametrize("first", [True, False])
def test_two_members_for_one_array_are_refused(tmp_path, first):
    """NumPy itself prefers `x_train` to `x_train.npy`: which one counts is a guess."""
    other = {"x_train": array(np.full((8, 6, 6), 99, np.uint8))}
    content = other | members() if first else members() | other
    path = save(tmp_path / "mine.npz", content)
    assert message(tmp_path) == f"{path}: x_train is in it twice; save it again"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_there_twice_is_refused(tmp_path):
    path = save(tmp_path / "mine.npz", members())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y_test.npy", members()["y_test.npy"])
    assert message(tmp_path) == f"{path}: y_test is in it twice; save it again"


def header(shape: str, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "shape",
    ["(True, 6, 6)", "(8, 6, -6)", "(9" + "9" * 5000 + ",)", "(0x" + "f" * 5000 + ", 0)", "(1.0,)",
     "(" * 200 + "8" + ",)" * 200, "(9223372036854775808, 0)", "{1, 2}", "(" + "1," * 70 + ")"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["x_train", "y_test"])
def test_a_shape_without_sense_is_one_line(tmp_path, shape, key):
    path = save(tmp_path / "mine.npz", members(**{key: header(shape) + bytes(288)}))
    said = message(tmp_path)
    assert said.startswith(f"{path}: {key} ")
    assert len(said) < len(str(path)) + 250


def test_true_is_no_number_of_images(tmp_path):
    path = save(tmp_path / "mine.npz", members(x_train=header("(True, 6, 6)") + bytes(36)))
    assert message(tmp_path) == (
        f"{path}: x_train is not a NumPy array (its shape is [True, 6, 6]); save it again"
    )


@pytest.mark.parametrize("descr", ["<U0", "|V0", "|V8", "|O", "u1,u1", "(2,)u1", "M8[25s]", "nope"])
def test_values_that_are_neither_numbers_nor_text_are_one_line(tmp_path, descr):
    claimed = header("(99999999999,)", descr)
    path = save(tmp_path / "mine.npz", members(classes=claimed))
    assert message(tmp_path).startswith(f"{path}: classes ")


def test_classes_without_end_and_those_that_steer_a_terminal_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "mine.npz", members(classes=array(np.array(["a", "b", "c\33[2J", "d"]))))
    with pytest.raises(DataError) as caught:
        load("mine", tmp_path)
    assert str(caught.value) == (
        f"{path}: classes holds 'c\\x1b[2J', which is no plain text; save it without control "
        "characters"
    )
    monkeypatch.setattr(npz, "_MOST_NAMES", 100)
    assert "classes takes 208 bytes, at most 100 are read; give shorter" in message(tmp_path)


def test_a_text_of_numbers_that_are_no_characters_is_refused(tmp_path):
    names = np.full(4, 2**32 - 1, np.uint32).view("<U1")
    path = save(tmp_path / "mine.npz", members(classes=array(names)))
    with pytest.raises(DataError, match="classes holds something that is not text; save it again"):
        load("mine", tmp_path)
    assert path.exists()


def patched(path: Path, at: int, value: bytes) -> Path:
    """The first entry of the directory, with other bytes at an offset from its beginning."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + at
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


FLAGS, PACKED, UNPACKED, WHERE = 8, 20, 24, 42


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (FLAGS, b"\1\0", "x_train is encrypted; save it without a password"),
        (FLAGS, b"\x40\0", "strong encryption"),
        (PACKED, b"\0\0\0\x40", None),
        (PACKED, b"\1\0\0\0", "Bad CRC-32 for file"),
        (UNPACKED, b"\0\0\0\x40", "expected 416 bytes by its header, found 1,073,741,824"),
        (UNPACKED, b"\1\0\0\0", "Bad CRC-32 for file"),
        (WHERE, b"\xff\xff\xff\x7f", "Truncated file header"),
    ],
)
def test_a_directory_that_lies_is_one_line(tmp_path, at, value, says):
    path = patched(save(tmp_path / "mine.npz", members()), at, value)
    if says is None:  # no more is unpacked than the array says, and its checksum holds
        try:
            found = load("mine", tmp_path)
        except DataError as error:  # some releases of Python refuse entries that overlap
            said = str(error)
        else:
            said = "Overlapped entries" if (found.x_train == 7).all() else "other values"
        assert "Overlapped entries" in said
    else:
        assert message(tmp_path).startswith(f"{path}: ")
        assert says in message(tmp_path)


def claim(path: Path, number: int) -> Path:
    """An archive whose directory claims that many bytes for x_train, as x_train itself does."""
    claimed = header(f"({number}, 6, 6)") + bytes(100)
    save(path, members(x_train=claimed))
    return patched(path, UNPACKED, (len(claimed) - 100 + 36 * number).to_bytes(4, "little"))


def test_an_array_that_deflate_cannot_have_packed_is_not_unpacked(tmp_path, monkeypatch):
    path = claim(tmp_path / "mine.npz", 10**7)
    monkeypatch.setattr(npz, "_array", lambda *_: pytest.fail("was unpacked"))
    said = message(tmp_path)
    assert said.startswith(f"{path}: x_train expected 360,000,")
    assert said.endswith(" packed bytes cannot hold; write or fetch the file again")


def test_a_directory_of_a_hundred_thousand_files_is_not_read(tmp_path):
    entry = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    directory = entry * 100_000
    end = b"PK\5\6" + bytes(8) + len(directory).to_bytes(4, "little") + bytes(6)
    path = tmp_path / "mine.npz"
    path.write_bytes(directory + end)
    tracemalloc.start()
    try:
        assert "there is more in it than its arrays" in message(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * 10**6


def test_a_member_that_unpacks_to_nothing_for_megabytes_is_not_looked_through(tmp_path):
    nothing = b"\0\0\0\xff\xff" * 2**20  # stored blocks of no bytes
    packed = members()
    path = save(tmp_path / "mine.npz", packed | {"x_train.npy": nothing}, zipfile.ZIP_STORED)
    patched(path, 10, b"\x08\0")  # said to be deflated
    assert "there is more in it than its arrays" in message(tmp_path)


def test_names_of_members_stay_on_one_line(tmp_path):
    path = save(tmp_path / "mine.npz", {f"a\nb\33{i}": b"" for i in range(1000)})
    said = message(tmp_path)
    assert said.startswith(f"{path}: no x_train, found a\N{REPLACEMENT CHARACTER}b")
    assert len(said) < len(str(path)) + 300


def test_too_little_memory_is_one_line(tmp_path, monkeypatch):
    save(tmp_path / "mine.npz", members())

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(npz, "_array", full)
    with pytest.raises(DataError, match=r"^mine: there is not enough memory for its images"):
        load("mine", tmp_path)
