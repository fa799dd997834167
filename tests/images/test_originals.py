"""The readers of published files, on small files in the original form."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from weightspace.errors import DataError
from weightspace.images import catalogue, idx, load, search

DATA = os.environ.get("WEIGHTSPACE_DATA")
RNG = np.random.default_rng(5)
IDX_NAMES = {
    "plain": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
              "t10k-labels-idx1-ubyte"),
    "dotted": ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte",
               "t10k-labels.idx1-ubyte"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("WEIGHTSPACE_DATA", raising=False)
    monkeypatch.setattr(search, "cache", lambda: tmp_path / "cache")


def images(n, *shape):
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


def labels(n):
    return (np.arange(n) % 10).astype(np.uint8)


def idx_bytes(values):
    """The IDX form, from its published description: magic, big-endian dimensions, bytes."""
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def write_idx(folder, style="plain", packed=False, arrays=None):
    arrays = arrays or (images(30, 28, 28), labels(30), images(10, 28, 28), labels(10))
    folder.mkdir(parents=True)
    for name, values in zip(IDX_NAMES[style], arrays, strict=True):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(values)))
        else:
            (folder / name).write_bytes(idx_bytes(values))
    return arrays


def write_cifar(folder):
    """Records of one label, then 1,024 red, 1,024 green and 1,024 blue values, row by row."""
    folder.mkdir(parents=True)
    x, y = images(60, 32, 32, 3), labels(60)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for name, part in zip(names, np.split(np.arange(60), 6), strict=True):
        records = b"".join(
            bytes([y[i]]) + b"".join(x[i, :, :, colour].tobytes() for colour in range(3))
            for i in part
        )
        (folder / name).write_bytes(records)
    return x[:50], y[:50], x[50:], y[50:]


def write_stl(folder):
    """Images as colour planes, each column by column; labels from 1."""
    folder.mkdir(parents=True)
    x, y = images(20, 96, 96, 3), labels(20)
    for part, chosen in (("train", slice(0, 10)), ("test", slice(10, 20))):
        planes = [image[:, :, c].T.tobytes() for image in x[chosen] for c in range(3)]
        (folder / f"{part}_X.bin").write_bytes(b"".join(planes))
        (folder / f"{part}_y.bin").write_bytes((y[chosen] + 1).tobytes())
    return x[:10], y[:10], x[10:], y[10:]


def write_svhn(folder, compressed=True):
    """MATLAB 5 files, images along the last axis, the digit 0 under label 10."""
    folder.mkdir(parents=True)
    x, y = images(30, 32, 32, 3), labels(30)
    for part, chosen in (("train", slice(0, 20)), ("test", slice(20, 30))):
        matlab = {
            "X": x[chosen].transpose(1, 2, 3, 0),
            "y": np.where(y[chosen] == 0, 10, y[chosen])[:, None],
        }
        savemat(folder / f"{part}_32x32.mat", matlab, do_compression=compressed)
    return x[:20], y[:20], x[20:], y[20:]


def check_equal(loaded, arrays):
    for field, expected in zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True):
        found = getattr(loaded, field)
        np.testing.assert_array_equal(found, expected.reshape(found.shape))
        assert found.dtype == (np.int64 if field.startswith("y") else np.uint8)


def entry(name, data_dir):
    return next(e for e in catalogue(data_dir) if e.name == name)


def message(name, data_dir):
    with pytest.raises(DataError) as caught:
        load(name, data_dir)
    assert "\n" not in str(caught.value)
    found = entry(name, data_dir)
    # The catalogue looks at headers only; where that suffices it says the same.
    assert found.state == "ready" or found.note == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("style", ["plain", "dotted"])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion_mnist", "fashion_mnist"),
        ("fashion_mnist", "FashionMNIST/raw"),
    ],
)
def test_idx_files_come_back_as_written(name, folder, style, packed, tmp_path):
    arrays = write_idx(tmp_path / folder, style, packed)
    loaded = load(name, tmp_path)
    check_equal(loaded, arrays)
    assert loaded.classes[8] == ("8" if name == "mnist" else "bag")
    found = entry(name, tmp_path)
    assert (found.kind, found.state, found.where) == ("original", "ready", str(tmp_path / folder))
    assert (found.train, found.test, found.shape) == (30, 10, (28, 28, 1))
    assert found.note == "incomplete: the whole set has 60,000 + 10,000 images"


@pytest.mark.parametrize("folder", ["cifar10", "cifar-10-batches-bin"])
def test_cifar_batches_come_back_as_written(folder, tmp_path):
    arrays = write_cifar(tmp_path / folder)
    check_equal(load("cifar10", tmp_path), arrays)
    found = entry("cifar10", tmp_path)
    assert (found.train, found.test, found.shape) == (50, 10, (32, 32, 3))


@pytest.mark.parametrize("compressed", [False, True])
def test_svhn_comes_back_with_label_ten_as_zero(compressed, tmp_path):
    arrays = write_svhn(tmp_path / "svhn", compressed)
    check_equal(load("svhn", tmp_path), arrays)
    found = entry("svhn", tmp_path)
    assert (found.train, found.test, found.shape) == (20, 10, (32, 32, 3))


@pytest.mark.parametrize("folder", ["stl10", "stl10_binary"])
def test_stl_comes_back_upright_and_reduced_by_area(folder, tmp_path):
    x_train, y_train, x_test, y_test = write_stl(tmp_path / folder)
    reduced = [x.reshape(-1, 32, 3, 32, 3, 3).astype(float).mean((2, 4)) for x in (x_train, x_test)]
    loaded = load("stl10", tmp_path)
    for found, exact in ((loaded.x_train, reduced[0]), (loaded.x_test, reduced[1])):
        assert abs(found - exact).max() <= 0.5001
    np.testing.assert_array_equal(loaded.y_train, y_train)
    np.testing.assert_array_equal(loaded.y_test, y_test)
    found = entry("stl10", tmp_path)
    assert (found.train, found.test, found.shape) == (10, 10, (32, 32, 3))


def test_an_npz_comes_before_the_published_files_of_its_folder(tmp_path):
    write_idx(tmp_path / "mnist")
    x, y = images(20, 9, 9), labels(20)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert load("mnist", tmp_path).x_train.shape == (20, 9, 9, 1)


def test_files_of_an_earlier_place_come_before_an_npz_of_a_later_one(tmp_path, monkeypatch):
    write_idx(tmp_path / "first" / "mnist")
    x, y = images(20, 9, 9), labels(20)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setenv("WEIGHTSPACE_DATA", str(tmp_path))
    assert load("mnist", tmp_path / "first").x_train.shape == (30, 28, 28, 1)


def test_a_truncated_idx_file_states_both_sizes(tmp_path):
    write_idx(tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    assert message("mnist", tmp_path) == (
        f"{path}: expected 7,856 bytes, found 7,756 (unpacked, if gzipped); fetch the file again"
    )
    path.write_bytes(b"\0\0\x08\x03\0\0")
    assert message("mnist", tmp_path) == (
        f"{path}: expected 16 bytes, found 6 (unpacked, if gzipped); fetch the file again"
    )


def test_an_idx_file_with_bytes_to_spare_is_refused(tmp_path):
    write_idx(tmp_path / "mnist", packed=True)
    path = tmp_path / "mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(labels(30)) + b"more"))
    assert message("mnist", tmp_path) == (
        f"{path}: expected 38 bytes, found 42 or more (unpacked, if gzipped); fetch the file again"
    )


def test_a_truncated_gzip_states_what_it_gave(tmp_path):
    write_idx(tmp_path / "mnist", packed=True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(images(30, 28, 28))[:5000]))
    assert message("mnist", tmp_path) == (
        f"{path}: expected 23,536 bytes, found 5,000 (unpacked, if gzipped); fetch the file again"
    )
    path.write_bytes(path.read_bytes()[:4000])
    said = message("mnist", tmp_path)
    assert said.startswith(f"{path}: expected 23,536 bytes, found ")
    path.write_bytes(b"<html>404</html>")
    assert message("mnist", tmp_path) == (
        f"{path}: damaged gzip (Not a gzipped file (b'<h')); fetch the file again"
    )


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_header_is_not_believed_beyond_its_file(packed, tmp_path):
    write_idx(tmp_path / "mnist", packed=packed)
    suffix = ".gz" if packed else ""
    path = tmp_path / "mnist" / f"train-images-idx3-ubyte{suffix}"
    claim = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 28) + b"pixels"
    path.write_bytes(gzip.compress(claim) if packed else claim)
    expected = f"{16 + (2**32 - 1) ** 2 * 28:,}"
    said = message("mnist", tmp_path)
    assert said.startswith(f"{path}: expected {expected} bytes")
    assert said.endswith("; fetch the file again")
    assert f"{path.stat().st_size:,}" in said


def test_labels_where_images_belong_are_told_apart_by_their_magic(tmp_path):
    write_idx(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(labels(30)))
    assert message("mnist", tmp_path) == (
        f"{path}: begins with 00000801, an IDX file of images with 00000803; "
        "put the original file here"
    )


def test_idx_labels_out_of_line_are_refused(tmp_path):
    write_idx(tmp_path / "a" / "mnist", arrays=(images(30, 4, 4), labels(29), images(9, 4, 4),
                                                labels(9)))  # fmt: skip
    with pytest.raises(DataError) as caught:
        load("mnist", tmp_path / "a")
    folder = tmp_path / "a" / "mnist"
    assert str(caught.value) == (
        f"{folder}: y_train has shape [29] for 30 images; give one label for each image"
    )
    write_idx(tmp_path / "b" / "mnist", arrays=(images(9, 4, 4), labels(9) + 5, images(9, 4, 4),
                                                labels(9)))  # fmt: skip
    with pytest.raises(DataError) as caught:
        load("mnist", tmp_path / "b")
    assert str(caught.value) == (
        f"{tmp_path / 'b' / 'mnist'}: y_train holds label 13, but there are 10 classes; "
        "labels must be 0..9"
    )


def test_a_truncated_cifar_batch_states_both_sizes(tmp_path):
    write_cifar(tmp_path / "cifar10")
    path = tmp_path / "cifar10" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert message("cifar10", tmp_path) == (
        f"{path}: expected whole records of 3,073 bytes, such as 30,730 bytes for 10, "
        "found 30,729; fetch the file again"
    )
    path.write_bytes(b"")
    assert message("cifar10", tmp_path) == (
        f"{path}: expected whole records of 3,073 bytes, such as 3,073 bytes for 1, "
        "found 0; fetch the file again"
    )


def test_a_cifar_label_beyond_nine_is_refused_by_record(tmp_path):
    write_cifar(tmp_path / "cifar10")
    path = tmp_path / "cifar10" / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[3073 * 4] = 17
    path.write_bytes(content)
    assert message("cifar10", tmp_path) == (
        f"{path}: record 4 has label 17; CIFAR-10 has 0..9, so this is another file or version; "
        "put CIFAR-10's binary version here"
    )


def test_stl_labels_out_of_line_or_range_are_refused(tmp_path):
    write_stl(tmp_path / "stl10")
    path = tmp_path / "stl10" / "test_y.bin"
    path.write_bytes(bytes([1, 2, 11, 4, 5, 6, 7, 8, 9, 10]))
    assert message("stl10", tmp_path) == (
        f"{path}: label 11 at byte 2; STL-10 has 1..10; fetch the file again"
    )
    path.write_bytes(bytes([1, 2, 3]))
    assert message("stl10", tmp_path) == (
        f"{path}: expected 10 bytes, one label for each image of test_X.bin, found 3; "
        "fetch both files again"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            {"Y": [1]},
            "no variable X, found Y; the file is cut short, or not SVHN's format 2 (cropped "
            "digits); fetch it again",
        ),
        (
            {"X": np.zeros((32, 32, 3), np.uint8), "y": [1]},
            "X has shape [32, 32, 3]; SVHN's cropped digits are [32, 32, 3, N]; "
            "fetch the file again",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1))},
            "y has shape [3, 1] for 2 images in X; fetch the file again",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1), np.uint8)},
            "X is float64 and y uint8; fetch the original file again",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[10], [0]], np.uint8)},
            "y holds label 0; SVHN has 1..10; fetch the file again",
        ),
    ],
)
def test_a_wrong_svhn_file_is_refused_by_variable(content, says, tmp_path):
    write_svhn(tmp_path / "svhn")
    path = tmp_path / "svhn" / "test_32x32.mat"
    savemat(path, content)
    assert message("svhn", tmp_path) == f"{path}: {says}"


def test_a_damaged_svhn_file_is_refused(tmp_path):
    write_svhn(tmp_path / "svhn")
    path = tmp_path / "svhn" / "train_32x32.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert message("svhn", tmp_path) == (
        f"{path}: no variable y, found X; the file is cut short, or not SVHN's format 2 "
        "(cropped digits); fetch it again"
    )
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    said = message("svhn", tmp_path)
    assert said.startswith(f"{path}: not a whole MATLAB 5 file (")
    assert said.endswith("); fetch the file again")
    path.write_bytes(b"not a MATLAB file at all, but a page of text " * 9)
    assert message("svhn", tmp_path).startswith(f"{path}: not a whole MATLAB 5 file (")


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60), packed=st.booleans())
def test_no_bytes_make_the_idx_reader_raise_anything_else(content, packed, tmp_path_factory):
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if packed else "a")
    head = b"\0\0\x08\x01" if len(content) % 2 else b""
    path.write_bytes(gzip.compress(head + content) if packed and content else head + content)
    # No file can be both images and labels, so there is always something to refuse.
    with pytest.raises(DataError) as caught:
        idx.read([path] * 4)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_sets_survive_the_way_through_their_original_form(name, tmp_path):
    if DATA is None or not Path(DATA, f"{name}.npz").is_file():
        pytest.skip(f"{name}.npz is not in $WEIGHTSPACE_DATA ({DATA or 'not set'})")
    whole = load(name, DATA)
    arrays = (whole.x_train, whole.y_train, whole.x_test, whole.y_test)
    flat = [a[..., 0] if a.ndim == 4 else a.astype(np.uint8) for a in arrays]
    write_idx(tmp_path / name, arrays=flat)
    check_equal(load(name, tmp_path), arrays)
    assert entry(name, tmp_path).note == ""
