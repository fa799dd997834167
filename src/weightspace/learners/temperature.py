"""The temperature that calibrates scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from weightspace.arrays import Float64, Int


def temperature(
    logs: Float64[np.ndarray, "n levels"], codes: Int[np.ndarray, " n"], nets: int
) -> float:
    """The divisor of log-probabilities with which they fit the true codes best.

    It minimises the class-balanced cross entropy, between 0.05 and 50. Even if all `nets` nets are
    predicted correctly, the next one may not be. So the target for the true level is 1 - 1 / (nets
    + 2), and the rest is shared by the other levels.
    """
    weight = 1 / np.bincount(codes, minlength=logs.shape[1])[codes]
    doubt = 1 / (nets + 2)
    wanted = np.full(logs.shape, doubt / (logs.shape[1] - 1))
    wanted[np.arange(len(codes)), codes] = 1 - doubt

    def loss(log_temperature: float) -> float:
        chances = log_softmax(logs / np.exp(log_temperature), axis=1)
        return -float(np.average((wanted * chances).sum(axis=1), weights=weight))

    span: Sequence[float] = (np.log(0.05), np.log(50))
    return float(np.exp(minimize_scalar(loss, bounds=span, method="bounded").x))
