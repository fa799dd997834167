"""The time of a training sample for the networks on slices: that of the paper and `patches`.

It measures the forward and backward passes and Adam's step for batches of 64 slices of 5,000
values. The two networks take turns. Times are medians of `--rounds`.

    python benchmarks/networks.py

It prints milliseconds per sample, the ratio, and the counted multiply-adds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch.nn import functional as F

from weightspace.learners.neural import multiply_adds
from weightspace.learners.neural.architectures import PATCHES, Network, paper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    length, classes = 5000, 4
    slices = torch.randn(asked.batch, length, device=asked.device)
    target = torch.arange(asked.batch, device=asked.device) % classes
    ways = {}
    for name, shape in {"paper": paper(length), "patches": PATCHES}.items():
        network = Network(shape, length, classes).to(asked.device)
        ways[name] = (shape, network, torch.optim.Adam(network.parameters(), 1e-3))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(asked.rounds + 1):
        for name, (_, network, optimizer) in ways.items():
            start = time.perf_counter()
            loss = F.cross_entropy(network(slices), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()
            if turn:
                taken[name].append((time.perf_counter() - start) / asked.batch)
    print(f"torch {torch.__version__}, {asked.device}, {torch.get_num_threads()} threads")
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, (shape, _, _) in ways.items():
        counted = multiply_adds(shape, length, classes)
        ratio = middle["paper"] / middle[name]
        print(f"{name:8} {1e3 * middle[name]:8.2f} ms  x{ratio:5.1f}  {counted / 1e6:7.1f} M")


if __name__ == "__main__":
    main()
