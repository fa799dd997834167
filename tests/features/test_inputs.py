"""The inputs that a first batch norm shows are those that went through it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.checkpoints import read_checkpoint
from weightspace.features import LAYERS_NAMES, layers
from weightspace.features.inputs import INPUTS_NAMES, inputs
from weightspace.images import load, resize


def seen(name, folder, kernel=3, norm=True):
    """The numbers of an untrained net whose batch norm saw these images; and their patches."""
    torch.manual_seed(0)
    images = torch.from_numpy(resize(load(name).x_train[:600], 12, 1)).permute(0, 3, 1, 2) / 255
    net = nn.Sequential(
        nn.Conv2d(1, 12, kernel),
        *([nn.BatchNorm2d(12, momentum=None)] if norm else []),
        *(nn.Flatten(), nn.Linear(12 * (13 - kernel) ** 2, 10)),
    )
    with torch.no_grad():
        net(images)
    torch.save(net.state_dict(), folder / "net.pt")
    found = read_checkpoint(folder / "net.pt")
    patches = nn.functional.unfold(images, kernel)  # pixels as often as a kernel meets them
    return inputs(found.vector, found.layout), patches.numpy(), found


@pytest.mark.parametrize("name", ["digits", "textures", "glyphs"])
def test_mean_and_variance_are_those_of_the_images(name, tmp_path):
    numbers, pixels, _ = seen(name, tmp_path)
    found = dict(zip(INPUTS_NAMES, numbers, strict=True))
    assert np.sinh(found["mean"]) / 10 == pytest.approx(pixels.mean(), rel=0.15)
    assert np.sinh(found["median_mean"]) / 10 == pytest.approx(pixels.mean(), rel=0.25)
    assert np.exp(found["log_variance"]) == pytest.approx(pixels.var(), rel=0.5)
    assert found["mean_misfit"] < -0.5


def test_without_a_first_batch_norm_nothing_is_said(tmp_path):
    numbers, _, found = seen("digits", tmp_path, norm=False)
    assert numbers is None
    row = layers(found.vector, found.layout)
    for name, value in zip(LAYERS_NAMES, row, strict=True):
        if name.startswith("inputs_"):
            assert np.isnan(value)
