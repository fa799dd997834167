"""The nets of an outside program that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from weightspace.zoo import Zoo


def outside_nets(population: str) -> Zoo:
    """Open the nets that a plain PyTorch loop trained by recipes of a population's space.

    Parameters
    ----------
    population : str
        The name of a population that has such nets.

    Returns
    -------
    Zoo
        With one snapshot of each net, the last.
    """
    return Zoo(Path(str(resources.files("weightspace.bench"))) / "outside" / population)
