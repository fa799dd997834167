"""The reader of MATLAB files: what SciPy reads is read alike, and nothing is believed unseen."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from weightspace.errors import DataError
from weightspace.images import matlab, svhn

RNG = np.random.default_rng(7)
NUMBERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
IMAGES = 20


def content(labels: str = "u1", images: int = IMAGES) -> dict[str, np.ndarray]:
    x = RNG.integers(0, 256, (32, 32, 3, images), np.uint8)
    return {"X": x, "y": (np.arange(images) % 10 + 1).astype(labels)[:, None]}


def read_all(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        return {
            v.name: np.concatenate([np.empty(0, v.dtype), *v.pieces(1000)]).reshape(
                v.shape, order="F"
            )
            for v in matlab.variables(file, path.stat().st_size)
            if v.dtype is not None
        }


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("labels", NUMBERS)
def test_arrays_are_those_that_scipy_reads(tmp_path, labels, packed):
    path = tmp_path / "a.mat"
    shapes = {"one": (1, 1), "small": (2, 1), "row": (1, 9), "cube": (2, 3, 4), "none": (0, 3)}
    arrays = {key: RNG.integers(0, 99, shape).astype(labels) for key, shape in shapes.items()}
    others = {"text": "abc", "cells": np.array([1, "b"], object), "z": np.ones((2, 2)) * 1j}
    savemat(path, content(labels) | arrays | others, do_compression=packed)
    found, expected = read_all(path), loadmat(path)
    assert set(found) == {"X", "y", *shapes}
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype == expected[name].dtype


def element(order: str, kind: int, data: bytes) -> bytes:
    if 0 < len(data) <= 4:  # as the specification packs what is small
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}2I", kind, len(data)) + data + bytes(-len(data) % 8)


CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
DOUBLE, UINT8 = 6, 9


def variable(order: str, name: str, values: np.ndarray, kind: int) -> bytes:
    parts = [
        element(order, 6, struct.pack(f"{order}2I", kind, 0)),
        element(order, 5, struct.pack(f"{order}{values.ndim}i", *values.shape)),
        element(order, 1, name.encode()),
        element(order, CODES[values.dtype.str[1:]],
                values.astype(values.dtype.newbyteorder(order)).tobytes("F")),
    ]  # fmt: skip
    return element(order, 14, b"".join(parts))


def header(order: str) -> bytes:
    text = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Mon Dec  5 21:18:13 2011"
    return text.ljust(124) + struct.pack(f"{order}2H", 0x0100, 0x4D49)


def written(order: str, packed: bool, labels: str, images: int = IMAGES) -> tuple[bytes, dict]:
    """As MATLAB itself writes: labels of class double, stored in a smaller type."""
    arrays = content(labels, images)
    data = header(order)
    for name, kind in (("X", UINT8), ("y", DOUBLE)):
        whole = variable(order, name, arrays[name], kind)
        if packed:
            deflated = zlib.compress(whole)
            whole = struct.pack(f"{order}2I", 15, len(deflated)) + deflated
        data += whole
    return data, arrays


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("labels", ["u1", "f8", "i2"])
@pytest.mark.parametrize("images", [2, IMAGES])
def test_both_orders_of_bytes_and_labels_stored_small(tmp_path, order, packed, labels, images):
    data, arrays = written(order, packed, labels, images)
    path = tmp_path / "a.mat"
    path.write_bytes(data)
    found, expected = read_all(path), loadmat(path)
    for name in ("X", "y"):
        np.testing.assert_array_equal(found[name], arrays[name])
        np.testing.assert_array_equal(found[name], expected[name])
    sizes = svhn.peek([path, path])
    assert sizes == (images, images, (32, 32, 3))
    x, y, *_ = svhn.read([path, path])
    np.testing.assert_array_equal(x, arrays["X"].transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(y, arrays["y"][:, 0].astype(np.int64) % 10)
    assert x.flags.c_contiguous


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_changed_byte_ends_in_one_line_or_in_the_same_shapes(tmp_path, order, packed):
    """One flipped bit was enough to kill the process in a reader written in C."""
    data, arrays = written(order, packed, "u1")
    whole, other = tmp_path / "whole.mat", tmp_path / "changed.mat"
    whole.write_bytes(data)
    # Everything around the values, and as many places again among them.
    places = [*range(116, 300), *range(len(data) - 80, len(data))]
    rng = random.Random(5)
    places += rng.choices(range(300, len(data)), k=40)
    refused, said = 0, set()
    for place in places:
        changed = bytearray(data)
        changed[place] ^= rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        other.write_bytes(changed)
        try:
            x, y, *_ = svhn.read([other, whole])
        except DataError as error:
            refused += 1
            said.add(str(error))
        else:
            assert x.shape == (IMAGES, 32, 32, 3)
            assert y.shape == (IMAGES,)
            assert np.mean(x != arrays["X"].transpose(3, 0, 1, 2)) < 0.01
    assert refused > 100
    assert all(line.startswith(f"{other}: ") and "\n" not in line for line in said)


def test_a_file_cut_short_anywhere_is_refused_by_a_look_at_it(tmp_path):
    for packed in (False, True):
        data, _ = written("<", packed, "u1")
        path = tmp_path / "a.mat"
        for length in [0, 1, 100, 127, 128, 130, 140, 200, len(data) // 2, *range(-120, 0, 3)]:
            path.write_bytes(data[:length])
            with pytest.raises(DataError) as caught:
                svhn.peek([path, path])
            assert str(caught.value).startswith(f"{path}: ")


def claims(images: int) -> bytes:
    """A file of 20 images whose headers claim as many as asked, each in line with the others."""
    data, _ = written("<", False, "u1")
    body = bytearray(data[128:])
    body[44:48] = struct.pack("<i", images)  # the last of X's dimensions
    at = body.index(struct.pack("<2I", 2, 3072 * IMAGES))
    body[at + 4 : at + 8] = struct.pack("<I", 3072 * images % 2**32)
    body[4:8] = struct.pack("<I", (at + 3072 * images) % 2**32)
    deflated = zlib.compress(bytes(body[: at + 8 + 3072 * IMAGES]))
    return header("<") + struct.pack("<2I", 15, len(deflated)) + deflated


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (10**5, "307,200,056 bytes claimed by 61,"),
        (10**6, "3,072,000,056 bytes claimed by 61,"),
        (-1, "4,294,964,280 bytes claimed by 61,"),
        (2**21, "2,147,483,704 bytes claimed by 61,"),
        (IMAGES, "no variable y, found X"),
    ],
)
def test_more_images_than_deflate_can_pack_are_not_believed(tmp_path, images, says):
    path = tmp_path / "a.mat"
    path.write_bytes(claims(images))
    with pytest.raises(DataError) as caught:
        svhn.peek([path, path])
    assert says in str(caught.value)


def packed(element: bytes) -> bytes:
    deflated = zlib.compress(element)
    return struct.pack("<2I", 15, len(deflated)) + deflated


def filled(element: bytes, more: int) -> bytes:
    """An array with bytes at its end that belong to nothing."""
    return struct.pack("<2I", 14, len(element) - 8 + more) + element[8:] + bytes(more)


def test_bytes_that_belong_to_nothing_and_checksums_that_differ_are_damage(tmp_path):
    arrays = content()
    x = variable("<", "X", arrays["X"], UINT8)
    y = variable("<", "y", arrays["y"], UINT8)
    path = tmp_path / "a.mat"

    def said(*parts: bytes) -> str:
        path.write_bytes(header("<") + b"".join(parts))
        with pytest.raises(DataError) as caught:
            svhn.read([path, path])
        return str(caught.value)

    assert "8 bytes too many in X" in said(filled(x, 8), y)
    assert "16 bytes too many in X" in said(packed(filled(x, 16)), packed(y))
    assert "bytes too many in y" in said(packed(x), packed(y + b"more"))
    assert "incorrect data check" in said(packed(x), packed(y)[:-1] + b"\0")
    assert "incorrect data check" in said(packed(x)[:-1] + b"\0", packed(y))


@pytest.mark.parametrize("shape", [(-2, -2), (2, -1)])
def test_a_negative_shape_is_damage(tmp_path, shape):
    data = variable("<", "X", np.ones((2, 2)), DOUBLE)
    at = data.index(struct.pack("<2i", 2, 2))
    path = tmp_path / "a.mat"
    path.write_bytes(header("<") + data[:at] + struct.pack("<2i", *shape) + data[at + 8 :])
    with pytest.raises(DataError) as caught:
        svhn.peek([path, path])
    assert f"shape {list(shape)}" in str(caught.value)


def test_memory_is_that_of_the_images(tmp_path):
    """13 MB of images in a few kilobytes: they are unpacked once, in pieces."""
    path, n = tmp_path / "a.mat", 4096
    savemat(path, {"X": np.zeros((32, 32, 3, n), np.uint8), "y": np.ones((n, 1))},
            do_compression=True)  # fmt: skip
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    try:
        assert svhn.peek([path, path]) == (n, n, (32, 32, 3))
        looked = tracemalloc.get_traced_memory()[1]
        arrays = svhn.read([path, path])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert looked < 10**6
    assert peak < 2 * arrays.x_train.nbytes + 5 * 10**6


def many(n: int) -> bytes:
    return b"".join(variable("<", f"v{i}", np.ones((1, 1)), DOUBLE) for i in range(n))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (many(101), "more than 100 variables"),
        (variable("<", "X", np.ones((2, 2)), DOUBLE) * 2, "X is there twice"),
        (variable("<", "a\n\33", np.ones((2, 2)), DOUBLE), "found a\N{REPLACEMENT CHARACTER}"),
        (element("<", 15, zlib.compress(element("<", 15, bytes(64)))), "a compressed element of"),
        (element("<", 14, b""), "8 bytes instead of 0"),
        (element("<", 3, bytes(64)), "an element of type 3"),
        (variable("<", "X" * 300, np.ones((2, 2)), DOUBLE), "a name of type 1 and 300 bytes"),
        (variable("<", "X", np.ones([1] * 40), DOUBLE), "dimensions of type 5 and 160 bytes"),
    ],
)
def test_what_no_set_looks_like_is_named(tmp_path, body, says):
    path = tmp_path / "a.mat"
    path.write_bytes(header("<") + body)
    with pytest.raises(DataError) as caught:
        svhn.peek([path, path])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
