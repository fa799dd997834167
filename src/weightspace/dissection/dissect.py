"""`dissect`: how well, where and when each property can be read from a population's weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weightspace.dissection import facts as fact
from weightspace.dissection import places
from weightspace.dissection.analyses import ALSO, ANALYSES, Work
from weightspace.dissection.reader import Reader, distinct
from weightspace.dissection.result import Dissection
from weightspace.dissection.together import outcomes
from weightspace.errors import UsageError
from weightspace.meta import CLASSIFIERS, DEFAULT, Study
from weightspace.meta.design.slices import SLICE_FEATURES
from weightspace.meta.evaluation.versions import versions
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo


def dissect(
    zoo: Zoo | str | Path | Study,
    *,
    properties: Sequence[str] | None = None,
    slice_length: int | None = None,
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
    """Test how well, where and when each property can be read from the weights of a zoo's nets.

    *How much* is `evaluate` on the last snapshot. *Where* reads the last snapshot at `positions`
    windows at equal relative positions of every vector, and by part and by depth. *When* trains
    and tests classifiers on each snapshot alone.

    Parameters
    ----------
    zoo : Zoo, str, Path or Study
        As for `evaluate`. With a `Study`, leave out `properties`, `slice_length`,
        `slices_per_net`, `folds`, `seeds` and `permutations`.
    properties, slice_length, slices_per_net, folds, seeds, permutations, classifiers
        As for `evaluate`. A place with fewer values than a slice is read whole.
    positions : int
        The number of windows along the vector. A window is a twentieth of the vector, or longer
        where there are fewer than twenty windows.
    snapshots : sequence of int, optional
        The snapshots for *when*: numbers from 1, or back from -1; by default all that every net
        has.
    also : sequence of str
        The names of the optional analyses to run, by default all of `ALSO`. `ANALYSES` says in a
        few words what each does, docs/protocol.md in full.
    command : str, optional
        The command that runs the dissection; kept in the facts.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Dissection

    Raises
    ------
    UsageError
        For too few nets for an interval, unknown properties, classifiers or snapshots, and vectors
        that are too short; the message has the numbers.

    Notes
    -----
    Folds are by net, and everything is repeated with permuted labels. *Where* and *when* use the
    first of `seeds`, the first of `classifiers` that reads slices and has a control, and at most
    four slices for each net and place. At each place the slices of all nets have one length, so
    that the length does not encode the size of a net.

    Analyses of 100 nets or more run side by side in up to four processes, which changes no number.
    With `LOKY_MAX_CPU_COUNT=1` in the environment they run one after the other, with less memory.
    """
    began = time.perf_counter()
    for name in also:
        if name not in ALSO:
            raise UsageError("also", f"{name} is none of {', '.join(ALSO)}")
    study = Study.of(
        zoo,
        properties=properties,
        slice_length=slice_length,
        slices_per_net=slices_per_net,
        folds=folds,
        seeds=seeds,
        permutations=permutations,
    )
    study.labels.require(study.folds)
    zoo, labels = study.zoo, study.labels
    slice_length, slices_per_net = study.source.slice_length, study.slices_per_net
    layouts = {net: zoo.layout(net) for net in labels.nets}
    kinds = distinct(layouts)
    whole = places.whole(kinds, slice_length, min(4, slices_per_net))
    moments = _moments(fact.fractions(zoo, labels.nets), snapshots)
    study = study.reading(slice_length=whole.length)
    reader = Reader(study, layouts, _classifier(classifiers))
    work = Work(reader, whole, moments, positions, slice_length, classifiers, progress)
    parts: dict[str, Any] = {}
    lacking: dict[str, str] = {}
    wanted = [analysis for analysis in ANALYSES if analysis.always or analysis.name in also]
    for analysis, outcome in zip(wanted, outcomes(work, wanted), strict=True):
        if isinstance(outcome, UsageError):
            lacking[f"no_{analysis.name}"] = str(outcome)
        else:
            parts[analysis.name] = outcome
    found = fact.population(zoo, labels) | {
        "slice_length": whole.length,
        "positions": positions,
        "classifier": reader.classifier,
        "boundaries": fact.boundaries(list(layouts.values())),
        "folds": study.folds,
        "permutations": study.permutations,
        "seeds": list(study.seeds),
        "zoo_seed": zoo.meta.get("seed"),
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 1),
        "command": command,
    }
    kept = {name: part for name, part in parts.items() if part is not None}
    return Dissection(found | lacking, kept)


def _classifier(names: Sequence[str] | None) -> str:
    """The first classifier that reads slices and has a control; the default if there is none."""
    known = [CLASSIFIERS[name] for name in names or () if name in CLASSIFIERS]
    fitting = (kind.name for kind in known if kind.controlled and kind.features in SLICE_FEATURES)
    return next(fitting, DEFAULT)


def _moments(known: dict[int, float], wanted: Sequence[int] | None) -> dict[int, float]:
    """The wanted snapshots: number -> fraction of training."""
    numbers = list(known)
    if not numbers:
        raise UsageError("snapshots", "the nets have none in common", "run `weightspace check`")
    if wanted is not None and not len(wanted):
        raise UsageError("snapshots", "none to read", "name at least one, or leave it out for all")
    chosen = []
    for number in numbers if wanted is None else wanted:
        back = -len(numbers) <= number < 0
        resolved = numbers[number] if back else number
        if resolved not in known:
            raise UsageError(
                "snapshots",
                f"{number} is none that every net has",
                f"they have {numbers[0]} to {numbers[-1]}",
            )
        chosen.append(resolved)
    return {number: known[number] for number in sorted(set(chosen))}
