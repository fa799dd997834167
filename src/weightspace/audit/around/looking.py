"""`look_around`: what a population of nets around a checkpoint tells of it."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weightspace.audit.around.behaviour import Behaviour, Shown
from weightspace.audit.around.nets import Nets
from weightspace.audit.around.population import population
from weightspace.audit.around.rates import Rate, RateModel
from weightspace.audit.around.rows import Sights
from weightspace.checkpoints import Checkpoint
from weightspace.checkpoints.opening import open_net
from weightspace.disk import inner_of, read_bytes, user_cache, write_file
from weightspace.errors import UsageError
from weightspace.evidence import Context, of_checkpoint
from weightspace.evidence.record import Value
from weightspace.evidence.seeds import known_initial_vector
from weightspace.images import ImageSet
from weightspace.learners.estimators import Boosted, Kernel, Linear
from weightspace.learners.together import Together
from weightspace.meta.design.study import Study
from weightspace.meta.model.answer import Reading
from weightspace.meta.model.rows import fit_rows
from weightspace.progress import Progress, silent
from weightspace.sampling.modules import modules_known
from weightspace.space import Choice, Space
from weightspace.zoo import Zoo

_ROWS = "rows.npz"
_MOST_ROWS = 2**31
_RATE = "learning_rate"


def initial_weights(
    checkpoint: Checkpoint, claims: Mapping[str, Value], seed: int, key: str | None = None
) -> np.ndarray | None:
    """The initial weights of a checkpoint whose seed is known: float32 [P].

    None if not all of its tensors are seen to have begun as torch draws them.
    """
    with open_net(checkpoint.path, key=key) as net:
        context = Context(claims=claims, seeds=(seed,))
        found = known_initial_vector(of_checkpoint(net), context)
    parts = []
    for spec in checkpoint.layout.tensors:
        if spec.role in _BEGIN:
            parts.append(np.full(spec.size, _BEGIN[spec.role], np.float32))
        elif found is None or found.seed != seed or spec.name not in found.places:
            return None
        else:
            parts.append(found.values(spec.name))
    start = np.concatenate(parts)
    return start if len(start) == checkpoint.layout.size else None


_BEGIN = {"scale": 1.0, "shift": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""The initial values of norms."""


@dataclass(frozen=True)
class Around:
    """What a population around a checkpoint tells of it.

    Attributes
    ----------
    space : Space
        The space of the population.
    folder : Path
        Where the population lies, to go on with it.
    nets : int
        The number of its nets that did not diverge.
    readings : dict of str to Reading
        By hyper-parameter.
    rate : Rate or None
        The reading of the learning rate; None where it does not vary.
    """

    space: Space
    folder: Path
    nets: int
    readings: Mapping[str, Reading]
    rate: Rate | None


def look_around(
    checkpoint: Checkpoint,
    space: Space,
    images: ImageSet,
    seconds: float,
    *,
    folder: Path | None = None,
    data_dir: str | None = None,
    module: str | None = None,
    start: np.ndarray | None = None,
    progress: Progress = silent,
) -> Around:
    """Sample a population around a checkpoint, and read the checkpoint by it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The net.
    space : Space
        The space around it.
    images : ImageSet
        The training data.
    seconds : float
        How long sampling may take, earlier calls included.
    folder : Path, optional
        Where the population lies, or will; by default in the user's cache, by its space and data.
    data_dir : str, optional
        The first folder in which the images are searched.
    module : str, optional
        The architecture as a module of one's own, "net.py:build".
    start : ndarray of float32, shape (P,), optional
        The initial weights of the checkpoint, where its seed is known.
    progress : callable
        As for `sample`.

    Returns
    -------
    Around

    Raises
    ------
    UsageError
        If the checkpoint is no net of this architecture, or the budget is too small.
    """
    with modules_known(space, module) as space:
        if not Nets(space.draw(1)[0]).takes(checkpoint.layout):
            raise UsageError(
                str(checkpoint.path),
                "its tensors are not those of the nets of this space",
                "give its module as net.py:build, or a space of its architecture",
            )
        place = folder or user_cache() / "around" / _key(space, images)
        zoo = population(
            space, place, seconds, data_dir=data_dir, module=module,
            looking=_seconds_of_looking(space, images, checkpoint.vector), progress=progress,
        )  # fmt: skip
        reader = AroundReader(zoo, images, place, start is not None, progress)
        readings, rate = reader.read(checkpoint.vector, start)
    return Around(space, place, reader.nets, readings, rate)


class AroundReader:
    """What a population of nets of one architecture tells of a net.

    A module of one's own must be in the table of architectures (`sampling.modules`).

    Parameters
    ----------
    zoo : Zoo
        The population.
    images : ImageSet
        The training data.
    folder : Path
        Where the numbers that are seen in each net are kept.
    started : bool
        Whether nets are compared with their initial weights, too.
    progress : callable
        Called with a task, how much is done, and the total.
    """

    def __init__(
        self, zoo: Zoo, images: ImageSet, folder: Path, started: bool = False,
        progress: Progress = silent,
    ) -> None:  # fmt: skip
        space = zoo.space
        self._architecture, self._sights = _sights(space, images)
        choices = [n for n in space.properties if isinstance(space.distributions[n], Choice)]
        study = Study.of(zoo, properties=choices)
        rows = _rows(zoo, study.labels.nets, self._sights, folder, started, progress)
        self._usable = _usable(rows)
        rows = rows[:, self._usable]
        self.nets = len(rows)
        self.model = fit_rows(study, rows, ESTIMATOR, progress=progress)
        self.rates: RateModel | None = None
        if _RATE in space.properties:
            by_net = dict(zoo.nets.select("net", _RATE).iter_rows())
            rates = np.array([by_net[net] for net in study.labels.nets])
            self.rates = RateModel(rows, rates, study.cells.fold_of(0))

    def read(
        self, vector: np.ndarray, start: np.ndarray | None = None
    ) -> tuple[dict[str, Reading], Rate | None]:
        """Read a net.

        Parameters
        ----------
        vector : ndarray of float32, shape (P,)
            Its weights, in the layout of the population.
        start : ndarray of float32, shape (P,), optional
            Its initial weights, if the nets of the population are compared with theirs.

        Returns
        -------
        readings : dict of str to Reading
            By hyper-parameter.
        rate : Rate or None
            The learning rate; None where it does not vary.
        """
        _, own = self._sights.row(vector, self._architecture.layout, start)
        own = own[self._usable]
        rate = None if self.rates is None else self.rates.read(own)
        return self.model.read(own), rate


ESTIMATOR = Together((Linear(0.1), Kernel(), Boosted(leaves=7, leaf=8)))
"""What reads rows: all three kinds, as none is the best for all properties."""


def _sights(space: Space, images: ImageSet) -> tuple[Nets, Sights]:
    """The architecture of a space, and how its nets are looked at."""
    recipe = space.draw(1)[0]
    shown = Shown.of(images, recipe.size, [str(one) for one in space.values("inputs")])
    activations = tuple(str(one) for one in space.values("activation"))
    nets = Nets(recipe)
    return nets, Sights(Behaviour(nets, shown, activations))


def _seconds_of_looking(space: Space, images: ImageSet, vector: np.ndarray) -> float:
    """How long looking at a net takes; of two looks, as the first one has more to load."""
    nets, sights = _sights(space, images)
    sights.row(vector, nets.layout, None)
    start = time.monotonic()
    sights.row(vector, nets.layout, None)
    return time.monotonic() - start


def _key(space: Space, images: ImageSet) -> str:
    found = hashlib.sha256(json.dumps(space.to_dict()["recipe"], sort_keys=True).encode())
    for part in (images.x_train, images.y_train):
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()[:16]


def _rows(
    zoo: Zoo, nets: tuple[str, ...], sights: Sights, folder: Path, started: bool,
    progress: Progress,
) -> np.ndarray:  # fmt: skip
    """A row for each net, float32 [nets, F]; those that were made before are in a file."""
    place = folder / _ROWS
    names, known = _seen(sights, zoo, nets[0], started)
    if place.exists():
        with np.load(
            io.BytesIO(read_bytes(inner_of(place), _MOST_ROWS)), allow_pickle=False
        ) as file:
            if tuple(map(str, file["names"])) == names:
                known = dict(zip(map(str, file["nets"]), file["rows"], strict=True)) | known
    before = len(known)
    for done, net in enumerate(nets):
        if net not in known:
            known |= _seen(sights, zoo, net, started)[1]
        progress("looking at nets", done + 1, len(nets))
    if len(known) > before or not place.exists():
        buffer = io.BytesIO()
        np.savez(buffer, nets=np.array(list(known)), rows=np.stack(list(known.values())),
                 names=np.array(names))  # fmt: skip
        write_file(inner_of(place), buffer.getvalue())
    return np.stack([known[net] for net in nets])


def _seen(
    sights: Sights, zoo: Zoo, net: str, started: bool
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names of the numbers, and those of one net."""
    start = zoo.vector(net, 1) if started else None
    names, row = sights.row(zoo.vector(net, -1), zoo.layout(net), start)
    return names, {net: row}


def _usable(rows: np.ndarray) -> np.ndarray:
    """The columns that are never missing and not the same for all nets: bool [F]."""
    finite = np.isfinite(rows).all(axis=0)
    spread = np.where(finite, rows, 0.0).std(axis=0)
    return np.asarray(finite & (spread > 1e-9))
