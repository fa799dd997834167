"""`audit_around`: an audit, and what a population around the net adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.audit.around.looking import initial_weights, look_around
from weightspace.audit.around.space import space_around
from weightspace.audit.around.weighing import readings_of, weighed
from weightspace.audit.auditing import Audit, audit, claims_of, data_set
from weightspace.audit.claims import Claims
from weightspace.checkpoints import Checkpoint, read_checkpoint
from weightspace.errors import UsageError
from weightspace.images import ImageSet
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.planning import plan_of
from weightspace.progress import Progress, silent
from weightspace.sampling.modules import modules_known
from weightspace.space import Space, load_space

AUTO = "auto"


def audit_around(
    path: str | Path,
    claims: Claims | Mapping[str, Any] | str | Path | None = None,
    *,
    data: str | Path,
    around: str | Space = AUTO,
    seconds: float = 1200.0,
    folder: Path | None = None,
    key: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Audit:
    """Audit a checkpoint, and sample a population of nets around it.

    Parameters
    ----------
    path : str or Path
        The checkpoint.
    claims : Claims, dict, str or Path, optional
        As for `audit`.
    data : str or Path
        The training data: the name of an image set, or the path of a `NAME.npz`.
    around : str or Space
        "auto": the layers follow from the shapes. "net.py:build": a module, whose file is run.
        A space, or the path of its YAML file.
    seconds : float
        How long sampling may take, earlier calls included.
    folder : Path, optional
        Where the population lies, or will; by default in the user's cache.
    key : str, optional
        Which of several state dicts is the net.
    progress : callable
        As for `sample`.
    **options
        Others of `audit`.

    Returns
    -------
    Audit
        Its `readings` are those of the population. They support claims that are else undecidable.

    Raises
    ------
    UsageError
        If the architecture remains open, the data do not fit it, or the budget is too small.
    DataError
        As `audit` and `sample`.
    """
    asked = claims_of(claims)
    images = data_set(data)
    assert images is not None
    found = audit(path, asked, data=images, key=key, **options)
    space = around if isinstance(around, Space) else space_for(found, asked, images, around)
    place, checkpoint = Path(data), read_checkpoint(path, key=key)
    seen = look_around(
        checkpoint,
        space,
        images,
        seconds,
        folder=folder,
        data_dir=str(place.parent) if place.suffix == ".npz" else None,
        module=None if isinstance(around, Space) or not _is_module(around) else around,
        start=_start(checkpoint, asked, found, key),
        progress=progress,
    )
    verdicts = tuple(weighed(one, asked, seen) for one in found.verdicts)
    return replace(found, verdicts=verdicts, readings=readings_of(seen))


def _start(
    checkpoint: Checkpoint, claims: Claims, found: Audit, key: str | None
) -> np.ndarray | None:
    """The initial weights of the net, where the audit found its seed."""
    for one in found.evidence:
        if one.claim == "seed" and len(one.hypotheses) > 1:
            seed = one.hypotheses[0].values[0]
            if isinstance(seed, int) and one.hypotheses[0].p_value == 1.0:
                return initial_weights(checkpoint, claims.values, seed, key)
    return None


def space_for(found: Audit, claims: Claims, images: ImageSet, around: str = AUTO) -> Space:
    """The space around an audited net.

    Parameters
    ----------
    found : Audit
        The audit.
    claims : Claims
        What is claimed.
    images : ImageSet
        The training data.
    around : str
        "auto", "net.py:build", or the path of a space's YAML file.

    Returns
    -------
    Space

    Raises
    ------
    UsageError
        As `audit_around`.
    """
    if around == AUTO:
        return space_around(found.facts, found.evidence, claims, images)
    if not _is_module(around):
        return load_space(around)
    size = images.x_train.shape[1:]
    sizes = {"features": size[0]} if len(size) == 1 else {"input_size": size[0],
                                                          "channels": size[2]}  # fmt: skip
    plain = {"dataset": images.name, "outputs": len(images.classes)} | sizes
    with modules_known(Space.from_dict({"recipe": plain}), around) as space:
        plan = plan_of(space.draw(1)[0])
        assert isinstance(plan, ModulePlan)
        name, reads = plan.module.name, frozenset(name for name, _ in plan.reads)
    return space_around(found.facts, found.evidence, claims, images, name, reads)


def _is_module(around: str) -> bool:
    name, mark, _ = around.rpartition(":")
    if around.endswith((".yaml", ".yml")) or around == AUTO:
        return False
    if not mark or not name.endswith(".py"):
        raise UsageError("around", f"{around!r} is no space", "give auto, net.py:build or a .yaml")
    return True
