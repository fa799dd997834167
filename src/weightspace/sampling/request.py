"""`Request`: the arguments of `sample`, validated against the space, with the drawn recipes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weightspace.errors import UsageError
from weightspace.images import training_images
from weightspace.networks.chains import chain, is_chain
from weightspace.networks.grammar import Dense
from weightspace.networks.planning import plan_of
from weightspace.sampling.drawing import Draw, drawn_before
from weightspace.sampling.engines import Engine
from weightspace.sampling.modules import hashes, tell_unread
from weightspace.sampling.needs import stack_bytes
from weightspace.sampling.options import Options
from weightspace.sampling.sharding import shard_of
from weightspace.sampling.work import Job
from weightspace.space import Recipe, Space, preset
from weightspace.training import Course, Pool, epoch_steps, named
from weightspace.training.names import TABLES, unknown
from weightspace.zoo import MANIFEST


@dataclass(frozen=True)
class Request:
    """A validated run: its options, and what follows from them.

    `space` has the requested data sets and epochs, `draw` its recipes; `asked` maps positions in
    the draw to the recipes of this run. `images` is the number of training images by image set;
    `engine` trains on `device`; `modules` has the SHA-256 of each file of a module of one's own.
    """

    options: Options
    space: Space
    draw: Draw
    asked: dict[int, Recipe]
    images: dict[str, int]
    engine: Engine
    device: str
    modules: dict[str, str]

    @classmethod
    def of(cls, options: Options, engine: Engine) -> Request:
        """Validate everything that can be validated without reading images.

        Raises
        ------
        UsageError
            If the space cannot be sampled with these options; file and line come first.
        """
        space = options.space
        space = options.narrow(preset(space) if isinstance(space, str) else space)
        with _placing(space):
            return cls._of(options, space, engine)

    @classmethod
    def _of(cls, options: Options, space: Space, engine: Engine) -> Request:
        _refuse_unknown_names(space)
        nets = options.nets
        hashed = hashes(space.values("architecture"))
        draw = Draw(space, options.seed, expected=drawn_before(Path(options.out), nets))
        recipes = draw.first(nets)
        images = count_images(recipes, options.data_dir)
        mine = shard_of(recipes, options.shard, images)
        if not mine:
            number, count = options.shard
            raise UsageError(
                "shard", f"{nets} nets leave nothing for {number}/{count}", "use fewer shards"
            )
        asked = {i: recipes[i] for i in mine}
        if hashed:
            tell_unread(space, recipes)
        _refuse_without_memory(asked.values())
        _refuse_too_few_images(space, images)
        device = engine.device(options.device)
        return cls(options, space, draw, asked, images, engine, device, hashed)

    @property
    def out(self) -> Path:
        """The zoo's folder."""
        return Path(self.options.out)

    @property
    def is_begun(self) -> bool:
        """Whether the folder already holds a zoo."""
        return (self.out / MANIFEST).exists()

    @property
    def size(self) -> tuple[int, int]:
        """`Recipe.size` of the images, which is the same for a whole space."""
        return next(iter(self.asked.values())).size

    def job(self, nets: dict[int, Recipe]) -> Job:
        """The data that all stacks of these nets share; `nets` are by position in the draw."""
        splits = self.draw.splits(max(nets, default=0) + 1)
        return Job(
            datasets=tuple(sorted({recipe.dataset for recipe in nets.values()})),
            data_dir=self.options.data_dir,
            size=self.size,
            snapshots=self.options.schedule,
            evaluation_images=self.options.evaluation_images,
            device=self.device,
            index={recipe.net: i for i, recipe in nets.items()},
            split={recipe.net: splits[i] for i, recipe in nets.items()},
            named=named(nets.values()),
        )

    def refuse_unsuitable(self, pool: Pool) -> None:
        """Raise UsageError if a recipe cannot be trained on its images."""
        fields = ("dataset", "batch_size", "epochs", "stopping")
        fewest: dict[tuple[object, ...], Recipe] = {}
        for recipe in sorted(self.asked.values(), key=lambda r: -r.used_images(2**31)):
            fewest[tuple(getattr(recipe, name) for name in fields)] = recipe
        with _placing(self.space):
            _refuse_too_few_outputs(self.space, pool)
            for recipe in fewest.values():
                Course.of(recipe, epoch_steps(recipe, pool), self.options.schedule)


def count_images(recipes: Iterable[Recipe], data_dir: str | None) -> dict[str, int]:
    """The number of training images of every image set that recipes name."""
    names = sorted({recipe.dataset for recipe in recipes})
    return {name: training_images(name, data_dir) for name in names}


@contextmanager
def _placing(space: Space) -> Iterator[None]:
    """Add to errors about a hyper-parameter the line of the space's file that sets it."""
    try:
        yield
    except UsageError as error:
        raise space.placed(error) from None


def _refuse_unknown_names(space: Space) -> None:
    """Refuse unknown names. They are looked up only here: a new name needs no change in `space`."""
    for key in TABLES:
        for value in space.values(key):
            if reason := unknown(key, value):
                raise UsageError(key, reason)
    for key in ("input_size", "channels", "features"):
        if len(space.values(key)) > 1:
            raise UsageError(key, "must be one value in a space", "sample two zoos instead")


def _outputs(space: Space) -> Iterator[int]:
    """The numbers of logits that nets of a space can have."""
    for architecture in space.values("architecture"):
        last = chain(architecture)[-1] if is_chain(architecture) else None
        if last is None:
            yield from space.values("outputs")
        elif isinstance(last, Dense):
            yield last.width


def _refuse_too_few_outputs(space: Space, pool: Pool) -> None:
    outputs = min(_outputs(space), default=math.inf)
    for name, image_set in pool.sets.items():
        classes = len(image_set.classes)
        if not 2 <= classes <= outputs:
            raise UsageError(
                "outputs",
                f"{outputs} are too few for the {classes} classes of {name}",
                "a data set needs 2 classes or more, and at most as many as outputs",
            )


def _refuse_without_memory(recipes: Iterable[Recipe]) -> None:
    """Refuse a net that alone does not fit into memory, before it is timed."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    plans = {(plan_of(r), r.batch_size) for r in recipes}
    needed = max(stack_bytes(plan, batch, 1) for plan, batch in plans)
    if needed > free:
        raise UsageError(
            "width_fc or another size",
            f"one net needs {needed / 1000000000.0:.1f} GB of memory to train, "
            f"{free / 1000000000.0:.1f} GB are free",
            "make the nets or batches smaller",
        )


def _refuse_too_few_images(space: Space, images: dict[str, int]) -> None:
    asked = max(space.values("train_images"))
    name = min(images, key=images.__getitem__)
    if asked > images[name]:
        raise UsageError(
            "train_images",
            f"{name} has {images[name]:,} training images, not {asked:,}",
            "give fewer, or 0 for all",
        )
