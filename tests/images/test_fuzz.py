"""Damaged files of every form: one line or images, whatever the damage, and never much memory."""

from __future__ import annotations

import gzip
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from weightspace.errors import DataError
from weightspace.images import catalogue, idx, inflating, load, opening, records, search

N = 12
RNG = np.random.default_rng(3)
ROUNDS = 40


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("WEIGHTSPACE_DATA", raising=False)
    monkeypatch.setattr(search, "cache", lambda: tmp_path / "cache")


def images(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (N, *shape), np.uint8)


LABELS = (np.arange(N) % 4).astype(np.uint8)


def idx_bytes(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def write_idx(folder: Path, packed: bool) -> None:
    folder.mkdir()
    for stem in ("train", "t10k"):
        for kind, values in (("images-idx3", images(5, 5)), ("labels-idx1", LABELS)):
            data = idx_bytes(values)
            name = f"{stem}-{kind}-ubyte" + ".gz" * packed
            (folder / name).write_bytes(gzip.compress(data) if packed else data)


def write_cifar(folder: Path) -> None:
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        rows = np.concatenate([LABELS[:3, None], images(3072)[:3]], 1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


def write_stl(folder: Path) -> None:
    folder.mkdir()
    for part in ("train", "test"):
        (folder / f"{part}_X.bin").write_bytes(images(3, 96, 96)[:2].tobytes())
        (folder / f"{part}_y.bin").write_bytes(LABELS[1:3].tobytes())


def write_svhn(folder: Path, packed: bool) -> None:
    folder.mkdir()
    for part in ("train", "test"):
        x = images(32, 32, 3).transpose(1, 2, 3, 0)
        matlab = {"X": x, "y": LABELS[:, None] + 1}
        savemat(folder / f"{part}_32x32.mat", matlab, do_compression=packed)


def write_npz(folder: Path, save: Callable[..., None]) -> None:
    names = np.array(["ant", "bee", "cow", "dog"])
    save(folder / "mine.npz", x_train=images(5, 5), y_train=LABELS, x_test=images(5, 5, 1),
         y_test=LABELS, classes=names)  # fmt: skip


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "idx": ("mnist", lambda folder: write_idx(folder / "mnist", False)),
    "idx.gz": ("mnist", lambda folder: write_idx(folder / "mnist", True)),
    "cifar": ("cifar10", lambda folder: write_cifar(folder / "cifar10")),
    "stl": ("stl10", lambda folder: write_stl(folder / "stl10")),
    "svhn": ("svhn", lambda folder: write_svhn(folder / "svhn", False)),
    "svhn packed": ("svhn", lambda folder: write_svhn(folder / "svhn", True)),
    "npz": ("mine", lambda folder: write_npz(folder, np.savez)),
    "npz packed": ("mine", lambda folder: write_npz(folder, np.savez_compressed)),
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one of the things that happen to files, or are done to them."""
    changed = bytearray(data)
    # Headers and directories, at the ends, are where damage tells.
    near = rng.choice([64, 400, len(data)])
    place = rng.randrange(min(near, len(data)))
    place = rng.choice([place, len(data) - 1 - place])
    match rng.randrange(7):
        case 0 | 1:
            changed[place] ^= 1 << rng.randrange(8)
        case 2:
            changed[place : place + 4] = rng.choice(
                [b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"]
            )
        case 3:
            del changed[place:]
        case 4:
            changed[place:place] = rng.randbytes(rng.randrange(1, 20))
        case 5:
            del changed[place : place + rng.randrange(1, 20)]
        case _:
            changed += rng.choice([b"\0" * 9, b"more", bytes(data)])
    return bytes(changed)


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_one_line_or_leaves_a_set(form, tmp_path):
    name, write = FORMS[form]
    write(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    whole = load(name, tmp_path)
    rng = random.Random(form)
    said = set()
    tracemalloc.start()
    for _ in range(ROUNDS if form != "stl" else 15):
        path = rng.choice(files)
        data = path.read_bytes()
        path.write_bytes(damaged(data, rng))
        entry = next(entry for entry in catalogue(tmp_path) if entry.name == name)
        try:
            found = load(name, tmp_path)
        except DataError as error:
            said.add(str(error))
        else:
            assert entry.state == "ready"
            assert (entry.train, entry.test) == (len(found.y_train), len(found.y_test))
            assert found.x_train.shape[1:] == found.x_test.shape[1:] == entry.shape
            assert found.x_train.ndim == whole.x_train.ndim
        path.write_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(said) > 3
    assert all(line.startswith(str(tmp_path)) and "\n" not in line for line in said), said
    assert max(map(len, said)) < 400
    assert peak < 10**7
    np.testing.assert_array_equal(load(name, tmp_path).x_train, whole.x_train)


def message(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gzip_without_end(kind: str) -> bytes:
    """Gzips that take a reader long before they give a byte, if they ever do."""
    match kind:
        case "name":
            return b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 2**21
        case "blocks":
            return b"\x1f\x8b\x08\0" + bytes(6) + b"\0\0\0\xff\xff" * 2**19
        case _:
            return gzip.compress(b"") * 10**5


@pytest.mark.parametrize("kind", ["name", "blocks", "members"])
def test_a_gzip_that_gives_nothing_is_given_up(kind, tmp_path):
    write_idx(tmp_path / "mnist", True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip_without_end(kind))
    entry = next(entry for entry in catalogue(tmp_path) if entry.name == "mnist")
    assert entry.note == message(lambda: load("mnist", tmp_path))
    assert entry.note.startswith(f"{path}: damaged gzip (")
    assert "hold nothing" in entry.note or "more than 10,000 parts" in entry.note


def test_a_gzip_of_parts_without_end_is_given_up(tmp_path):
    write_idx(tmp_path / "mnist", True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    head = idx_bytes(np.zeros((20_000, 1, 1), np.uint8))[:16]
    path.write_bytes(gzip.compress(head) + gzip.compress(b"7") * 20_000)
    assert "damaged gzip (more than 10,000 parts)" in message(lambda: load("mnist", tmp_path))


def test_a_gzip_in_several_parts_is_read(tmp_path):
    write_idx(tmp_path / "mnist", True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    data = gzip.decompress(path.read_bytes())
    parts = [data[i : i + 50] for i in range(0, len(data), 50)]
    whole = load("mnist", tmp_path).x_train
    path.write_bytes(b"".join([*map(gzip.compress, parts), gzip.compress(b""), bytes(70_000)]))
    np.testing.assert_array_equal(load("mnist", tmp_path).x_train, whole)


def test_a_gzip_that_unpacks_without_end_stops_where_the_header_ends(tmp_path):
    write_idx(tmp_path / "mnist", True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(images(5, 5)) + bytes(10**8)))
    tracemalloc.start()
    said = message(lambda: load("mnist", tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said.startswith(f"{path}: expected 316 bytes, found ")
    assert peak < 10**7


def test_files_and_claims_beyond_the_largest_published_ones_are_refused(tmp_path, monkeypatch):
    most = 10**5
    monkeypatch.setattr(idx, "MOST_BYTES", most)
    write_idx(tmp_path / "mnist", True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((200, 28, 28), np.uint8))))
    assert "takes 156,816 bytes unpacked, at most 100,000 are" in message(
        lambda: load("mnist", tmp_path)
    )
    with (tmp_path / "mnist" / "train-images-idx3-ubyte").open("wb") as file:
        file.truncate(opening.MOST_BYTES + 1)  # a hole, which takes no space
    assert "at most 1,073,741,824 are" in message(lambda: load("mnist", tmp_path))


@pytest.mark.parametrize("shape", [(0, 5, 5), (2**32 - 1, 0, 5)])
def test_an_idx_file_of_nothing_is_no_set(shape, tmp_path):
    write_idx(tmp_path / "mnist", False)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape))
    said = message(lambda: load("mnist", tmp_path))
    assert said == f"{path}: has shape {list(shape)}, so nothing; fetch the file again"


def test_full_size_images_are_never_in_memory_together(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_PIECE", 3)
    folder = tmp_path / "stl10"
    write_stl(folder)
    x = RNG.integers(0, 256, (100, 3, 96, 96), np.uint8)
    (folder / "train_X.bin").write_bytes(x.tobytes())
    (folder / "train_y.bin").write_bytes(bytes([1, 2] * 50))
    tracemalloc.start()
    found = load("stl10", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    exact = x.transpose(0, 3, 2, 1).reshape(100, 32, 3, 32, 3, 3).astype(float).mean((2, 4))
    assert abs(found.x_train - exact).max() <= 0.5001
    assert peak < x.nbytes / 2


def test_unpacking_by_small_steps_gives_all_of_it(tmp_path):
    data = RNG.integers(0, 4, 300_000, np.uint8).tobytes() + bytes(300_000)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(data))
    with path.open("rb") as file:
        unpacked = inflating.Inflated(file, path.stat().st_size, inflating.GZIP)
        found = b"".join(iter(lambda: unpacked.read(997), b""))
    assert found == data
