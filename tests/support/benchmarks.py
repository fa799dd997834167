"""A small population of the benchmark, made up, so that tests need neither images nor training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.populations import ALIGNED, synthetic_zoo
from weightspace.bench.populations import POPULATIONS, Population, pin_of
from weightspace.space import Space
from weightspace.zoo import Zoo

NETS = 100
UNSEEN = {"activation": "tanh"}


class MadeUp(Population):
    """The population of `synthetic_zoo`, in which the initialization is encoded best."""

    @property
    def space(self) -> Space:
        return ALIGNED


@contextmanager
def made_up_population(path: Path) -> Iterator[Zoo]:
    """A zoo of 100 made-up nets, while the benchmark knows its population "aligned"."""
    zoo = synthetic_zoo(path, NETS, space=ALIGNED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(POPULATIONS, "aligned", MadeUp("aligned", NETS, UNSEEN, pin_of(zoo)))
        yield zoo
