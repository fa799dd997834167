"""`Draw`: the recipes of a run, drawn once, and the split of its nets."""

from __future__ import annotations

from pathlib import Path

from weightspace.errors import WeightspaceError
from weightspace.space import Recipe, Space
from weightspace.zoo import MANIFEST, read_rounds
from weightspace.zoo.format.splits import BLOCK, stratified

MOST_DRAWN = 1_000_000
"""The most recipes that are drawn where fewer nets are requested than the zoo already plans."""


def most_drawn(nets: int) -> int:
    """The most recipes that are drawn where `nets` nets are requested."""
    return max(MOST_DRAWN, 2 * nets)


class Draw:
    """The recipes of a space under a seed, by their positions in the draw.

    They are drawn on first use, at least `expected` of them, and again only if more are needed. A
    larger draw begins with the recipes of a smaller one.
    """

    def __init__(self, space: Space, seed: int, expected: int = 1) -> None:
        self._space, self._seed, self._expected = space, seed, expected
        self._recipes: list[Recipe] = []

    def first(self, nets: int) -> list[Recipe]:
        """The first `nets` recipes."""
        if nets > len(self._recipes):
            blocks = -(-max(nets, self._expected) // BLOCK)
            self._recipes = self._space.draw(blocks * BLOCK, self._seed)
        return self._recipes[:nets]

    def splits(self, nets: int) -> list[str]:
        """The split of the first `nets` nets: one of every five consecutive nets is a test net.

        The choice does not depend on later nets, so it is the same for any number of nets.
        """
        drawn = self.first(-(-nets // BLOCK) * BLOCK)
        return stratified(self._space.levels(drawn), self._seed)[:nets]


def drawn_before(out: Path, nets: int) -> int:
    """How many recipes the rounds of the zoo at `out` need that hold any of the `nets` nets.

    It is 0 if the zoo cannot be read: the code that opens the zoo later reports the error.
    """
    try:
        rounds = read_rounds(out) if (out / MANIFEST).exists() else {}
    except (WeightspaceError, OSError):
        return 0
    reach = (one.nets[-1][1] for one in rounds.values() if one.nets[0][0] < nets)
    return max((stop for stop in reach if stop <= most_drawn(nets)), default=0)
