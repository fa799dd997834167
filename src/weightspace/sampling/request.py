"""What was asked of `sample`: its arguments validated, and the nets drawn."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weightspace.errors import UsageError
from weightspace.images import training_images
from weightspace.networks import Plan
from weightspace.sampling.engines import Engine
from weightspace.sampling.estimate import stack_bytes
from weightspace.sampling.sharding import check_shard, shard_of
from weightspace.sampling.work import Job
from weightspace.space import Recipe, Space, preset
from weightspace.training import Course, Pool, epoch_steps, named
from weightspace.training.names import TABLES, unknown
from weightspace.zoo.files.dtypes import dtype_of
from weightspace.zoo.format.splits import BLOCK, stratified


@dataclass(frozen=True)
class Options:
    """The arguments of `sample` that say how a space is sampled; explained there."""

    nets: int
    seed: int
    shard: tuple[int, int]
    data_dir: str | None
    datasets: Sequence[str] | None
    epochs: int | None
    snapshots: int
    snapshot_epochs: Sequence[float] | None
    evaluation_images: int
    workers: int | None
    device: str
    dtype: str = "float32"

    @property
    def epochs_named(self) -> list[float] | None:
        """The epochs after which snapshots are taken; None where at equal fractions of training."""
        if self.snapshot_epochs is None:
            return None
        return [float(epoch) for epoch in self.snapshot_epochs]

    @property
    def moments(self) -> int | tuple[float, ...]:
        """How many snapshots are taken, or after which epochs."""
        return self.snapshots if self.epochs_named is None else tuple(self.epochs_named)

    @property
    def count(self) -> int:
        """How many snapshots a net has at most."""
        return self.snapshots if self.epochs_named is None else len(self.epochs_named)

    @property
    def most_epochs(self) -> float:
        """The epoch after which every net ends, infinity where its recipe says."""
        return max(self.epochs_named or [math.inf])

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
        dtype_of(self.dtype)
        check_shard(self.shard)
        if self.datasets is not None and (isinstance(self.datasets, str) or not self.datasets):
            raise UsageError(f"datasets: {self.datasets!r} is no list of names")
        for epoch in self.snapshot_epochs or ():
            if not isinstance(epoch, int | float) or not math.isfinite(epoch):
                raise UsageError(f"snapshot_epochs: {epoch!r} is no number of epochs")

    def narrow(self, space: Space) -> Space:
        """The space with the data sets and epochs that replace its own."""
        names = list(self.datasets or [])
        dataset: object = names[0] if len(names) == 1 else names or None
        return space.with_constants(dataset=dataset, epochs=self.epochs)


@dataclass(frozen=True)
class Request:
    """A run that can start: `asked` maps positions in the draw to recipes.

    `images` gives the training images of each image set.
    """

    space: Space
    options: Options
    out: Path
    asked: dict[int, Recipe]
    images: dict[str, int]
    engine: Engine
    device: str

    @classmethod
    def of(cls, space: Space | str, options: Options, out: str | Path, engine: Engine) -> Request:
        """Validate what can be validated without reading images."""
        space = options.narrow(preset(space) if isinstance(space, str) else space)
        with _placing(space):
            return cls._of(space, options, Path(out), engine)

    @classmethod
    def _of(cls, space: Space, options: Options, out: Path, engine: Engine) -> Request:
        _refuse_unknown_names(space)
        recipes = space.draw(options.nets, options.seed)
        images = count_images(recipes, options.data_dir)
        mine = shard_of(recipes, options.shard, images)
        if not mine:
            number, count = options.shard
            raise UsageError(
                f"shard: {options.nets} nets leave nothing for {number}/{count}; use fewer shards"
            )
        asked = {i: recipes[i] for i in mine}
        _refuse_without_memory(asked.values())
        _refuse_too_few_images(space, images)
        device = engine.device(options.device)
        return cls(space, options, out, asked, images, engine, device)

    @property
    def size(self) -> tuple[int, int]:
        """Side length and channels of the images, one in a space."""
        one = next(iter(self.asked.values()))
        return one.input_size, one.channels

    def job(self, nets: dict[int, Recipe]) -> Job:
        """What the work on these nets, by positions in the draw, shares."""
        splits = split_of(self.space, max(nets, default=0) + 1, self.options.seed)
        return Job(
            datasets=tuple(sorted({recipe.dataset for recipe in nets.values()})),
            data_dir=self.options.data_dir,
            size=self.size,
            snapshots=self.options.moments,
            evaluation_images=self.options.evaluation_images,
            device=self.device,
            index={recipe.net: i for i, recipe in nets.items()},
            split={recipe.net: splits[i] for i, recipe in nets.items()},
            named=named(nets.values()),
        )

    def refuse_unsuitable(self, pool: Pool) -> None:
        """Raise UsageError where some recipe cannot be trained on the images at hand."""
        fields = ("dataset", "batch_size", "epochs", "stopping")
        fewest: dict[tuple[object, ...], Recipe] = {}
        for recipe in sorted(self.asked.values(), key=lambda r: -r.used_images(2**31)):
            fewest[tuple(getattr(recipe, name) for name in fields)] = recipe
        with _placing(self.space):
            _refuse_too_few_outputs(self.space, pool)
            for recipe in fewest.values():
                Course.of(recipe, epoch_steps(recipe, pool), self.options.moments)


def count_images(recipes: Iterable[Recipe], data_dir: str | None) -> dict[str, int]:
    """The training images of every set that recipes name."""
    names = sorted({recipe.dataset for recipe in recipes})
    return {name: training_images(name, data_dir) for name in names}


def split_of(space: Space, nets: int, seed: int) -> list[str]:
    """The split of the first `nets` nets of a draw: of every five in a row, one is a test net.

    Which of the five depends on no net after them, so it is the same however many are asked for.
    """
    drawn = space.draw(-(-nets // BLOCK) * BLOCK, seed)
    return stratified(space.levels(drawn), seed)[:nets]


@contextmanager
def _placing(space: Space) -> Iterator[None]:
    """Errors about a hyper-parameter say where the space's file sets it."""
    try:
        yield
    except UsageError as error:
        raise space.placed(error) from None


def _refuse_unknown_names(space: Space) -> None:
    """Names are looked up only here, so that a new one needs no change in `space`."""
    for key in TABLES:
        for value in space.values(key):
            if reason := unknown(key, value):
                raise UsageError(f"{key}: {reason}")
    for key in ("input_size", "channels"):
        if len(space.values(key)) > 1:
            raise UsageError(f"{key}: must be one value in a space; sample two zoos instead")


def _refuse_too_few_outputs(space: Space, pool: Pool) -> None:
    outputs = min(space.values("outputs"))
    for name, image_set in pool.sets.items():
        classes = len(image_set.classes)
        if not 2 <= classes <= outputs:
            raise UsageError(
                f"outputs: {outputs} cannot tell the {classes} classes of {name}; "
                "2 to as many classes as outputs are needed"
            )


def _refuse_without_memory(recipes: Iterable[Recipe]) -> None:
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
