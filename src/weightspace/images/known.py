"""The image sets that are known by name: built-in ones, and published ones with their own files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from weightspace.images import digits, glyphs, idx, records, svhn, textures
from weightspace.images.imageset import Arrays, Sizes


@dataclass(frozen=True)
class BuiltIn:
    """A set that is generated, not read from files."""

    build: Callable[[], Arrays]
    sizes: Sizes
    classes: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Published:
    """A set in the form in which its authors published it.

    `folders` are names below a search directory, the recommended one first. `files` are its files,
    each under any of several names, in the order in which `read` and `peek` take them. `train` and
    `test` are the numbers of images of the whole set, and `source` says where to download it.
    """

    folders: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    read: Callable[[Sequence[Path]], Arrays]
    peek: Callable[[Sequence[Path]], Sizes]
    classes: tuple[str, ...]
    train: int
    test: int
    source: str


_DIGITS = tuple("0123456789")

_IDX_FILES = tuple(
    (f"{stem}-{kind}-ubyte", f"{stem}-{kind}-ubyte.gz", f"{stem}.{kind}-ubyte",
     f"{stem}.{kind}-ubyte.gz")
    for stem, kind in (
        ("train-images", "idx3"),
        ("train-labels", "idx1"),
        ("t10k-images", "idx3"),
        ("t10k-labels", "idx1"),
    )
)  # fmt: skip

BUILT_IN: dict[str, BuiltIn] = {
    "digits": BuiltIn(
        digits.build, digits.SIZES, digits.CLASSES, "scikit-learn's handwritten digits"
    ),
    "glyphs": BuiltIn(glyphs.build, glyphs.SIZES, glyphs.CLASSES, "letters in many fonts"),
    "textures": BuiltIn(textures.build, textures.SIZES, textures.CLASSES, "procedural patterns"),
}

PUBLISHED: dict[str, Published] = {
    "mnist": Published(
        folders=("mnist", "MNIST/raw"),
        files=_IDX_FILES,
        read=idx.read,
        peek=idx.peek,
        classes=_DIGITS,
        train=60_000,
        test=10_000,
        source="https://yann.lecun.com/exdb/mnist/",
    ),
    "fashion_mnist": Published(
        folders=("fashion_mnist", "FashionMNIST/raw"),
        files=_IDX_FILES,
        read=idx.read,
        peek=idx.peek,
        classes=("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
                 "bag", "ankle boot"),
        train=60_000,
        test=10_000,
        source="https://github.com/zalandoresearch/fashion-mnist",
    ),
    "cifar10": Published(
        folders=("cifar10", "cifar-10-batches-bin"),
        files=(*((f"data_batch_{i}.bin",) for i in range(1, 6)), ("test_batch.bin",)),
        read=records.read_cifar,
        peek=records.peek_cifar,
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck"),
        train=50_000,
        test=10_000,
        source="https://www.cs.toronto.edu/~kriz/cifar.html (binary version)",
    ),
    "svhn": Published(
        folders=("svhn",),
        files=(("train_32x32.mat",), ("test_32x32.mat",)),
        read=svhn.read,
        peek=svhn.peek,
        classes=_DIGITS,
        train=73_257,
        test=26_032,
        source="http://ufldl.stanford.edu/housenumbers/ (format 2)",
    ),
    "stl10": Published(
        folders=("stl10", "stl10_binary"),
        files=(("train_X.bin",), ("train_y.bin",), ("test_X.bin",), ("test_y.bin",)),
        read=records.read_stl,
        peek=records.peek_stl,
        classes=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship",
                 "truck"),
        train=5_000,
        test=8_000,
        source="https://cs.stanford.edu/~acoates/stl10/",
    ),
}  # fmt: skip
