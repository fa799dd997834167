"""Many labelings side by side: one column for each level of each, worked on a width at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weightspace.arrays import Float64, Int

NEVER = -1e6
"""The log-odds of a class without training rows, which is never predicted."""

_PULL = 2.0
"""Standard errors by which class means are moved apart."""


def by_width(
    levels: tuple[int, ...],
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, "m width"]]]:
    """Labelings of one number of levels together: their positions, and their columns.

    `levels` says how many columns belong to each labeling, in order. What is done to each labeling
    alone costs one call for each, and there may be hundreds; labelings of equal width take one.
    """
    widths = np.array(levels)
    first = np.cumsum(widths) - widths
    for width in np.unique(widths):
        own = np.flatnonzero(widths == width)
        yield own, first[own, None] + np.arange(width)


def balanced_targets(
    codes: Int[np.ndarray, "n q"], levels: tuple[int, ...]
) -> Float64[np.ndarray, "n columns"]:
    """One-hot columns divided by their class's share, minus 1: mean 0, and equal class weights."""
    rows, count = np.arange(len(codes))[:, None], sum(levels)
    places = codes + (np.cumsum(levels) - levels)
    share = np.bincount(places.ravel(), minlength=count) / len(codes)
    targets = np.full((len(codes), count), -1.0)
    targets[rows, places] += 1 / share[places]
    return targets


def discriminate(
    scores: Float64[np.ndarray, "n m levels"], codes: Int[np.ndarray, "n m"], nets: int
) -> tuple[Float64[np.ndarray, "m levels levels"], Float64[np.ndarray, "m levels"]]:
    """Linear discriminants of the leave-one-out scores of m labelings: turns and shifts.

    Turn and shift give log-odds. Classes have equal priors and share one covariance, the mean of
    theirs. Each class mean is moved away from the others along its own score, by the standard error
    of means of so many nets. Otherwise, if the scores contain little information, the discriminant
    could follow a random reversal of the means.
    """
    levels = scores.shape[2]
    own = np.ascontiguousarray(scores.transpose(1, 0, 2))
    member = (codes.T[:, :, None] == np.arange(levels)).astype(float)
    counts = member.sum(axis=1)
    share = member / np.maximum(counts, 1)[:, None]
    means = share.transpose(0, 2, 1) @ own
    centred = own - member @ means
    weight = share.sum(axis=2, keepdims=True) / levels
    covariance = (centred * weight).transpose(0, 2, 1) @ centred
    trace = np.trace(covariance, axis1=1, axis2=2)
    error = np.sqrt(trace / max(nets, 1))[:, None, None]
    means += _PULL * error * (np.eye(levels) - 1 / levels)
    # Scores have levels - 1 dimensions; the small ridge makes the covariance invertible.
    covariance += (1e-3 * trace / levels + 1e-9)[:, None, None] * np.eye(levels)
    turn = np.linalg.solve(covariance, means.transpose(0, 2, 1))
    shift = -0.5 * np.einsum("mcd,mdc->mc", means, turn)
    shift[counts == 0] = NEVER
    return turn, shift


def log_probabilities(
    logits: Float64[np.ndarray, "n columns"], levels: tuple[int, ...]
) -> list[Float64[np.ndarray, "n _"]]:
    """For each labeling the log-probabilities of its levels, from its columns of log-odds."""
    out = np.empty_like(logits)
    for _, columns in by_width(levels):
        own = logits[:, columns]
        own -= own.max(axis=2, keepdims=True)
        own -= np.log(np.exp(own).sum(axis=2, keepdims=True))
        out[:, columns] = own
    return np.split(out, np.cumsum(levels)[:-1], axis=1)


def blocks_of_labelings(levels: tuple[int, ...], most: int) -> Iterator[slice]:
    """Consecutive labelings that together have at most so many columns, or one labeling."""
    start, width = 0, 0
    for j, count in enumerate(levels):
        if j > start and width + count > most:
            yield slice(start, j)
            start, width = j, 0
        width += count
    yield slice(start, len(levels))
