"""The built-in set `textures`: ten kinds of pattern around mid-grey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from weightspace.images.imageset import Arrays, Sizes

SIDE = 16
SIZES = Sizes(3000, 1000, (SIDE, SIDE, 1))

Field = NDArray[np.float64]
Generator = np.random.Generator
# A pattern: (u, v, scale [n, 1, 1], rng) -> about -1..1 [n, SIDE, SIDE]. u and v [n, SIDE, SIDE]
# are co-ordinates in pixels, already turned and shifted at random.
Pattern = Callable[[Field, Field, Field, Generator], Field]

_TURN = 2 * np.pi


def build() -> Arrays:
    """16x16 grey; 300 of each pattern for training and 100 for test.

    Phase, scale, rotation, contrast, brightness and noise of each image are random.
    """
    rng = np.random.default_rng(23)
    sets: list[np.ndarray] = []
    for count in (SIZES.train, SIZES.test):
        labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
        x = np.empty((count, SIDE, SIDE, 1), np.uint8)
        for label, pattern in enumerate(PATTERNS.values()):
            x[labels == label] = _draw(pattern, count // len(CLASSES), rng)
        sets += [x, labels]
    return Arrays(*sets)


def _draw(pattern: Pattern, n: int, rng: Generator) -> np.ndarray:
    """uint8 [n, SIDE, SIDE, 1]."""
    ticks = np.arange(SIDE) - (SIDE - 1) / 2
    turn = rng.normal(0, 0.15, (n, 1, 1))
    shift = rng.uniform(-3, 3, (2, n, 1, 1))
    x, y = ticks + shift[0], ticks[:, None] + shift[1]
    u, v = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    value = pattern(u, v, rng.uniform(0.75, 1.33, (n, 1, 1)), rng)
    value = value - value.mean((1, 2), keepdims=True)
    contrast = rng.uniform(25, 75, (n, 1, 1))
    noise = rng.normal(size=value.shape) * rng.uniform(5, 32, (n, 1, 1))
    level = rng.uniform(95, 160, (n, 1, 1))
    grey: Field = np.rint(level + contrast * value + noise)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None]


def _sign(n: int, rng: Generator) -> Field:
    """[n, 1, 1]: dark on light or light on dark."""
    return rng.choice([-1.0, 1.0], (n, 1, 1))


def _upright(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return np.sin(_TURN * (u / (5.5 * scale) + rng.random((len(u), 1, 1))))


def _level(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return _upright(v, u, scale, rng)


def _diagonal(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return _upright((u + v) / np.sqrt(2), v, scale, rng)


def _checks(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return 1.4 * _upright(u, v, 1.35 * scale, rng) * _upright(v, u, 1.35 * scale, rng)


def _dots(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    lattice = _upright(u, v, 1.2 * scale, rng) + _upright(v, u, 1.2 * scale, rng)
    dots: Field = 2 * np.exp(lattice - 2) / np.exp(0.4) - 0.4
    return _sign(len(u), rng) * dots * 1.6


def _rings(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return np.sin(_TURN * (np.hypot(u, v) / (5.5 * scale) + rng.random((len(u), 1, 1))))


def _cross(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    arm = np.minimum(abs(u), abs(v)) / (1.5 * scale)
    reach = np.maximum(abs(u), abs(v)) / (6.5 * scale)
    return _sign(len(u), rng) * 2 * np.exp(-(arm**4) - reach**6)


def _disc(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return _sign(len(u), rng) * 1.7 * np.exp(-((np.hypot(u, v) / (4.2 * scale)) ** 6))


def _clouds(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return _filtered(lambda f: np.exp(-((f * 6 * scale) ** 2)), len(u), rng)


def _grain(u: Field, v: Field, scale: Field, rng: Generator) -> Field:
    return _filtered(lambda f: np.exp(-(((f * scale - 0.25) / 0.05) ** 2)), len(u), rng)


def _filtered(gain: Callable[[Field], Field], n: int, rng: Generator) -> Field:
    """Normal noise with the spectrum `gain` (of cycles per pixel); each image has deviation 0.7."""
    f = np.fft.fftfreq(SIDE)
    spectrum = np.fft.fft2(rng.normal(size=(n, SIDE, SIDE))) * gain(np.hypot(f, f[:, None]))
    spectrum[:, 0, 0] = 0
    field = np.fft.ifft2(spectrum).real
    deviation: Field = field.std((1, 2), keepdims=True)
    return 0.7 * field / deviation


PATTERNS: dict[str, Pattern] = {
    "upright": _upright,
    "level": _level,
    "diagonal": _diagonal,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "cross": _cross,
    "disc": _disc,
    "clouds": _clouds,
    "grain": _grain,
}
CLASSES = tuple(PATTERNS)
