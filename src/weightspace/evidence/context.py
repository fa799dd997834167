"""`Context`: what is known or asked beside the net itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from weightspace.evidence.record import Value

if TYPE_CHECKING:
    from weightspace.checkpoints import Inspection
    from weightspace.images import ImageSet

POPULAR_SEEDS = (
    *range(101), 111, 123, 137, 222, 256, 314, 333, 420, 444, 512, 555, 666, 777, 888, 999, 1000,
    1024, 1111, 1234, 1337, 1729, 1994, 2000, *range(2010, 2027), 2048, 2222, 2333, 3141, 3407,
    4096, 4242, 5678, 6666, 8888, 9999, 10000, 12345, 31415, 42424, 54321, 65535, 100000, 123456,
    271828, 314159, 654321, 1234567, 20202020, 123456789, 3141592653,
)  # fmt: skip
"""Seeds that people choose."""

TRAIN_IMAGES = {
    "mnist": (60_000, 55_000, 54_000, 50_000, 48_000),
    "fashion_mnist": (60_000, 55_000, 54_000, 50_000, 48_000),
    "cifar10": (50_000, 49_000, 45_000, 40_000),
    "svhn": (73_257,),
}
"""Usual numbers of training images of known data sets: all, or what usual splits leave."""

BATCH_SIZES = (
    1, 2, 4, 5, 8, 10, 16, 20, 24, 25, 32, 48, 50, 60, 64, 80, 96, 100, 120, 125, 128, 150, 192,
    200, 250, 256, 300, 384, 400, 500, 512, 600, 768, 1000, 1024, 2048, 4096,
)  # fmt: skip
"""Usual batch sizes."""


@dataclass(frozen=True)
class Context:
    """What is known or asked beside the net itself.

    Attributes
    ----------
    claims : dict of str to value
        What is claimed, spelled as recipes spell it. A law may test a claimed value beside the
        usual ones. It never changes a statistic; an estimate that depends on the initialization is
        that of the claimed one.
    seeds : tuple of int
        The seeds that are tried.
    train_images : tuple of int
        Numbers of training images that are possible.
    batch_sizes : tuple of int
        Batch sizes that are possible.
    images : ImageSet or None
        The user's data.
    inspection : Inspection or None
        What the file says about itself.
    """

    claims: Mapping[str, Value] = field(default_factory=dict)
    seeds: tuple[int, ...] = POPULAR_SEEDS
    train_images: tuple[int, ...] = tuple(sorted({n for ns in TRAIN_IMAGES.values() for n in ns}))
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    images: ImageSet | None = None
    inspection: Inspection | None = None
