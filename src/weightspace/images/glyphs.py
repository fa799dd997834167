"""The built-in set `glyphs`: ten letters in many fonts, dark ink on light paper.

The outlines come from the fonts that matplotlib ships. They are filled here, from their curves. A
font rasteriser is not used, because its hinting differs between builds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes

CLASSES = tuple("ABEGKMRSXZ")
SIDE = 16
SIZES = Sizes(3000, 1000, (SIDE, SIDE, 1))
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
    "cmti10",
)

_MASTER = 96  # side in pixels of one filled outline, which fills the middle half
_FINE = 4  # samples along each side of an image's pixel


def build() -> Arrays:
    """16x16 grey; 300 of each letter for training and 100 for test.

    Font, size, rotation, slant, position, ink, paper and noise of each image are random.
    """
    masters = np.stack([_master(font, letter) for letter in CLASSES for font in FONTS])
    rng = np.random.default_rng(17)
    sets: list[np.ndarray] = []
    for count in (SIZES.train, SIZES.test):
        labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
        which = labels * len(FONTS) + rng.integers(len(FONTS), size=count)
        sets += [_draw(masters, which, rng), labels]
    return Arrays(*sets)


def _master(font: str, letter: str) -> np.ndarray:
    """The filled letter, bool [_MASTER, _MASTER], centred; its longer side is half the square."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    file = Path(get_data_path(), "fonts", "ttf", f"{font}.ttf")
    if not file.is_file():
        raise DataError(file, "this font of matplotlib is missing", "pip install -U matplotlib")
    outline = TextPath((0, 0), letter, size=100, prop=FontProperties(fname=str(file)))
    box = outline.get_extents()
    pixel = 2 * max(box.width, box.height) / _MASTER
    ticks = (np.arange(_MASTER) + 0.5 - _MASTER / 2) * pixel
    points = np.stack(np.meshgrid(ticks, -ticks), -1).reshape(-1, 2)
    points += ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    inside = np.zeros(len(points), bool)
    for polygon in outline.to_polygons():
        # A hole is a contour within a contour, so the even-odd rule applies.
        inside ^= Outline(polygon).contains_points(points)
    return inside.reshape(_MASTER, _MASTER)


def _draw(masters: np.ndarray, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [n, SIDE, SIDE, 1]: image i shows master `which[i]`."""
    n = len(which)
    image = np.empty((n, SIDE, SIDE), np.float32)
    view = _views(n, rng)
    for start in range(0, n, 500):
        part = slice(start, start + 500)
        image[part] = _cover(masters, which[part], view[part])
    paper = rng.uniform(150, 250, (n, 1, 1))
    ink = paper - rng.uniform(60, 190, (n, 1, 1))
    # The light comes from one side: a gradient across the paper.
    ramp = np.linspace(-1, 1, SIDE)
    slope = rng.uniform(-25, 25, (2, n, 1, 1))
    value = paper + (ink - paper) * image
    value += slope[0] * ramp[:, None] + slope[1] * ramp
    value += rng.normal(size=image.shape) * rng.uniform(3, 20, (n, 1, 1))
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)[..., None]


def _views(n: int, rng: np.random.Generator) -> np.ndarray:
    """float64 [n, 2, 3]: maps from image coordinates (-1..1) to those of the filled letter."""
    turn, slant = rng.uniform(-0.35, 0.35, (2, n))
    wide, high = rng.uniform(1.1, 1.8, (2, n))  # 1 letter = the image; 2 = half of it
    cos, sin = np.cos(turn), np.sin(turn)
    shift = rng.uniform(-0.25, 0.25, (2, n))
    rows = [
        [wide * cos, wide * (slant * cos - sin), shift[0]],
        [high * sin, high * (slant * sin + cos), shift[1]],
    ]
    # The letter fills half of its master, hence the 1/2.
    return np.moveaxis(np.array(rows), 2, 0) / 2


def _cover(masters: np.ndarray, which: np.ndarray, view: np.ndarray) -> np.ndarray:
    """float32 [n, SIDE, SIDE]: the share of each pixel that ink covers, from _FINE^2 samples."""
    fine = SIDE * _FINE
    ticks = (np.arange(fine) + 0.5) * 2 / fine - 1
    y, x = np.meshgrid(ticks, ticks, indexing="ij")
    points = np.stack((x.ravel(), y.ravel(), np.ones(fine * fine))).astype(np.float32)
    at = (view.astype(np.float32) @ points + 1) * (_MASTER / 2)  # [n, 2, fine^2]
    column, row = np.clip(at, 0, _MASTER - 1).astype(np.int32).transpose(1, 0, 2)
    hit = masters[which[:, None], row, column]
    shape = (len(which), SIDE, _FINE, SIDE, _FINE)
    covered: np.ndarray = hit.reshape(shape).mean((2, 4), dtype=np.float32)
    return covered
