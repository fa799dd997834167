"""`population`: as many nets of a space as a budget of time allows, in a folder to continue."""

from __future__ import annotations

import json
import time
from pathlib import Path

from weightspace.disk import inner_of, read_text, write_file
from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress, silent
from weightspace.sampling import estimate, sample
from weightspace.space import Space
from weightspace.zoo import MANIFEST, Zoo

FEWEST = 40
"""Nets without which nothing is read: with fewer, no interval means anything."""
_MOST = 20_000
_FIRST = 0.4
"""The share of the budget that the first round takes, by the estimate."""
_LATER = 0.8
"""The share of what is left that each later round takes, by the pace that was measured."""
_WORTH = 0.15
"""Less of the budget than this is not worth another round."""
_TRIED = 24
_LARGEST = 2**16
_SPENT = "around.json"


def population(
    space: Space,
    out: Path,
    seconds: float,
    *,
    data_dir: str | None = None,
    module: str | None = None,
    seed: int = 0,
    looking: float = 0.0,
    progress: Progress = silent,
) -> Zoo:
    """Sample nets of a space until a budget of time is spent, or go on with those in a folder.

    The time that earlier calls spent in the folder counts. Rounds of nets are sampled, so that no
    net is left out because it takes long: the first one is as large as an estimate allows, the
    others as the measured pace allows.

    Parameters
    ----------
    space : Space
        The space.
    out : Path
        The folder of the zoo.
    seconds : float
        The budget.
    data_dir : str, optional
        The first folder in which the images are searched.
    module : str, optional
        The module of one's own, "net.py:build".
    seed : int
        The seed of the draw.
    looking : float
        The seconds that looking at a net will take. They are part of the budget.
    progress : callable
        As for `sample`.

    Returns
    -------
    Zoo

    Raises
    ------
    UsageError
        If the budget is too small for `FEWEST` nets.
    DataError
        As `sample`.
    """
    spent = _spent(out)
    nets = len(Zoo(out).nets) if (out / MANIFEST).exists() else 0
    options = {"data_dir": data_dir, "module": module, "seed": seed, "snapshots": 2,
               "evaluation_images": 200}  # fmt: skip
    while (left := seconds - spent - looking * nets) > _WORTH * seconds or nets < FEWEST:
        begun = time.monotonic()
        if nets == 0:
            needs = estimate(space, nets=_TRIED, out=out, **options)  # type: ignore[arg-type]
            each = needs.seconds / _TRIED + looking
            if each * FEWEST > left:
                _refuse(each * FEWEST, seconds)
            more = max(FEWEST, int(_FIRST * left / each))
        else:
            each = spent / nets + looking
            more = int(_LATER * left / each)
            if more < 1 and nets < FEWEST:
                _refuse(each * FEWEST, seconds)
        more = min(more, _MOST - nets)
        if more < 1:
            break
        nets += more
        sample(space, nets=nets, out=out, progress=progress, **options)  # type: ignore[arg-type]
        spent += time.monotonic() - begun
        write_file(inner_of(out / _SPENT), json.dumps({"seconds": spent}).encode())
    return Zoo(out)


def _refuse(needed: float, seconds: float) -> None:
    raise UsageError(
        "budget",
        f"{_time(seconds)} are too few for {FEWEST} nets of this architecture on this machine",
        f"give {_time(1.2 * needed)}, or a space of fewer epochs or images",
    )


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))}m" if seconds >= 90 else f"{max(1, round(seconds))}s"


def _spent(out: Path) -> float:
    """The seconds that earlier calls spent."""
    place = out / _SPENT
    if not place.exists():
        return 0.0
    try:
        return max(0.0, float(json.loads(read_text(place, _LARGEST))["seconds"]))
    except (ValueError, KeyError, TypeError, OSError):
        raise DataError(place, "does not say how long sampling took", "remove the file") from None
