"""The random numbers of one training step of modules: factors of dropout, and seeds."""

from __future__ import annotations

import torch
from torch import Tensor

from weightspace.networks.modules.dropout import factors
from weightspace.networks.modules.plan import ModulePlan
from weightspace.training import streams

SEEDS = 2**62


def masks_of(
    plan: ModulePlan, seeds: Tensor, step: int, batch: int, dtype: torch.dtype
) -> list[Tensor]:
    """The factors of every use of dropout, each [M, *shape], for nets with `seeds` int64 [M].

    For a module that draws random numbers of its own, a seed for each net's generator, int64 [M],
    ends the list.
    """
    key = streams.keys(seeds, "dropout", step)
    sites = plan.sites(batch)
    sizes = [int(torch.Size(site.shape).numel()) for site in sites]
    pieces = streams.uniform16(key, sum(sizes)).split(sizes, 1)
    found = [factors(piece, site, dtype) for piece, site in zip(pieces, sites, strict=True)]
    return [*found, streams.mix(key) % SEEDS] if plan.draws else found
