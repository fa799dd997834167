"""Random crops and flips as torchvision has them, as pure functions of images and numbers."""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = 4
"""Black pixels on each side before a crop, as for images of 32 pixels (He et al., CVPR 2016)."""
CROP_NUMBERS = 3


def crop_and_flip(x: Tensor, u: Tensor, *, crop: bool, flip: bool) -> Tensor:
    """Crop images of their size out of black borders, and flip half of them left to right.

    Row i of the result depends only on row i of each argument.

    Parameters
    ----------
    x : torch.Tensor, shape (n, C, H, W)
        Images, with black as 0.
    u : torch.Tensor, shape (n, 3)
        Uniform random numbers in [0, 1): rows, columns, flip.
    crop, flip : bool
        Which of the two is done.

    Returns
    -------
    torch.Tensor, shape (n, C, H, W)
    """
    n, _, height, width = x.shape
    shift = ((u[:, :2] * (2 * PADDING + 1)).long() - PADDING) * crop
    rows = torch.arange(height, device=x.device) + shift[:, :1]
    columns = torch.arange(width, device=x.device) + shift[:, 1:]
    if flip:
        columns = torch.where(u[:, 2:] < 0.5, columns.flip(1), columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    every = torch.arange(n, device=x.device)[:, None, None]
    found = x.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None]]
    return (found * inside[..., None]).permute(0, 3, 1, 2)
