"""Calibration of probabilities: temperature, expected calibration error, Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import log_softmax

from weightspace.learners.temperature import temperature

CALIBRATION_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "classifier": pl.String,
    "temperature": pl.Float64,
    "ece_raw": pl.Float64,
    "ece": pl.Float64,
    "brier_raw": pl.Float64,
    "brier": pl.Float64,
    "brier_chance": pl.Float64,
    "log_loss_raw": pl.Float64,
    "log_loss": pl.Float64,
    "log_loss_chance": pl.Float64,
    "n_nets": pl.Int64,
}
"""Columns of calibration by net (all slices of a net together); `_raw` is before temperature
scaling. Nets are weighted so that all levels have equal weight. Log loss is in nats; the Brier
score is the squared distance to the truth, 0..2."""

RELIABILITY_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "classifier": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "confidence": pl.Float64,
    "accuracy": pl.Float64,
    "share": pl.Float64,
    "count": pl.Int64,
}
"""Columns of bins of predicted probability, `low`..`high`, over all seeds; `share` is the bin's
share of the weight, `count` its number of predictions."""

_BINS = 10


@dataclass(frozen=True)
class Claims:
    """Predicted probabilities float64 [n, levels], the true levels int [n], and weights [n]."""

    chances: np.ndarray
    codes: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, logs: np.ndarray, codes: np.ndarray) -> Claims:
        """From log-probabilities [n, levels]; levels have equal weight, and weights sum to 1."""
        weights = 1 / np.bincount(codes, minlength=logs.shape[1])[codes]
        return cls(np.exp(log_softmax(logs, axis=1)), codes, weights / weights.sum())

    def log_loss(self) -> float:
        """Mean cross entropy in nats."""
        right = self.chances[np.arange(len(self.codes)), self.codes]
        return float(-(self.weights * np.log(np.maximum(right, 1e-300))).sum())

    def brier(self) -> float:
        """Mean squared distance of the probabilities to the truth."""
        truth = np.eye(self.chances.shape[1])[self.codes]
        return float(self.weights @ np.square(self.chances - truth).sum(axis=1))

    def reliability(self) -> list[dict[str, Any]]:
        """Ten equal bins of the highest probability, without empty bins."""
        top = self.chances.max(axis=1)
        right = self.chances.argmax(axis=1) == self.codes
        place = np.minimum((top * _BINS).astype(np.int64), _BINS - 1)
        rows = []
        for i in np.unique(place):
            own = place == i
            share = self.weights[own].sum()
            rows.append(
                {
                    "low": i / _BINS,
                    "high": (i + 1) / _BINS,
                    "confidence": float(self.weights[own] @ top[own] / share),
                    "accuracy": float(self.weights[own] @ right[own] / share),
                    "share": float(share),
                    "count": int(own.sum()),
                }
            )
        return rows

    def ece(self) -> float:
        """Expected calibration error: the mean over bins of |confidence - accuracy|."""
        bins = self.reliability()
        return float(sum(r["share"] * abs(r["confidence"] - r["accuracy"]) for r in bins))


def calibration(
    logs: Sequence[np.ndarray], codes: np.ndarray, folds: Sequence[np.ndarray]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Calibration errors of one property, and the rows of its reliability diagram.

    `logs` and `folds` have an entry for each seed: log-probabilities [N, levels] from classifiers
    whose training set does not hold the net, and the fold [N] that each net was tested in. The
    temperature of a fold is fitted on the nets of the other folds, so no net influences the
    temperature of its own prediction.
    """
    raw, scaled, temperatures = [], [], []
    for own, fold in zip(logs, folds, strict=True):
        for part in np.unique(fold):
            here = fold == part
            t = temperature(own[~here], codes[~here], int((~here).sum()))
            temperatures.append(t)
            raw.append((own[here], codes[here]))
            scaled.append((own[here] / t, codes[here]))
    before, after = (
        Claims.of(np.concatenate([a for a, _ in some]), np.concatenate([b for _, b in some]))
        for some in (raw, scaled)
    )
    levels = logs[0].shape[1]
    figures = {
        "temperature": float(np.median(temperatures)),
        "brier_chance": 1 - 1 / levels,
        "log_loss_chance": float(np.log(levels)),
        "n_nets": len(codes),
    }
    for name in ("ece", "brier", "log_loss"):
        figures |= {f"{name}_raw": getattr(before, name)(), name: getattr(after, name)()}
    return figures, after.reliability()
