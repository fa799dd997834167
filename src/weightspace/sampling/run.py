"""`sample` and `estimate`: from a space to a zoo on disk, on the cores of one machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import loky
import numpy as np
import torch

from weightspace.errors import DataError, UsageError
from weightspace.images import training_images
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.initializations import INITIALIZATIONS
from weightspace.progress import Progress, silent
from weightspace.sampling.calibration import Pace, calibrate
from weightspace.sampling.engines import Local, Work
from weightspace.sampling.estimate import Estimate, add_up, stack_bytes
from weightspace.sampling.plan import Unit, plan_units
from weightspace.sampling.work import Job, digest
from weightspace.space import Recipe, Space, preset
from weightspace.training import OPTIMIZERS, Pool, snapshot_steps, total_steps
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

    def __post_init__(self) -> None:
        for name, least in (
            ("nets", 1),
            ("seed", 0),
            ("epochs", 1),
            ("snapshots", 2),
            ("evaluation_images", 1),
            ("workers", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: {value} is below {least}")
        if self.datasets is not None and (isinstance(self.datasets, str) or not self.datasets):
            raise UsageError(f"datasets: {self.datasets!r} is no list of names")

    def narrow(self, space: Space) -> Space:
        """The space with the data sets and epochs that replace its own."""
        names = list(self.datasets or [])
        dataset: object = names[0] if len(names) == 1 else names or None
        return space.with_constants(dataset=dataset, epochs=self.epochs)


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
    pool = run.job.pool()  # missing images stop the run here, before anything is written
    run.refuse_unsuitable(pool)
    writer = run.open(pool)
    finished = writer.finished
    todo = [unit for unit in run.units(writer.meta["info"]) if unit.name not in finished]
    _refuse_without_room(run.estimate(todo), run.out)
    kept = len(run.recipes) - sum(len(unit.recipes) for unit in todo)
    work = Work(run.job, pool, writer, todo, kept)
    del pool  # an engine whose workers hold their own frees it
    Local(run.workers).train(work, progress)
    return Zoo(run.out)


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
    sets whose files are missing count as whole; what a zoo at `out` already holds is not deducted.
    Raises `UsageError` where the space or an option cannot work, whatever the images.

    >>> estimate("demo", nets=40, out="never-made").nets
    40
    """
    options = Options(
        nets, seed, data_dir, datasets, epochs, snapshots, evaluation_images, workers, device
    )
    run = _Run.prepare(space, options, out)
    return run.estimate(run.units({"paces": run.paces()}))


@dataclass(frozen=True)
class _Run:
    """A run that is ready to start: validated and drawn."""

    space: Space
    options: Options
    out: Path
    recipes: list[Recipe]
    images: dict[str, int]
    job: Job
    workers: int

    @classmethod
    def prepare(cls, space: Space | str, options: Options, out: str | Path) -> _Run:
        space = options.narrow(preset(space) if isinstance(space, str) else space)
        _refuse_unknown_names(space)
        recipes = space.draw(options.nets, options.seed)
        _refuse_without_memory(recipes)
        names = tuple(sorted({recipe.dataset for recipe in recipes}))
        images = {name: training_images(name, options.data_dir) for name in names}
        _refuse_too_few_images(space, images)
        job = Job(
            datasets=names,
            data_dir=options.data_dir,
            size=(recipes[0].input_size, recipes[0].channels),
            snapshots=options.snapshots,
            evaluation_images=options.evaluation_images,
            device=_device(options.device),
            index={recipe.net: i for i, recipe in enumerate(recipes)},
            split=_split(recipes, options.seed),
        )
        workers = options.workers or (1 if job.device == "cuda" else loky.cpu_count())
        return cls(space, options, Path(out), recipes, images, job, workers)

    def refuse_unsuitable(self, pool: Pool) -> None:
        """Raise UsageError where some recipe cannot be trained on the images at hand."""
        outputs = min(self.space.values("outputs"))
        for name, image_set in pool.sets.items():
            classes = len(image_set.classes)
            if not 2 <= classes <= outputs:
                raise UsageError(
                    f"outputs: {outputs} cannot tell the {classes} classes of {name}; "
                    "2 to as many classes as outputs are needed"
                )
        seen = {(r.dataset, r.train_images, r.batch_size, r.epochs): r for r in self.recipes}
        for recipe in seen.values():
            snapshot_steps(total_steps(recipe, pool), self.options.snapshots)

    def paces(self) -> dict[str, object]:
        """Stack sizes and seconds a step on this machine, as plain values."""
        paces = calibrate(self.recipes, self.job.device)
        return {name: asdict(pace) for name, pace in paces.items()}

    def open(self, pool: Pool) -> Writer:
        """The zoo's writer: of the zoo that is there if it is this one, else of a new one."""
        asked: dict[str, object] = {
            "nets": self.options.nets,
            "snapshots": self.options.snapshots,
            "evaluation_images": self.options.evaluation_images,
            "device": self.job.device,
            "images": {name: digest(image_set) for name, image_set in pool.sets.items()},
        }
        info = dict(asked)
        if not (self.out / MANIFEST).exists():
            info |= {
                "paces": self.paces(),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {name: version(name) for name in ("weightspace", "torch", "numpy")},
            }
            units = self.units(info)
            _refuse_without_room(self.estimate(units), self.out)
        writer = Writer(self.out, space=self.space, seed=self.options.seed, info=info)
        # What stands in the zoo decides, also where another process made it a moment ago.
        _refuse_another(self.out, writer.meta["info"], asked)
        return writer

    def units(self, info: Mapping[str, Any]) -> list[Unit]:
        """The work of the whole run, with the stack sizes that the zoo was begun with."""
        try:
            paces = {name: Pace(**pace) for name, pace in info["paces"].items()}
            return plan_units(self.recipes, paces, self.images)
        except (KeyError, TypeError, AttributeError):
            raise DataError(
                f"{self.out}: its {MANIFEST} does not say how its work was cut; it was not made "
                "by sample, choose another --out"
            ) from None

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


def _refuse_another(out: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to continue a zoo that other options or other images began."""
    for name, here in asked.items():
        if name == "images":
            changed = [k for k, v in here.items() if there.get(name, {}).get(k) != v]
            if changed:
                raise UsageError(
                    f"{out}: was begun with other images of {changed[0]}; "
                    "give the same --data-dir, or choose another --out"
                )
        elif there.get(name) != here:
            raise UsageError(
                f"{out}: holds another zoo, {name} is {there.get(name)} there and {here} here; "
                "choose another --out, or use the same settings to continue it"
            )


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


def _refuse_without_memory(recipes: Sequence[Recipe]) -> None:
    """Refuse a net that does not fit into memory even alone, before it is timed."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    plans = {(Plan.from_recipe(r), r.batch_size) for r in recipes}
    needed = max(stack_bytes(plan, batch, 1) for plan, batch in plans)
    if needed > free:
        raise UsageError(
            f"width_fc and the like: one net needs {needed / 1e9:.1f} GB of memory to train, "
            f"{free / 1e9:.1f} GB are free; make the nets or batches smaller"
        )


def _refuse_too_few_images(space: Space, images: dict[str, int]) -> None:
    asked = max(space.values("train_images"))
    name = min(images, key=images.__getitem__)
    if asked > images[name]:
        raise UsageError(
            f"train_images: {asked:,} asked of {name}, which has {images[name]:,} training images; "
            "ask for fewer, or 0 for all"
        )


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device: {name!r} is none of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: torch finds no CUDA device; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _split(recipes: Sequence[Recipe], seed: int) -> dict[str, str]:
    """A fifth of the nets, at random, are set aside as the zoo's test nets."""
    test = round(len(recipes) * TEST_FRACTION)
    order = np.random.default_rng([seed, 0x5B117]).permutation(len(recipes))
    return {recipes[i].net: "test" if rank < test else "train" for rank, i in enumerate(order)}


def _refuse_without_room(needs: Estimate, out: Path) -> None:
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needs.disk_bytes > free:
        raise DataError(
            f"{out}: needs {needs.disk_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB; "
            "free some, choose another --out, or sample fewer nets"
        )
