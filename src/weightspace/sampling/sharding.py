"""`--shard i/n`: which nets of a run one of n processes samples, decided by the recipes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weightspace.sampling.calibration import buckets
from weightspace.sampling.plan import net_steps
from weightspace.space import Recipe

LARGEST_PIECE = 64
PIECES = 4
"""A shard gets at least about so many pieces, so that the last one dealt tips no balance."""


def shard_of(
    recipes: Sequence[Recipe], shard: tuple[int, int], images: Mapping[str, int]
) -> list[int]:
    """Positions in `recipes` of shard i of n: together the n shards hold each once.

    How nets are stacked is measured on each machine, so it must not decide. Nets that can share a
    stack stay together in pieces, as large as n allows; the costliest piece goes first, each to
    the shard that has least to do (steps x multiplications). `images` as in `plan_units`.
    """
    number, count = shard
    if count == 1:
        return list(range(len(recipes)))
    position = {recipe.net: i for i, recipe in enumerate(recipes)}
    size = min(LARGEST_PIECE, max(1, len(recipes) // (PIECES * count)))
    pieces = []
    for (plan, batch_size), bucket in buckets(recipes).items():
        parts = -(-len(bucket) // size)
        for i in range(parts):
            piece = bucket[len(bucket) * i // parts : len(bucket) * (i + 1) // parts]
            steps = sum(net_steps(recipe, images) for recipe in piece)
            pieces.append((steps * batch_size * plan.multiplications, piece))
    load = [0.0] * count
    mine: list[int] = []
    for work, piece in sorted(pieces, key=lambda item: (-item[0], item[1][0].net)):
        least = load.index(min(load))
        load[least] += work
        if least == number - 1:
            mine += [position[recipe.net] for recipe in piece]
    return sorted(mine)
