"""The numbers behind evidence: right, and few whatever the size of a net."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.audit import audit
from weightspace.evidence.families import FAMILIES
from weightspace.evidence.traces import Traces


def of(net: nn.Module, folder) -> Traces:
    torch.save(net.state_dict(), folder / "net.pt")
    found = audit(folder / "net.pt", traced=True).traces
    assert found is not None
    return found


def test_they_are_kept_only_if_asked_for(tmp_path):
    torch.save(nn.Linear(9, 5).state_dict(), tmp_path / "net.pt")
    assert audit(tmp_path / "net.pt").traces is None


def test_the_sums_are_those_of_the_output_layer(tmp_path):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 10))
    found = of(net, tmp_path).sums
    assert (found.layer, found.classes, found.inputs) == ("2.weight", 10, 400)
    assert found.sums == pytest.approx(net[2].weight.detach().double().numpy().sum(0))
    assert set(found.expected) == set(FAMILIES)
    # torch's default is what these weights are; he_uniform is sqrt(6) as wide.
    assert found.sums.std() == pytest.approx(found.expected["torch_default"], rel=0.15)
    assert found.sums.std() < 0.5 * found.expected["he_uniform"]


def test_a_layer_that_was_moved_and_one_that_was_not(tmp_path):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 200), nn.Linear(200, 10))
    with torch.no_grad():
        net[2].weight += 0.3 * torch.randn(200, 1) * torch.randn(1, 100)
    states = {one.name: one for one in of(net, tmp_path).layers}
    assert states["0.weight"].trained is False
    assert states["0.weight"].best == "torch_default"
    assert states["2.weight"].trained is True
    assert states["2.weight"].p_value < 1e-4 < states["0.weight"].p_value
    flat = np.array(states["0.weight"].shares)
    inside = flat[8:-8]  # a uniform distribution ends at sqrt(3) standard deviations
    assert inside.max() < 1.2 * inside.min()
    assert flat[:6].max() == 0


def test_they_are_few_for_a_wide_net(tmp_path):
    net = nn.Sequential(nn.Linear(20, 6000), nn.ReLU(), nn.Linear(6000, 10))
    found = of(net, tmp_path)
    assert found.sums.inputs == 6000
    assert found.sums.sums.shape == (4096,)
    assert found.pixels is None


def test_pixels_are_images_beside_those_of_known_sets(tmp_path):
    found = of(nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 10)), tmp_path)
    assert found.pixels.moved.shape == (28, 28)
    assert all(still.shape == (28, 28) for still in found.pixels.constant.values())
    assert "mnist" in found.pixels.constant
    assert found.fits is None


def test_the_counter_gives_the_trainings_that_fit(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8))
    net[1].num_batches_tracked += 9380
    found = of(net, tmp_path).fits
    assert found.steps == 9380
    assert str(found.fits[0]) == "10 epochs of 60,000 images in batches of 64"
    assert len(found.fits) <= 10 <= found.count
