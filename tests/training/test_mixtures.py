"""Any mixture of recipes trained in one stack gives the nets that each recipe gives alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.initializations import INITIALIZATIONS
from weightspace.networks.native import library
from weightspace.space import Recipe
from weightspace.training import OPTIMIZERS, Pool, StackTrainer

SIDE = 8


def small(name: str) -> ImageSet:
    raw = load(name)
    x_train, x_test = resize(raw.x_train[:200], SIDE, 3), resize(raw.x_test[:40], SIDE, 3)
    return ImageSet(name, x_train, raw.y_train[:200], x_test, raw.y_test[:40], raw.classes)


POOL = Pool.of({name: small(name) for name in ("digits", "textures")})


@st.composite
def mixtures(draw: st.DrawFn) -> list[Recipe]:
    """Two to five recipes of one plan and batch size, which differ in anything else."""
    shape = {
        "batch_size": draw(st.sampled_from([4, 10, 16])),
        "filter_size": draw(st.sampled_from([1, 3, 5])),
        "width_conv": draw(st.integers(1, 5)),
        "depth_conv": draw(st.integers(2, 3)),
        "depth_fc": draw(st.integers(0, 2)),
        "batch_norm": draw(st.booleans()),
    }
    one = st.builds(
        Recipe,
        **{name: st.just(value) for name, value in shape.items()},
        dataset=st.sampled_from(["digits", "textures"]),
        seed=st.integers(0, 2**63 - 1),
        learning_rate=st.floats(1e-4, 1e-2),
        augmentation=st.booleans(),
        optimizer=st.sampled_from(sorted(OPTIMIZERS)),
        activation=st.sampled_from(sorted(ACTIVATIONS)),
        initialization=st.sampled_from(sorted(INITIALIZATIONS)),
        dropout=st.sampled_from([0.0, 0.25, 0.5]),
        weight_decay=st.sampled_from([0.0, 0.01]),
        label_smoothing=st.sampled_from([0.0, 0.1]),
        label_noise=st.sampled_from([0.0, 0.3]),
        learning_rate_decay=st.sampled_from([1.0, 0.5]),
        train_images=st.sampled_from([60, 80]),
        width_fc=st.just(8),
        blocks=st.just(2),
        input_size=st.just(SIDE),
        channels=st.just(3),
        outputs=st.just(10),
        epochs=st.integers(1, 2),
    )
    return draw(st.lists(one, min_size=2, max_size=5, unique_by=lambda r: r.net))


def trained(recipes: list[Recipe], dtype: torch.dtype) -> dict[tuple[str, int], np.ndarray]:
    """Every snapshot of every net, as stored."""
    trainer = StackTrainer(recipes, POOL, snapshots=3, dtype=dtype, evaluation_images=20)
    return {(s.net, s.number): s.vector for s in trainer.run()}


@pytest.mark.skipif(library() is None, reason="the native step was not built")
@settings(deadline=None, max_examples=25)
@given(mixtures())
def test_together_is_alone_bit_for_bit(recipes: list[Recipe]) -> None:
    """On the CPU the native step takes net after net, and so nothing of a neighbour reaches one."""
    together = trained(recipes, torch.float32)
    for recipe in recipes:
        for place, vector in trained([recipe], torch.float32).items():
            np.testing.assert_array_equal(together[place], vector)
