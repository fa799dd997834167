"""`dissect`: how much, where and when each property is in the weights of a population."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightspace.dissection import facts as fact
from weightspace.dissection import places
from weightspace.dissection.map import map_of
from weightspace.dissection.parts import Training
from weightspace.dissection.reader import Reader, distinct
from weightspace.dissection.result import Dissection
from weightspace.dissection.slices import slices
from weightspace.dissection.transfer import transfer
from weightspace.dissection.unseen import unseen
from weightspace.dissection.what import what
from weightspace.errors import UsageError
from weightspace.meta import CLASSIFIERS, DEFAULT, evaluate, labels_of, regress
from weightspace.meta.design.slices import SLICE_FEATURES
from weightspace.meta.evaluation.protocol import require_counts
from weightspace.meta.evaluation.versions import versions
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo, opened

if TYPE_CHECKING:
    from weightspace.networks import Layout

ALSO = ("bare", "numbers", "slices", "transfer", "what", "map", "unseen")
"""What a dissection holds besides how much, where and when: see `dissect`."""


def dissect(
    zoo: Zoo | str | Path,
    *,
    properties: Sequence[str] | None = None,
    slice_length: int = 5000,
    positions: int = 100,
    snapshots: Sequence[int] | None = None,
    classifiers: Sequence[str] | None = None,
    slices_per_net: int = 8,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    permutations: int = 10,
    also: Sequence[str] = ALSO,
    command: str | None = None,
    progress: Progress = silent,
) -> Dissection:
    """How much, where and when each property can be read off the weights of a zoo's nets.

    *How much* is `meta.evaluate` on the last snapshot. *Where* reads the last snapshot at
    `positions` windows at equal relative positions of every vector (a twentieth of it each, or
    longer where there are fewer than twenty), by part, and by depth.
    *When* learns and tests within each snapshot of `snapshots` (numbers from 1, or back from -1;
    by default all that every net has). All are split by net and repeated with permuted labels
    (`permutations` times, 0 or at least 5); where and when use the first of `seeds`, the first of
    `classifiers` that reads slices and has a control, and at most four slices a net and place.

    `also` names what else is done, by default all of `ALSO`: "bare" repeats how much without batch
    norm's running statistics; "numbers" reads learning rate, test accuracy and progress as numbers
    (`meta.regress`); "slices" varies the length and the number of slices; "transfer" tests at every
    moment what was learned at every other; "what" asks which features carry a property, and what is
    left when slices are tampered with; "map" puts nets in the plane; "unseen" reads nets of levels
    that no teacher had.

    A slice is `slice_length` values, or as many as fit the shortest net at that place; every net
    is read at the same length, so that lengths tell nothing. `command` is kept in the facts.

    Returns a `Dissection`. Raises UsageError, with the numbers, for too few nets for an interval,
    unknown properties, classifiers or snapshots, and vectors too short to read.
    """
    zoo = opened(zoo)
    began = time.perf_counter()
    require_counts(slices_per_net, tuple(seeds), permutations)
    for name in also:
        if name not in ALSO:
            raise UsageError(f"also: {name} is none of {', '.join(ALSO)}")
    labels = labels_of(zoo, properties)
    labels.require(folds)
    layouts = {net: zoo.layout(net) for net in labels.nets}
    kinds = distinct(layouts)
    whole = places.whole(kinds, slice_length, min(4, slices_per_net))
    moments = _moments(fact.fractions(zoo, labels.nets), snapshots)
    reader = Reader(
        zoo,
        labels,
        layouts,
        _classifier(classifiers),
        folds,
        int(seeds[0]),
        permutations,
    )
    about: dict[str, Any] = {
        "slice_length": whole.length,
        "slices_per_net": slices_per_net,
        "folds": folds,
        "seeds": seeds,
        "permutations": permutations,
        "progress": progress,
    }
    asked: dict[str, Any] = {"properties": properties, "classifiers": classifiers}
    much = evaluate(zoo, **asked, **about)
    spots = [
        *places.along(kinds, slice_length, positions),
        *places.parts(kinds, slice_length, min(4, slices_per_net)),
        *places.depths(kinds, slice_length),
    ]
    where = reader.where(spots, progress)
    when = reader.when(whole, moments, progress)
    beside: dict[str, Any] = {}
    lacking: dict[str, str] = {}
    if "bare" in also and _keeps_statistics(kinds):
        shortest = min(len(layout.indices("all", False)) for layout in kinds)
        shorter = about | {"slice_length": min(whole.length, shortest)}
        beside["bare"] = evaluate(zoo, **asked, **shorter, running_stats=False)
    if "numbers" in also:
        try:
            beside["numbers"] = regress(zoo, properties=properties, **about)
        except UsageError as error:  # as it takes more nets, or no number varies
            lacking["no_numbers"] = str(error)
    if "slices" in also:
        beside["slices"] = slices(reader, progress)
    if "transfer" in also and len(moments) > 1:
        beside["transfer"] = transfer(reader, replace(whole, count=2), moments, progress)
    if "what" in also:
        beside["what"] = what(reader, whole.length, whole.count, progress)
    if "map" in also:
        beside["map"] = map_of(reader, whole.length, moments, progress)
    if "unseen" in also:
        beside["unseen"] = unseen(reader, whole, progress)
    found = fact.population(zoo, labels) | {
        "slice_length": whole.length,
        "positions": positions,
        "classifier": reader.classifier,
        "boundaries": fact.boundaries(list(layouts.values())),
        "folds": folds,
        "permutations": permutations,
        "seeds": [int(seed) for seed in seeds],
        "zoo_seed": zoo.meta.get("seed"),
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 1),
        "command": command,
    }
    told = Training(fact.training(zoo, labels))
    return Dissection(much, where, when, told, found | lacking, **beside)


def _keeps_statistics(kinds: Sequence[Layout]) -> bool:
    return any(len(layout.indices("all", False)) < layout.size for layout in kinds)


def _classifier(names: Sequence[str] | None) -> str:
    """The first that reads slices and is quick enough for every place; the default if none is."""
    known = [CLASSIFIERS[name] for name in names or () if name in CLASSIFIERS]
    fitting = (kind.name for kind in known if kind.controlled and kind.features in SLICE_FEATURES)
    return next(fitting, DEFAULT)


def _moments(known: dict[int, float], wanted: Sequence[int] | None) -> dict[int, float]:
    """Snapshot number -> fraction of training, of those wanted."""
    numbers = list(known)
    if not numbers:
        raise UsageError("snapshots: the nets have none in common; run `weightspace check`")
    if wanted is not None and not len(wanted):
        raise UsageError("snapshots: none to look at; name at least one, or leave it out for all")
    chosen = []
    for number in numbers if wanted is None else wanted:
        back = -len(numbers) <= number < 0
        resolved = numbers[number] if back else number
        if resolved not in known:
            raise UsageError(
                f"snapshots: {number} is none that every net has; "
                f"they have {numbers[0]} to {numbers[-1]}"
            )
        chosen.append(resolved)
    return {number: known[number] for number in sorted(set(chosen))}
