"""The option `shard`, "i/n": the nets that one of n processes samples, by recipes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weightspace.sampling.calibration import buckets
from weightspace.sampling.plan import net_steps
from weightspace.space import Recipe

LARGEST_PIECE = 64
PIECES = 4
"""A shard gets about this many pieces or more, so that shards have similar amounts of work."""


def shard_of(
    recipes: Sequence[Recipe], shard: tuple[int, int], images: Mapping[str, int]
) -> list[int]:
    """Positions in `recipes` of shard i of n, counted from 1; `images` as in `plan_units`."""
    number, count = shard
    return shards(recipes, count, images)[number - 1]


def shards(recipes: Sequence[Recipe], count: int, images: Mapping[str, int]) -> list[list[int]]:
    """Positions in `recipes` of each shard; together the shards hold each recipe once.

    Stack sizes are measured on each machine, so they must not influence shards. Nets that can share
    a stack stay together in pieces, as large as `count` allows. Pieces are assigned in order of
    cost, the costliest first, each to the shard with the least work (steps x multiplications).
    """
    if count == 1:
        return [list(range(len(recipes)))]
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
    found: list[list[int]] = [[] for _ in range(count)]
    for work, piece in sorted(pieces, key=lambda item: (-item[0], item[1][0].net)):
        least = load.index(min(load))
        load[least] += work
        found[least] += [position[recipe.net] for recipe in piece]
    return [sorted(own) for own in found]
