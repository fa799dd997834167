"""Features of slices and of nets, each beside the same numbers by a slower way.

`statistics` are compared with calls of scipy.stats and np.quantile for one slice at a time, `local`
and `layers` with their twins in NumPy. That both ways give the same numbers is asserted. They take
turns, on one core and then on all cores. Times are medians of `--rounds`.

    OMP_NUM_THREADS=1 python benchmarks/features.py

It prints microseconds per slice or net, and how many times longer the slower way takes.
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
from threadpoolctl import threadpool_limits

from weightspace.features import chunks, layers, local, native, statistics
from weightspace.features.statistics import QUANTILES
from weightspace.networks.layout import Layout, TensorSpec


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
        with mock.patch.object(chunks.loky, "cpu_count", return_value=cores):
            return function(values)

    return run


def layout_of_a_net() -> Layout:
    """A convolutional net of 74,442 values."""
    shapes = {
        "conv": [(32, 3, 3, 3), (64, 32, 3, 3)],
        "fc": [(64, 784), (64, 64), (10, 64)],
    }
    specs: list[TensorSpec] = []
    for part, own in shapes.items():
        for shape in own:
            for role, sides in (("weight", shape), ("bias", shape[:1])):
                start = specs[-1].stop if specs else 0
                layer = len(specs) // 2
                specs.append(TensorSpec(f"{layer}.{role}", role, part, layer, sides, start))
    return Layout(tuple(specs))


def with_numpy(function: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """The function without the native library."""

    def run(values: np.ndarray) -> np.ndarray:
        with mock.patch.object(native, "library", return_value=None):
            return function(values)

    return run


def of_nets(vectors: np.ndarray) -> np.ndarray:
    """`layers` of each vector."""
    layout = layout_of_a_net()
    with threadpool_limits(1, "blas"):
        return np.stack([layers(vector, layout) for vector in vectors])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=1024)
    parser.add_argument("--length", type=int, default=5000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    values = rng.standard_t(4, size=(asked.slices, asked.length)).astype(np.float32)
    few = values[: max(1, asked.slices // 16)]
    nets = 0.05 * rng.standard_t(4, size=(10, layout_of_a_net().size)).astype(np.float32)
    np.testing.assert_allclose(statistics(few), straightforward(few), rtol=1e-3, atol=1e-5)
    for function, rows in ((local, few), (of_nets, nets)):
        np.testing.assert_allclose(function(rows), with_numpy(function)(rows), rtol=1e-3, atol=1e-3)
    cores = os.cpu_count() or 1
    ways = {
        "statistics": [
            ("straightforward", straightforward, few),
            ("1 core", on(1, statistics), values),
            (f"{cores} cores", on(cores, statistics), values),
        ],
        "local": [
            ("NumPy, 1 core", on(1, with_numpy(local)), few),
            ("1 core", on(1, local), values),
            (f"{cores} cores", on(cores, local), values),
        ],
        "layers": [("NumPy, 1 core", with_numpy(of_nets), nets), ("1 core", of_nets, nets)],
    }
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(asked.rounds):
        for name, competitors in ways.items():
            for way, function, rows in competitors:
                taken.setdefault((name, way), []).append(timed(function, rows))
    print(f"slices of {asked.length:,} values, nets of {nets.shape[1]:,}; {asked.rounds} rounds")
    for name, competitors in ways.items():
        slow = middle.median(taken[name, competitors[0][0]])
        for way, _, rows in competitors:
            own = middle.median(taken[name, way])
            rate = rows.shape[1] * 4 / own / 1e6
            print(f"{name:11}{way:16} {1e6 * own:7.0f} us  x{slow / own:5.1f}  {rate:5.0f} MB/s")


if __name__ == "__main__":
    main()
