"""Features of slices, compared with calls of scipy.stats and np.quantile for one slice at a time.

Both compute the same numbers of the same slices, which is asserted: the 18 `statistics`. `local`
is timed as well. It has about 300 numbers, for which the straightforward way would need many more
calls. The competitors take turns, on one core and then on all cores. Times are medians of
`--rounds`.

    python benchmarks/features.py

It prints microseconds per slice, and how many times longer the straightforward way takes.
"""

from __future__ import annotations

import argparse
import os
import statistics as middle
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
from scipy import stats

from weightspace.features import chunks, local, statistics
from weightspace.features.statistics import QUANTILES


def straightforward(values: np.ndarray) -> np.ndarray:
    """The shallow statistics in the straightforward way: one call for each slice and number."""
    rows = []
    for own in values:
        row: list[float] = []
        for part in (own.astype(np.float64), np.diff(own).astype(np.float64)):
            row += [np.mean(part), np.var(part), stats.skew(part), stats.kurtosis(part)]
            row += [np.quantile(part, q) for q in QUANTILES]
        rows.append(row)
    return np.array(rows, np.float32)


def timed(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> float:
    start = time.perf_counter()
    function(values)
    return (time.perf_counter() - start) / len(values)


def on(cores: int, function: Callable[[np.ndarray], np.ndarray]) -> Callable:
    def run(values: np.ndarray) -> np.ndarray:
        with mock.patch.object(chunks.os, "cpu_count", return_value=cores):
            return function(values)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=1024)
    parser.add_argument("--length", type=int, default=5000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    values = rng.standard_t(4, size=(asked.slices, asked.length)).astype(np.float32)
    few = values[: max(1, asked.slices // 16)]
    np.testing.assert_allclose(statistics(few), straightforward(few), rtol=1e-3, atol=1e-5)
    cores = os.cpu_count() or 1
    ways = {
        "straightforward": (straightforward, few),
        "statistics, 1 core": (on(1, statistics), values),
        f"statistics, {cores} cores": (on(cores, statistics), values),
        "local, 1 core": (on(1, local), values),
        f"local, {cores} cores": (on(cores, local), values),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, (function, rows) in ways.items():
            taken[name].append(timed(function, rows))
    slow = middle.median(taken["straightforward"])
    print(f"slices of {asked.length:,} values, {asked.rounds} rounds, medians; us a slice")
    for name, seconds in taken.items():
        own = middle.median(seconds)
        rate = asked.length * 4 / own / 1e9
        print(f"{name:22} {1e6 * own:7.0f}  x{slow / own:5.1f}  {rate:5.2f} GB/s")


if __name__ == "__main__":
    main()
