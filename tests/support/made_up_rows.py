"""Rows of results, made up."""

from __future__ import annotations

import polars as pl

NETS = 300


def flat(rows):
    return pl.DataFrame(rows)


def null_row(rng, chance=0.25, nets=NETS, **about):
    """An accuracy of a classifier that guesses, with a right interval and control."""
    error = (chance * (1 - chance) / nets) ** 0.5
    accuracy, reach = rng.normal(chance, error), 1.96 * error
    numbers = {"accuracy": accuracy, "low": accuracy - reach, "high": accuracy + reach}
    return about | numbers | {"chance": chance, "running_stats": True, "slice_length": 500}
