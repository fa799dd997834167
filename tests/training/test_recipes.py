"""Recipes as people train, against a loop in plain PyTorch that has torch's own parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from support.nets import BASE, PlainNet, small
from support.optimizers import plain_optimizer
from weightspace.errors import UsageError
from weightspace.images.cropping import PADDING, crop_and_flip
from weightspace.networks import Plan
from weightspace.space import Recipe
from weightspace.training import Pool, StackTrainer, restore, state_of

# Without batch norm, so that all values are settled; 144 training images.
PLAIN = replace(
    BASE, seed=7, activation="tanh", batch_norm=False, learning_rate=0.01, optimizer="momentum",
    initialization="torch_default", dropout=0.2, epochs=4,
)  # fmt: skip
RECIPES: dict[str, dict[str, object]] = {
    "momentum as a number": {"momentum": 0.8},
    "Nesterov": {"optimizer": "nesterov", "momentum": 0.9, "weight_decay": 0.01},
    "betas and epsilon": {"optimizer": "adamw", "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
    "RMSprop's alpha": {"optimizer": "rmsprop", "alpha": 0.99, "epsilon": 1e-4},
    "Adagrad": {"optimizer": "adagrad", "epsilon": 1e-10},
    "Lion": {"optimizer": "lion", "learning_rate": 0.001, "beta2": 0.99, "weight_decay": 0.1},
    "steps": {"schedule": "step", "learning_rate_decay": 0.3, "decay_epochs": 2},
    "cosine": {"schedule": "cosine"},
    "linear": {"schedule": "linear"},
    "one cycle": {"schedule": "one_cycle"},
    "warm-up": {"warmup": 1.5, "learning_rate_decay": 0.7},
    "warm-up and cosine": {"warmup": 0.5, "schedule": "cosine"},
    "clipping": {"gradient_clipping": 0.2, "weight_decay": 0.05},
    "the last, smaller batch": {"drop_last": False, "batch_size": 32, "optimizer": "adam"},
    "standardized inputs": {"inputs": "standardized"},
    "centered inputs": {"inputs": "centered", "augmentation": True},
    "crops and flips": {"augmentation": True, "augmentations": "flip_crop"},
    "an average of the weights": {"ema": 0.9},
    "layer norm": {"batch_norm": True, "norm": "layer"},
    "group norm": {"batch_norm": True, "norm": "group"},
    "average pools, no padding": {"pooling": "average", "padding": "none", "filter_size": 1},
    "strides": {"pooling": "stride"},
    "a global pool": {"global_pool": True, "pooling": "none"},
    "dropout after convolutions": {"dropout_conv": 0.3},
    "an MLP": {"architecture": "mlp"},
    "LeNet": {"architecture": "lenet", "filter_size": 3, "padding": "same"},
    "VGG": {"architecture": "vgg"},
    "the Small CNN Zoo's": {"architecture": "unterthiner", "filter_size": 1},
}
NORMED: dict[str, dict[str, object]] = {
    "ResNet-8": {"architecture": "resnet", "depth_conv": 7, "width_conv": 4},
    "norms after activations": {"norm_position": "after"},
    "norms before activations, no bias": {"norm_position": "before", "bias": False},
}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({name: small(name) for name in ("digits", "textures")})


def factor(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> object:
    """The schedule as torch has it: called once a step, or once an epoch."""
    rates = torch.optim.lr_scheduler
    match recipe.schedule:
        case "step":
            return rates.StepLR(optimizer, recipe.decay_epochs, recipe.learning_rate_decay)
        case "cosine":
            return rates.CosineAnnealingLR(optimizer, recipe.epochs)
        case "linear":
            return rates.LinearLR(optimizer, 1.0, 0.0, recipe.epochs * steps)
        case "one_cycle":
            total = recipe.epochs * steps
            rate = recipe.learning_rate
            return rates.OneCycleLR(optimizer, rate, total_steps=total, cycle_momentum=False)
    return rates.ExponentialLR(optimizer, recipe.learning_rate_decay)


def theirs(recipe: Recipe, trainer: StackTrainer, row: int, pool: Pool) -> np.ndarray:
    """Train by a plain loop beside our steps; the final values, or those of torch's average."""
    net = PlainNet(trainer.plan, recipe.activation).double()
    first = trainer.shape.join(trainer.weights, trainer.stats)[row]
    with torch.no_grad():
        for spec, tensor in zip(trainer.layout.tensors, net.tensors(), strict=True):
            tensor.copy_(first[spec.offset : spec.stop].view(spec.shape))
    optimizer = plain_optimizer(recipe, net)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema), use_buffers=True
    )
    average.n_averaged += 1  # begins with the initial weights
    steps = int(trainer.batches.steps_per_epoch[row])
    schedule = factor(recipe, optimizer, steps)
    seen = 0
    for step in range(recipe.epochs * steps):
        images, y = trainer.batches.at(trainer.step)
        count = min(recipe.batch_size, 144 - step % steps * recipe.batch_size)
        x = raw(recipe, pool, images, row)[:count]
        masks = [mask[row, :count] for mask in trainer.masks()]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x, masks), y[row, :count]).backward()
        if recipe.gradient_clipping:
            nn.utils.clip_grad_norm_(net.parameters(), recipe.gradient_clipping)
        usual = optimizer.param_groups[0]["lr"]
        if recipe.warmup:
            optimizer.param_groups[0]["lr"] *= min(1.0, (step + 1) / (recipe.warmup * steps))
        optimizer.step()
        optimizer.param_groups[0]["lr"] = usual
        average.update_parameters(net)
        trainer.train_step()
        seen += count
        if (step + 1) % steps == 0 or recipe.schedule in ("linear", "one_cycle"):
            schedule.step()
    assert seen == recipe.epochs * (144 if not recipe.drop_last else steps * recipe.batch_size)
    final = average.module if recipe.ema else net
    return torch.cat([tensor.detach().reshape(-1) for tensor in final.tensors()]).numpy()


def raw(recipe: Recipe, pool: Pool, images: object, row: int) -> torch.Tensor:
    """A batch, with the inputs changed as torchvision's Normalize does it."""
    x = replace(images, affine=None).values(torch.float64)[row]
    if recipe.inputs == "centered":
        return (x - 0.5) / 0.5
    if recipe.inputs == "standardized":
        train = torch.from_numpy(pool.sets[recipe.dataset].x_train).double() / 255
        return (x - train.mean()) / train.std(correction=0)
    return x


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_as_plain_pytorch_does(pool: Pool, name: str) -> None:
    """In float64, in a stack with another net: equal to 1e-9 after four epochs."""
    check(pool, replace(PLAIN, **RECIPES[name]), 1e-9)


@pytest.mark.parametrize("name", NORMED)
def test_with_batch_norm_too(pool: Pool, name: str) -> None:
    """Biases before a norm have no gradient but rounding, which SGD does not scale up."""
    recipe = replace(PLAIN, batch_norm=True, optimizer="sgd", **NORMED[name])
    check(pool, recipe, 1e-7)


def check(pool: Pool, recipe: Recipe, tolerance: float) -> None:
    other = replace(recipe, seed=8, learning_rate=0.02, momentum=0.5, optimizer="momentum")
    trainer = StackTrainer([recipe, other], pool, snapshots=2, dtype=torch.float64)
    row = [r.net for r in trainer.recipes].index(recipe.net)
    expected = theirs(recipe, trainer, row, pool)
    rows = torch.tensor([row])
    ours = trainer.shape.join(*trainer._shown(rows))[0].numpy()
    assert np.abs(ours - expected).max() < tolerance * np.abs(expected).max()


def test_nets_of_different_sets_may_have_last_batches_of_different_sizes(pool: Pool) -> None:
    """Each is the net that it is alone, bit for bit."""
    some = [
        replace(PLAIN, drop_last=False, train_images=n, seed=n, batch_size=16, augmentation=n < 170)
        for n in (160, 165, 170, 176)
    ]
    together = {s.net: s.vector for s in StackTrainer(some, pool, snapshots=2).run()}
    for recipe in some:
        *_, alone = StackTrainer([recipe], pool, snapshots=2).run()
        assert np.array_equal(together[recipe.net], alone.vector)


def test_a_run_with_all_of_it_continues_from_its_state(pool: Pool) -> None:
    recipes = [
        replace(PLAIN, drop_last=False, batch_size=32, ema=ema, schedule="one_cycle", warmup=1.0,
                gradient_clipping=0.1, inputs="standardized", augmentation=True,
                augmentations="flip_crop", seed=seed)
        for seed, ema in ((1, 0.9), (2, 0.0))
    ]  # fmt: skip
    unbroken = {s.net: s.vector for s in StackTrainer(recipes, pool, snapshots=2).run()}
    trainer = StackTrainer(recipes, pool, snapshots=2)
    for _ in range(7):
        trainer.train_step()
    again = StackTrainer(recipes, pool, snapshots=2)
    restore(again, state_of(trainer))
    assert {s.net: s.vector.tobytes() for s in again.run()} == {
        net: vector.tobytes() for net, vector in unbroken.items()
    }


def test_a_last_batch_of_one_image_is_dropped_where_batch_norm_needs_two(pool: Pool) -> None:
    alone = replace(BASE, drop_last=False, batch_size=143)
    assert StackTrainer([alone], pool, snapshots=2).batches.steps_per_epoch.tolist() == [1]
    without = StackTrainer([replace(alone, batch_norm=False)], pool, snapshots=2)
    assert without.batches.steps_per_epoch.tolist() == [2]


def test_crops_and_flips_are_those_of_torchvision() -> None:
    """Its RandomCrop(padding=4) is a window of the padded image; its flip is left to right."""
    x = torch.rand(500, 3, 8, 8)
    u = torch.rand(500, 3)
    padded = nn.functional.pad(x, [PADDING] * 4)
    both = crop_and_flip(x, u, crop=True, flip=True)
    for i in range(500):
        top, left = (int(v * 9) for v in u[i, :2])
        window = padded[i, :, top : top + 8, left : left + 8]
        assert torch.equal(both[i], window.flip(2) if u[i, 2] < 0.5 else window)
    assert torch.equal(crop_and_flip(x, u, crop=False, flip=False), x)


def test_depths_that_no_resnet_has_are_refused() -> None:
    with pytest.raises(UsageError, match="depth_conv: 8 is no depth of a resnet; use 7, 13, 19"):
        Plan.from_recipe(replace(PLAIN, architecture="resnet", depth_conv=8))
