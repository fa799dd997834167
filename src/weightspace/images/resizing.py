"""`resize`: bring images to one square size and to one or three channels.

Both directions are two small matrix products, one over rows and one over columns. For shrinking,
the weights of an output pixel are its shares of the input pixels (area); for growing, they belong
to the two nearest input pixels (bilinear).
"""

from __future__ import annotations

import numpy as np

from weightspace.errors import UsageError

# ITU-R BT.601, the weights that most image tools use for grey.
LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)

# Values at a time: few enough for the cache, enough to make the loop's cost negligible.
_CHUNK = 2**20


def resize(x: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Resize images to a square and change their number of channels.

    Each axis is shrunk by area averaging (exact at any ratio) or enlarged bilinearly (pixel
    centres, edges repeated). Colour becomes grey by luma weights; grey becomes colour by
    repetition. Images that are not square lose their proportions.

    Parameters
    ----------
    x : ndarray of uint8, shape (N, H, W, C)
        Images, C = 1 or 3.
    size : int
        The new side in pixels.
    channels : int
        1 or 3.

    Returns
    -------
    ndarray of uint8, shape (N, size, size, channels)
        Always a new array.

    Raises
    ------
    UsageError
        If an argument is not possible.

    Examples
    --------
    >>> resize(np.array([[[[0], [10]], [[20], [30]]]], np.uint8), 1, 3).tolist()
    [[[[15, 15, 15]]]]
    """
    if size < 1:
        raise UsageError("size", f"{size} is not a positive number of pixels")
    return resample(x, size, size, channels)


def resample(x: np.ndarray, rows: int, columns: int, channels: int) -> np.ndarray:
    """As `resize`, to `rows` x `columns`."""
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in (1, 3) or 0 in x.shape[1:]:
        raise UsageError(
            "x",
            f"{x.dtype} {list(x.shape)} are not images",
            "give uint8 [N, H, W, C] with C = 1 or 3",
        )
    if channels not in (1, 3):
        raise UsageError("channels", f"{channels} is neither 1 nor 3")
    if x.shape[1:] == (rows, columns, channels):
        return np.array(x, order="C")
    out = np.empty((len(x), rows, columns, channels), np.uint8)
    step = max(1, _CHUNK // max(x[0].size if len(x) else 1, out[0].size if len(x) else 1))
    for start in range(0, len(x), step):
        chunk = np.ascontiguousarray(x[start : start + step], np.float32)
        if channels < chunk.shape[3]:
            chunk = chunk @ LUMA
        out[start : start + step] = np.rint(_resampled(chunk, rows, columns))
    return out


def _resampled(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """float32 [n, H, W, C] -> float32 [n, rows, columns, C]."""
    n, height, width, channels = x.shape
    if rows != height:
        x = weights(height, rows) @ x.reshape(n, height, width * channels)
    if columns != width:
        # One large product: its extra zeros cost less than n x rows small products.
        mix = np.kron(weights(width, columns).T, np.eye(channels, dtype=np.float32))
        x = x.reshape(n * rows, width * channels) @ mix
    return x.reshape(n, rows, columns, channels)


def weights(old: int, new: int) -> np.ndarray:
    """float32 [new, old]: the share of each old pixel in each new one; rows sum to 1."""
    scale = old / new
    if new < old:
        # New pixel i covers [i, i + 1) * scale; its overlap with the old pixel [j, j + 1).
        edges = np.arange(new + 1) * scale
        low = np.maximum(edges[:-1, None], np.arange(old))
        high = np.minimum(edges[1:, None], np.arange(1, old + 1))
        shares: np.ndarray = np.maximum(high - low, 0)
        shares /= shares.sum(1, keepdims=True)
    else:
        centre = np.clip((np.arange(new) + 0.5) * scale - 0.5, 0, old - 1)
        shares = np.maximum(1 - abs(centre[:, None] - np.arange(old)), 0)
    return shares.astype(np.float32)
