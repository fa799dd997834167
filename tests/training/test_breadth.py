"""Every hyper-parameter of a space trains and is in the net; every plan of the grid runs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.nets import BASE, small
from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.networks import Plan
from weightspace.sampling import sample
from weightspace.space import Choice, Recipe, Space, preset
from weightspace.space.recipe import FIELDS
from weightspace.training import Pool, Snapshot, StackTrainer
from weightspace.training.names import TABLES
from weightspace.zoo import check

PLAIN = replace(
    BASE, epochs=2, optimizer="momentum", activation="elu", initialization="glorot_normal",
    learning_rate=0.005, dropout=0.0, seed=11,
)  # fmt: skip
NAMED = ("optimizer", "activation", "initialization")
CHANGES: dict[str, list[object]] = {
    field: [name for name in TABLES[field] if name != getattr(PLAIN, field)] for field in NAMED
} | {
    "learning_rate": [0.001],
    "learning_rate_decay": [0.5],
    "weight_decay": [0.05],
    "label_smoothing": [0.2],
    "label_noise": [0.5],
    "dropout": [0.5],
    "augmentation": [True],
    "train_images": [80],
    "train_fraction": [0.5],
    "seed": [12],
    "dataset": ["textures"],
    "momentum": [0.5],
    "schedule": ["cosine", "linear", "one_cycle"],
    "warmup": [1.0],
    "gradient_clipping": [0.1],
    "ema": [0.5],
    "inputs": ["centered", "standardized"],
}
"""What changes values and not the plan; the rest changes the number of values, see below."""


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of({name: small(name) for name in ("digits", "textures")})


def trained(recipe: Recipe, pool: Pool) -> list[Snapshot]:
    """The net before the first step and after each of two epochs."""
    return list(StackTrainer([recipe], pool, snapshots=(0, 1, 2), evaluation_images=50).run())


@pytest.fixture(scope="module")
def plain(pool: Pool) -> list[Snapshot]:
    return trained(PLAIN, pool)


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in CHANGES.items() for value in values]
)
def test_what_a_recipe_says_is_in_the_net(
    pool: Pool, plain: list[Snapshot], field: str, value: object
) -> None:
    changed = trained(replace(PLAIN, **{field: value}), pool)
    for snapshot in changed:
        assert np.isfinite(snapshot.vector).all()
        assert np.isfinite([v for k, v in snapshot.metrics.items() if "batch" not in k]).all()
    assert np.abs(changed[-1].vector - changed[0].vector).max() > 1e-3
    apart = [np.abs(a.vector - b.vector).max() for a, b in zip(changed, plain, strict=True)]
    assert apart[-1] > 1e-3
    # Only the seed and the initialization are there from the beginning.
    assert (apart[0] > 0) == (field in ("seed", "initialization"))
    later = field == "learning_rate_decay" or value == "cosine"  # change after whole epochs
    assert (apart[1] > 0) == (not later)


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_sizes_colours_and_norms(size: int, channels: int, batch_norm: bool) -> None:
    raw = load("textures")
    few = [resize(x, size, channels) for x in (raw.x_train[:200], raw.x_test[:40])]
    images = ImageSet("textures", few[0], raw.y_train[:200], few[1], raw.y_test[:40], raw.classes)
    recipe = replace(
        PLAIN, dataset="textures", input_size=size, channels=channels, batch_norm=batch_norm,
        augmentation=True, blocks=3, train_images=0, epochs=12,
    )  # fmt: skip
    trainer = StackTrainer([recipe], Pool.of({"textures": images}), snapshots=(1, 11, 12))
    first, _, last = trainer.run()
    assert len(last.vector) == Plan.from_recipe(recipe).layout().size
    assert np.isfinite(last.vector).all()
    assert last.metrics["batch_loss"] < first.metrics["batch_loss"]  # of an epoch each


def test_all_of_it_in_one_space(tmp_path: Path) -> None:
    """As ordinary values: lists and ranges, mixed in stacks, written to a zoo and read back."""
    fixed = {
        "input_size",
        "channels",
        "blocks",
        "outputs",
        "epochs",
        "seed",
        "global_pool",
        "features",
        "pool_size",
        "decay_epochs",
    }
    plain = {name: list(values) for name, values in CHANGES.items() if name != "seed"}
    plain |= {field: list(TABLES[field]) for field in NAMED}
    plain |= {
        "dataset": ["digits", "textures"],
        "augmentation": [False, True],
        "batch_norm": [False, True],
        "stopping": ["epochs", "convergence"],
        "batch_size": [8, 16],
        "filter_size": [1, 3],
        "depth_conv": [2, 3],
        "depth_fc": [0, 1],
        "width_conv": [2, 3],
        "width_fc": [6, 8],
        "train_images": [150, 200],
        "learning_rate_decay": {"low": 0.5, "high": 1.0},
        "architecture": ["nws", "mlp", "lenet", "vgg", "unterthiner"],
        "norm": ["batch", "layer", "group"],
        "norm_position": ["architecture", "before", "after"],
        "bias": [False, True],
        "padding": ["architecture", "same"],
        "pooling": ["architecture", "average", "stride", "none"],
        "dropout_conv": [0.0, 0.2],
        "momentum": {"low": 0.5, "high": 0.9},
        "beta1": {"low": 0.8, "high": 0.95},
        "beta2": {"low": 0.98, "high": 0.999},
        "alpha": [0.9, 0.99],
        "epsilon": [1e-8, 1e-6],
        "schedule": ["exponential", "step", "cosine", "linear", "one_cycle"],
        "warmup": [0.0, 0.5],
        "gradient_clipping": [0.0, 0.5],
        "drop_last": [False, True],
        "ema": [0.0, 0.9],
        "inputs": ["unit", "centered", "standardized"],
        "augmentations": ["nws", "flip_crop", "flip", "crop"],
    }
    for name in ("learning_rate", "weight_decay", "label_smoothing", "label_noise", "dropout"):
        plain[name] = {"low": 0.001, "high": 0.1}
    plain["train_fraction"] = {"low": 0.6, "high": 1.0}
    assert set(plain) | fixed == set(FIELDS)
    shape = {
        "blocks": 2,
        "global_pool": False,
        "input_size": 16,
        "channels": 1,
        "outputs": 10,
        "epochs": 2,
    }
    space = Space.from_dict({"name": "all", "recipe": plain | shape})
    zoo = sample(space, nets=40, out=tmp_path / "zoo", snapshots=3, workers=1)
    assert check(zoo.path, full=True) == []
    assert set(zoo.space.properties) == set(plain)
    for name in plain:
        assert zoo.nets[name].n_unique() >= 2, name
    assert zoo.snapshots.height >= 40 * 3 - 2 * zoo.nets["diverged"].sum()


def test_all_plans_of_the_grid_take_a_step() -> None:
    distributions = preset("nws-main").distributions
    names = ("filter_size", "depth_conv", "depth_fc", "width_conv", "width_fc")
    levels = [d.values for name in names if isinstance(d := distributions[name], Choice)]
    (drawn,) = preset("nws-main").with_constants(dataset="noise").draw(1)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), np.arange(40) % 10
    pool = Pool.of({"noise": ImageSet("noise", x, y, x, y, tuple("0123456789"))})
    plans = list(itertools.product(*levels))
    assert len(plans) == 243
    for values in plans:
        shape = dict(zip(names, values, strict=True))
        recipe = replace(drawn, **shape, batch_size=2, augmentation=False)
        trainer = StackTrainer([recipe], pool, snapshots=2)
        trainer.train_step()
        vector = trainer.shape.join(trainer.weights, trainer.stats)
        assert vector.shape == (1, Plan.from_recipe(recipe).layout().size)
        assert vector.isfinite().all(), shape
        assert trainer.plan.outputs == 20


@pytest.mark.parametrize("name", ["nws-main", "nws-fixed"])
def test_the_presets_of_the_published_data_set(name: str) -> None:
    """20 outputs for 10 classes, 32x32 colour, and nets that stop as the published ones did."""
    for recipe in preset(name).draw(60):
        assert (recipe.outputs, recipe.input_size, recipe.channels) == (20, 32, 3)
        assert (recipe.stopping, recipe.epochs) == ("convergence", 1000)
        assert (recipe.batch_norm, recipe.dropout, recipe.weight_decay) == (True, 0.5, 0.0)
        assert recipe.learning_rate_decay == 1.0
        assert 0.0002 <= recipe.learning_rate <= 0.005
