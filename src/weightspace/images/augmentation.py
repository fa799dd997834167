"""`augment`: the augmentation of the NWS data set, as a pure function of images and random numbers.

The parameters and their ranges are those of the reference (Eilertsen et al., ECAI 2020,
supplementary code). Lengths are fractions of the side, so 3 pixels of 32 are 3/32 at any size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Column of `u` -> (low, high). Callers rely on the order of the columns.
RANGES: dict[str, tuple[float, float]] = {
    "shift_x": (-3 / 32, 3 / 32),  # of the width
    "shift_y": (-3 / 32, 3 / 32),  # of the height
    "rotation": (-math.radians(15), math.radians(15)),
    "zoom": (1 - 0.099, 1 + 0.099),
    "shear": (-math.radians(3), math.radians(3)),
    "brightness": (-0.2, 0.2),
    "contrast": (0.5, 1.5),
    "hue": (-0.08, 0.08),  # of a turn of the colour circle
    "saturation": (0.3, 1.5),
    "noise": (0.0, 0.03),  # standard deviation
}
AUGMENT_NUMBERS = len(RANGES)


def augment(x: Tensor, u: Tensor, noise: Tensor) -> Tensor:
    """Shift, rotate, zoom, shear and recolour every image, and add noise to it.

    Pixels from outside the image are black. Brightness is added; contrast scales each channel about
    its mean; hue rotates and saturation scales colours about the grey axis, for images of three
    channels. Noise is added last, and the result is clipped to 0..1. Row i of the result depends
    only on row i of each argument. All arguments have the same dtype and device.

    Parameters
    ----------
    x : torch.Tensor of float, shape (n, C, H, W)
        Images with values in 0..1, C = 1 or 3.
    u : torch.Tensor, shape (n, AUGMENT_NUMBERS)
        Uniform random numbers in [0, 1); the columns are those of `RANGES`.
    noise : torch.Tensor, shape (n, C, H, W)
        Standard normal random numbers.

    Returns
    -------
    torch.Tensor, shape (n, C, H, W)
    """
    p = {
        name: low + (high - low) * column
        for (name, (low, high)), column in zip(RANGES.items(), u.unbind(1), strict=True)
    }
    grid = F.affine_grid(_geometry(p, *x.shape[2:]), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    x = _recolour(x, p)
    return torch.addcmul(x, noise, p["noise"][:, None, None, None]).clamp(0, 1)


def _geometry(p: dict[str, Tensor], height: int, width: int) -> Tensor:
    """[n, 2, 3]: the affine map from output to input pixels, both as -1..1 across the image."""
    cos, sin, slant = p["rotation"].cos(), p["rotation"].sin(), p["shear"].tan()
    # Rotation after shear, about the centre; dividing by the zoom enlarges the content.
    xx, xy = cos / p["zoom"], (cos * slant - sin) / p["zoom"]
    yx, yy = sin / p["zoom"], (sin * slant + cos) / p["zoom"]
    # If the image is not square, one unit of x is not one unit of y.
    rows = (
        xx,
        xy * (height / width),
        2 * p["shift_x"],
        yx * (width / height),
        yy,
        2 * p["shift_y"],
    )
    return torch.stack(rows, 1).view(-1, 2, 3)


def _recolour(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Brightness, contrast, hue and saturation: one matrix and one offset for each image."""
    n, channels, height, width = x.shape
    mean = x.mean((2, 3))  # [n, C]
    contrast, brightness = p["contrast"][:, None], p["brightness"][:, None]  # [n, 1]
    if channels != 3:
        offset = mean * (1 - contrast) + brightness  # [n, C]
        return x * contrast[..., None, None] + offset[..., None, None]
    colours = _colours(p)  # [n, 3, 3]; its rows sum to 1, so brightness passes through it
    offset = (colours @ (mean * (1 - contrast) + brightness)[..., None]).squeeze(2)  # [n, 3]
    mixed = torch.baddbmm(
        offset[..., None], colours * contrast[..., None], x.reshape(n, 3, height * width)
    )
    return mixed.view(n, channels, height, width)


def _colours(p: dict[str, Tensor]) -> Tensor:
    """[n, 3, 3]: a rotation by the hue about the grey axis, and a scaling away from it.

    The axis is (1, 1, 1), so the matrix is circulant and keeps the mean of each pixel's channels.
    """
    angle = 2 * math.pi * p["hue"]
    along = p["saturation"] * angle.cos() / 3
    across = p["saturation"] * angle.sin() / math.sqrt(3)
    a, b, c = 1 / 3 + 2 * along, 1 / 3 - along - across, 1 / 3 - along + across
    return torch.stack((a, b, c, c, a, b, b, c, a), 1).view(-1, 3, 3)
