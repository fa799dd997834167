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
    assert "1,000,000 are the most that is read" in message(tmp_path)


def test_images_of_the_wrong_kind_are_not_unpacked(tmp_path, monkeypatch):
    path = save(tmp_path / "mine.npz", members(x_train=array(np.zeros((8, 6, 6)))))
    monkeypatch.setattr(npz, "_array", lambda *_: pytest.fail("was unpacked"))
    assert message(tmp_path) == f"{path}: x_train is float64; images must be uint8, 0..255"


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_numpy_does_not_write_is_refused(tmp_path, kind):
    path = save(tmp_path / "mine.npz", members(), kind)
    assert message(tmp_path) == (
        f"{path}: x_train is compressed in a way that NumPy does not write; save it again"
    )


@pytest.mark.parametrize("first", [True, False])
def test_the_array_that_was_checked_is_the_one_that_is_read(tmp_path, first):
    """NumPy itself prefers `x_train` to `x_train.npy`; only one of the two has been looked at."""
    other = {"x_train": array(np.full((8, 6, 6), 99, np.uint8))}
    content = other | members() if first else members() | other
    save(tmp_path / "mine.npz", content)
    assert set(np.unique(load("mine", tmp_path).x_train)) == ({7} if first else {99})
