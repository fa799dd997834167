"""`sample` and `estimate`: from a space to a zoo on disk, on the cores of one machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from weightspace.errors import DataError, UsageError
from weightspace.images import training_images
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.initializations import INITIALIZATIONS
from weightspace.progress import Progress, silent
from weightspace.sampling.calibration import Pace, calibrate
from weightspace.sampling.engine import run_here, run_in_processes
from weightspace.sampling.estimate import Estimate, add_up
from weightspace.sampling.plan import Unit, plan_units
from weightspace.sampling.work import Job
from weightspace.space import Choice, Constant, Recipe, Space, preset
from weightspace.training import OPTIMIZERS, snapshot_steps
from weightspace.training.batches import Pool
from weightspace.zoo import MANIFEST, Writer, Zoo

TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Options:
    """The arguments of `sample` that say how a space is sampled; explained there."""

    nets: int
    seed: int
    data_dir: str | None
    datasets: Sequence[str] | None
    epochs: int | None
    snapshots: int
    evaluation_images: int
    workers: int | None
    device: str


def sample(
    space: Space | str,
    *,
    nets: int,
    out: str | Path,
    seed: int = 0,
    data_dir: str | None = None,
    datasets: Sequence[str] | None = None,
    epochs: int | None = None,
    snapshots: int = 20,
    evaluation_images: int = 500,
    workers: int | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Zoo:
    """Sample `nets` trained nets of a space into the zoo at `out`; call again to continue.

    `space` is a `Space`, a preset's name or a YAML file's path; `datasets` and `epochs` replace
    the space's own. Image files are looked for in `data_dir` first. `snapshots` vectors are kept
    of each net, at equal fractions of its training; at most `evaluation_images` validation and as
    many test images measure it at each. `workers` processes (by default one a core) train a stack
    each on one thread; with 1, this process does. `device` is auto, cpu or cuda.

    Raises `UsageError` for a space or options that cannot work and `DataError` for missing images,
    both before anything is written; `DataError` for a full disk or a worker that died, and what
    was finished is kept.

    >>> zoo = sample("demo", nets=300, out="my-zoo", seed=1)  # doctest: +SKIP
    """
    options = Options(
        nets, seed, data_dir, datasets, epochs, snapshots, evaluation_images, workers, device
    )
    run = _Run.prepare(space, options, out)
    # Missing images and labels beyond the outputs stop the run before anything is written.
    _refuse_too_few_outputs(run.job.pool(), run.space)
    writer = run.writer()
    todo = [unit for unit in run.units if unit.name not in writer.finished]
    _refuse_without_room(run.estimate(todo), Path(out))
    if todo:
        count = min(run.workers, len(todo))
        kept = len(run.recipes) - sum(len(unit.recipes) for unit in todo)
        if count == 1:
            run_here(run.job, writer, todo, kept, progress)
        else:
            run_in_processes(run.job, run.writer, todo, count, kept, progress)
    return Zoo(out)


def estimate(
    space: Space | str,
    *,
    nets: int,
    out: str | Path,
    seed: int = 0,
    data_dir: str | None = None,
    datasets: Sequence[str] | None = None,
    epochs: int | None = None,
    snapshots: int = 20,
    evaluation_images: int = 500,
    workers: int | None = None,
    device: str = "auto",
) -> Estimate:
    """What `sample` with the same arguments would need; trains nothing, writes nothing.

    A few steps on random images are timed on this machine, some seconds in all. Published image
    sets whose files are missing count as whole. Raises `UsageError` as `sample` does.

    >>> estimate("demo", nets=40, out="never-made").nets
    40
    """
    options = Options(
        nets, seed, data_dir, datasets, epochs, snapshots, evaluation_images, workers, device
    )
    run = _Run.prepare(space, options, out)
    return run.estimate(run.units)


@dataclass(frozen=True)
class _Run:
    """A run that is ready to start: validated, drawn, cut into units."""

    space: Space
    options: Options
    out: Path
    recipes: list[Recipe]
    images: dict[str, int]
    paces: dict[str, Pace]
    units: list[Unit]
    job: Job
    workers: int

    @classmethod
    def prepare(cls, space: Space | str, options: Options, out: str | Path) -> _Run:
        space = preset(space) if isinstance(space, str) else space
        if options.datasets:
            names = tuple(options.datasets)
            one = Constant(names[0]) if len(names) == 1 else Choice(names)
            space = Space(space.name, space.distributions | {"dataset": one}, space.description)
        if options.epochs:
            space = space.with_constants(epochs=options.epochs)
        _refuse_unknown_names(space)
        recipes = space.draw(options.nets, options.seed)
        names = tuple(sorted({recipe.dataset for recipe in recipes}))
        images = {name: training_images(name, options.data_dir) for name in names}
        _refuse_too_few_images(space, images)
        device = _device(options.device)
        paces = _paces(Path(out), options, recipes, device)
        units = plan_units(recipes, paces, images)
        for unit in units:
            snapshot_steps(unit.steps(images), options.snapshots)
        job = Job(
            datasets=names,
            data_dir=options.data_dir,
            size=(recipes[0].input_size, recipes[0].channels),
            snapshots=options.snapshots,
            evaluation_images=options.evaluation_images,
            device=device,
            index={recipe.net: i for i, recipe in enumerate(recipes)},
            split=_split(recipes, options.seed),
        )
        workers = options.workers or (1 if device == "cuda" else os.cpu_count() or 1)
        return cls(space, options, Path(out), recipes, images, paces, units, job, workers)

    def writer(self) -> Writer:
        """The zoo's writer: creates the zoo, or opens it again to continue."""
        return Writer(self.out, space=self.space, seed=self.options.seed, info=self._info())

    def estimate(self, units: Sequence[Unit]) -> Estimate:
        side, channels = self.job.size
        return add_up(
            units,
            snapshots=self.options.snapshots,
            workers=self.workers,
            images=self.images,
            # Training images, and test images at up to a fifth of their number.
            pool_bytes=sum(self.images.values()) * side**2 * channels * 6 // 5,
            evaluation_images=self.options.evaluation_images,
        )

    def _info(self) -> dict[str, object]:
        return {
            "nets": self.options.nets,
            "snapshots": self.options.snapshots,
            "evaluation_images": self.options.evaluation_images,
            "paces": {name: asdict(pace) for name, pace in self.paces.items()},
            "device": self.job.device,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("weightspace", "torch", "numpy")},
        }


def _refuse_unknown_names(space: Space) -> None:
    """Names are looked up only here, so that a new one needs no change in `space`."""
    for key, known in (
        ("optimizer", OPTIMIZERS),
        ("activation", ACTIVATIONS),
        ("initialization", INITIALIZATIONS),
    ):
        for value in space.values(key):
            if value not in known:
                raise UsageError(f"{key}: {value!r} is unknown; known are {', '.join(known)}")
    for key in ("input_size", "channels"):
        if len(space.values(key)) > 1:
            raise UsageError(f"{key}: must be one value in a space; sample two zoos instead")


def _refuse_too_few_images(space: Space, images: dict[str, int]) -> None:
    asked = max(space.values("train_images"))
    name = min(images, key=images.__getitem__)
    if asked > images[name]:
        raise UsageError(
            f"train_images: {asked:,} asked of {name}, which has {images[name]:,} training images; "
            "ask for fewer, or 0 for all"
        )


def _refuse_too_few_outputs(pool: Pool, space: Space) -> None:
    outputs = min(space.values("outputs"))
    for name, image_set in pool.sets.items():
        classes = len(image_set.classes)
        if classes > outputs:
            raise UsageError(
                f"outputs: {outputs} are fewer than the {classes} classes of {name}; raise outputs"
            )


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device: {name!r} is none of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: torch finds no CUDA device; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _known_paces(out: Path, options: Options) -> dict[str, Pace] | None:
    """The stack sizes that an unfinished zoo was begun with; None where there is no zoo yet."""
    if not (out / MANIFEST).exists():
        return None
    info = Zoo(out).meta["info"]
    for name in ("nets", "evaluation_images"):
        if info.get(name) != getattr(options, name):
            raise UsageError(
                f"{out}: holds another zoo, {name} is {info.get(name)} there and "
                f"{getattr(options, name)} here; choose another --out, or use the same settings "
                "to continue it"
            )
    return {name: Pace(**pace) for name, pace in info["paces"].items()}


def _paces(out: Path, options: Options, recipes: list[Recipe], device: str) -> dict[str, Pace]:
    return _known_paces(out, options) or calibrate(recipes, device)


def _split(recipes: Sequence[Recipe], seed: int) -> dict[str, str]:
    """A fifth of the nets, at random, are set aside as the zoo's test nets."""
    test = round(len(recipes) * TEST_FRACTION)
    order = np.random.default_rng([seed, 0x5B117]).permutation(len(recipes))
    return {recipes[i].net: "test" if rank < test else "train" for rank, i in enumerate(order)}


def _refuse_without_room(needs: Estimate, out: Path) -> None:
    free = shutil.disk_usage(out).free
    if needs.disk_bytes > free:
        raise DataError(
            f"{out}: needs {needs.disk_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB; "
            "free some, choose another --out, or sample fewer nets"
        )
