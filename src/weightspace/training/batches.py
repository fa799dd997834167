"""Which images each net sees at each step, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from weightspace.errors import UsageError
from weightspace.images import ImageSet, split
from weightspace.networks.activations import Runs
from weightspace.networks.batch import Images
from weightspace.space import Recipe
from weightspace.training import streams
from weightspace.training.distortion import cropped, distorted
from weightspace.training.evaluation import Held
from weightspace.training.pool import Pool, padded

VALIDATION_FRACTION = 0.1
"""The fraction of the training images that is kept for validation."""


class Batches:
    """The images of each net at each step, in the net's own order and with its own augmentation."""

    def __init__(
        self, recipes: Sequence[Recipe], pool: Pool, dtype: torch.dtype, evaluation_images: int
    ) -> None:
        self.pool, self.dtype = pool, dtype
        self.batch_size = recipes[0].batch_size
        device = pool.images.device
        self.seeds = torch.tensor([r.seed for r in recipes], device=device)
        train, validation, test = zip(
            *(_positions(recipe, pool, evaluation_images) for recipe in recipes), strict=True
        )
        some = slice(evaluation_images)
        self.sizes = torch.tensor([len(rows) for rows in train], device=device)
        self.train = torch.from_numpy(padded(train)).to(device)
        self.held = {
            "train": Held.of([rows[some] for rows in train], pool),
            "validation": Held.of([rows[some] for rows in validation], pool),
            "test": Held.of(test, pool),
        }
        # The stopping rule uses all validation images, so that the number of images that measure
        # a snapshot does not change how long a net trains.
        stops = any(recipe.stopping != "epochs" for recipe in recipes)
        self.watched = Held.of(validation, pool) if stops else None
        self.augmented = torch.tensor([r.augmentation for r in recipes], device=device)
        if pool.images.dtype != torch.uint8 and any(r.augmentation for r in recipes):
            raise UsageError("augmentation", "needs images of bytes", "set it to false")
        self.uneven = not all(r.drop_last for r in recipes)  # whether a batch may not be full
        self.augmentations = [r.augmentations for r in recipes]
        self.affine = _affine(recipes, pool)
        self.order = torch.zeros_like(self.train)
        self.labels = self._labels(recipes) if any(r.label_noise for r in recipes) else None
        if self.labels is not None:
            sample = self.held["train"]
            labels = self.labels[:, : sample.index.shape[1]]
            self.held["train"] = replace(sample, labels=labels)
        self.steps_per_epoch = torch.tensor(
            [whole_batches(r, len(rows)) for r, rows in zip(recipes, train, strict=True)],
            device=device,
        )

    def keep(self, rows: Tensor) -> None:
        """Drop every net except those at `rows`."""
        for name in ("seeds", "sizes", "train", "augmented", "order", "steps_per_epoch"):
            setattr(self, name, getattr(self, name)[rows])
        self.augmentations = [self.augmentations[i] for i in rows.tolist()]
        self.affine = self.affine[rows] if self.affine is not None else None
        self.labels = self.labels[rows] if self.labels is not None else None
        self.held = {name: held.keep(rows) for name, held in self.held.items()}
        self.watched = self.watched.keep(rows) if self.watched else None

    def at(self, step: int) -> tuple[Images, Tensor]:
        """Images of M nets, B each, and labels [M, B], for a step that counts from 0."""
        within = step % self.steps_per_epoch
        self._shuffle((within == 0).nonzero().squeeze(1), step)
        first = within.unsqueeze(1) * self.batch_size
        position = first + torch.arange(self.batch_size, device=first.device)
        # Beyond the end of a last batch that is not full stands any image; `counts` tells.
        chosen = self.order.gather(1, position.clamp(max=self.order.shape[1] - 1))
        index = self.train.gather(1, chosen)
        y = self.pool.labels[index] if self.labels is None else self.labels.gather(1, chosen)
        rows = self.augmented.nonzero().squeeze(1)
        made = self._augmented(index, rows, step) if len(rows) else None
        return Images(self.pool.images, index, rows, made, self.affine), y

    def affine_of(self, rows: Tensor) -> Tensor | None:
        """`affine` of some of the nets."""
        return None if self.affine is None else self.affine[rows]

    def counts(self, step: int) -> Tensor | None:
        """How many images of its batch each net gets at a step: int64 [M]; None if all are full."""
        if not self.uneven:
            return None
        first = step % self.steps_per_epoch * self.batch_size
        counts = (self.sizes - first).clamp(max=self.batch_size)
        return None if bool((counts == self.batch_size).all()) else counts

    def _augmented(self, index: Tensor, rows: Tensor, step: int) -> Tensor:
        """The augmented images [K, B, C, H, W] of the nets at `rows`, each in its own way."""
        kinds = [self.augmentations[i] for i in rows.tolist()]
        pieces: list[Tensor] = []
        for kind, first, stop in Runs.of(kinds).runs:
            some = rows[first:stop]
            own = (self.pool.images, index[some], self.seeds[some], step, self.dtype)
            pieces.append(distorted(*own) if kind == "nws" else cropped(*own, kind))
        return torch.cat(pieces)

    def begin_at(self, step: int) -> None:
        """Prepare for a step that may lie within an epoch."""
        self._shuffle((step % self.steps_per_epoch != 0).nonzero().squeeze(1), step)

    def _shuffle(self, nets: Tensor, step: int) -> None:
        """Set the order of the images for the epoch of the step."""
        if len(nets):
            epoch = step // self.steps_per_epoch[nets]
            key = streams.keys(self.seeds[nets], "order", epoch)
            order = streams.permutations(key, self.sizes[nets].tolist()).long()
            self.order[nets, : order.shape[1]] = order

    def _labels(self, recipes: Sequence[Recipe]) -> Tensor:
        """Training labels [M, N]; the share `label_noise` of them is replaced by another class."""
        labels = self.pool.labels[self.train]
        count = labels.shape[1]
        u = streams.uniform(streams.keys(self.seeds, "label noise", 0), count)
        other = streams.uniform(streams.keys(self.seeds, "noise label", 0), count)
        share = torch.tensor([[r.label_noise] for r in recipes], device=u.device)
        classes = [[len(self.pool.sets[r.dataset].classes)] for r in recipes]
        size = torch.tensor(classes, device=u.device)
        wrong = (labels + 1 + (other * (size - 1)).long()) % size
        return torch.where(u < share, wrong, labels)


def _affine(recipes: Sequence[Recipe], pool: Pool) -> Tensor | None:
    """Factor and addend [M, 2, C] of each net's channels; None if all take pixels from 0 to 1."""
    if all(recipe.inputs == "unit" for recipe in recipes):
        return None
    found = [pool.affine(recipe.dataset, recipe.inputs) for recipe in recipes]
    return torch.stack(found).to(pool.images.device)


def whole_batches(recipe: Recipe, images: int) -> int:
    """Steps of an epoch on so many training images, with or without a batch that is not full."""
    if images < recipe.batch_size:
        raise UsageError(
            "batch_size",
            f"{recipe.batch_size} is more than the {images} training images of {recipe.dataset}",
            "lower it, or raise train_images or train_fraction",
        )
    steps, rest = divmod(images, recipe.batch_size)
    alone = rest == 1 and recipe.batch_norm and recipe.norm == "batch"  # not to be normalized
    if recipe.drop_last or not rest or alone:
        return steps
    return steps + 1


def epoch_steps(recipe: Recipe, pool: Pool) -> int:
    """The number of steps in an epoch of a net.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the net.
    pool : Pool
        The images.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        If there are too few images for a batch.
    """
    train, _ = _split(recipe, pool.sets[recipe.dataset])
    return whole_batches(recipe, len(train))


def _split(recipe: Recipe, image_set: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """The training and validation images of a net, as positions in the training set."""
    used = recipe.used_images(len(image_set.y_train))
    return split(image_set, used, VALIDATION_FRACTION, recipe.seed)


def _positions(
    recipe: Recipe, pool: Pool, evaluation_images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The positions in the pool of a net's training, validation and test images."""
    image_set = pool.sets[recipe.dataset]
    train, validation = _split(recipe, image_set)
    start = pool.train_start[recipe.dataset]
    count = min(evaluation_images, len(image_set.y_test))
    # The same evenly spread test images for all nets, so that their accuracies are comparable.
    test = np.linspace(0, len(image_set.y_test) - 1, count).astype(np.int64)
    return (
        train + start,
        validation + start,
        test + pool.test_start[recipe.dataset],
    )
