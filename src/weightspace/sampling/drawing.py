"""`Draw`: the recipes of a run, drawn once for all who ask for them, and the split of its nets."""

from __future__ import annotations

from pathlib import Path

from weightspace.errors import WeightspaceError
from weightspace.space import Recipe, Space
from weightspace.zoo import MANIFEST, read_rounds
from weightspace.zoo.format.splits import BLOCK, stratified

MOST_DRAWN = 1_000_000
"""Recipes that are drawn although fewer nets are asked for, because others were before."""


def most_drawn(nets: int) -> int:
    """How many recipes are drawn at most, where `nets` nets are asked for."""
    return max(MOST_DRAWN, 2 * nets)


class Draw:
    """The recipes of a space under a seed, by their positions in the draw.

    They are drawn when the first is asked for, `expected` of them or more, and again only where
    more are asked for than were drawn: a larger draw begins with the smaller.
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
        """The split of the first `nets` nets: of every five in a row, one is a test net.

        Which of the five depends on no net after them, so it is the same however many are asked
        for.
        """
        drawn = self.first(-(-nets // BLOCK) * BLOCK)
        return stratified(self._space.levels(drawn), self._seed)[:nets]


def drawn_before(out: Path, nets: int) -> int:
    """How far into the draw the zoo at `out` reaches with rounds that hold any of `nets` nets.

    What is wrong with the zoo is left to those who open it to say; then this is 0.
    """
    try:
        rounds = read_rounds(out) if (out / MANIFEST).exists() else {}
    except (WeightspaceError, OSError):
        return 0
    reach = (one.nets[-1][1] for one in rounds.values() if one.nets[0][0] < nets)
    return max((stop for stop in reach if stop <= most_drawn(nets)), default=0)
