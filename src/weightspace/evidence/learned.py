"""Whether column sums depend on what a layer has learned, which a linear optimizer cannot do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

_LEAST_FREE = 5  # inputs beyond the covariates, without which nothing is tested


def covariates(centred: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """What training changes and a column sum cannot know, for each input.

    Parameters
    ----------
    centred : ndarray of float64, shape (outputs, inputs)
        Weights, or how far they moved, without the mean of each column.

    Returns
    -------
    list of ndarray of float64, shape (inputs,)
        Ones, the strongest directions, the lengths of columns, and their squares.
    """
    outputs, inputs = centred.shape
    square = (centred**2).sum(0)
    most = max(1, min(outputs - 1, inputs // 6))
    if outputs - 1 <= most:
        directions = np.linalg.svd(centred, full_matrices=False)[2][:most]
    else:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors[:, ::-1][:, :most].T
    return [np.ones(inputs), *directions, np.sqrt(square), square]


def independence(sums: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """The p-value of the F test that sums do not depend on covariates, the mean included.

    Parameters
    ----------
    sums : ndarray of float64, shape (inputs,)
    known : ndarray of float64, shape (inputs, q)
        The covariates.

    Returns
    -------
    float
        1 if there are too few inputs.
    """
    scale = np.sqrt((known**2).mean(0))
    basis, triangle = np.linalg.qr(known[:, scale > 0] / scale[scale > 0])
    basis = basis[:, np.abs(np.diag(triangle)) > 1e-8 * len(sums)]
    free, taken = len(sums) - basis.shape[1], basis.shape[1]
    if free < _LEAST_FREE:
        return 1.0
    explained = float(((basis.T @ sums) ** 2).sum())
    left = float((sums**2).sum()) - explained
    if left <= 1e-12 * explained:
        return 0.0
    return float(fdtrc(taken, free, explained / taken / (left / free)))


def independent_of_growth(sums: NDArray[np.float64], moved: NDArray[np.float64]) -> float:
    """The p-value that a change of sums does not depend on how the weights moved.

    Noise, the mean with another net and units that were rescaled change sums, but not by what the
    net has learned. Rescaled units make the changes as unequal as the columns, so the test is made
    with all inputs alike and with each in units of its column's length, and the larger p-value
    counts.

    Parameters
    ----------
    sums : ndarray of float64, shape (inputs,)
        The change of the column sums.
    moved : ndarray of float64, shape (outputs, inputs)
        How far the weights moved.

    Returns
    -------
    float
    """
    centred = moved - moved.mean(0)
    known = np.stack(covariates(centred), 1)
    length = np.sqrt((centred**2).sum(0))
    some = length > 0
    own = independence(sums[some] / length[some], known[some] / length[some, None])
    return max(own, independence(sums, known))
