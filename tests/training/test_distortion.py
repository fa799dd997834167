"""Augmentation by the native step and by torch: the same images from the same streams."""

from __future__ import annotations

import pytest
import torch

from weightspace.networks.native import builds, library, load
from weightspace.training import distortion

NETS, BATCH = 3, 7


def images(side: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(side)
    pool = torch.randint(0, 256, (20, channels, side, side), dtype=torch.uint8, generator=generator)
    return pool, torch.randint(0, 20, (NETS, BATCH), generator=generator)


@pytest.mark.skipif(not builds(), reason="the native step was not built")
@pytest.mark.parametrize("build", builds(), ids=lambda b: b.name.split(".")[0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 2e-5)])
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (13, 1), (13, 3), (32, 3)])
def test_native_augmentation_is_torchs(
    monkeypatch: pytest.MonkeyPatch, build, dtype, tolerance, side, channels
) -> None:
    """In float64 the noise, drawn in float32, differs in its last digits; in float32, rounding."""
    pool, index = images(side, channels)
    seeds = torch.tensor([5, -1, 2**62])
    found = {}
    for name, chosen in (("native", load(build)), ("torch", None)):
        monkeypatch.setattr(distortion, "library", lambda chosen=chosen: chosen)
        found[name] = distortion.distorted(pool, index, seeds, 11, dtype)
    assert found["native"].shape == (NETS, BATCH, channels, side, side)
    assert (found["native"] - found["torch"]).abs().max() < tolerance
    assert found["native"].std() > 0.1


def test_a_net_is_distorted_alike_in_any_company() -> None:
    pool, index = images(16, 3)
    seeds = torch.tensor([1, 2, 3])
    together = distortion.distorted(pool, index, seeds, 4, torch.float32)
    for i in range(NETS):
        alone = distortion.distorted(pool, index[i : i + 1], seeds[i : i + 1], 4, torch.float32)
        assert torch.equal(alone[0], together[i])
    assert not torch.equal(together, distortion.distorted(pool, index, seeds, 5, torch.float32))


@pytest.mark.skipif(library() is None, reason="the native step was not built")
def test_native_noise_is_standard_normal() -> None:
    """Grey images of one half: what contrast and brightness leave is constant, but for noise."""
    pool = torch.full((1, 1, 64, 64), 128, dtype=torch.uint8)
    index = torch.zeros((1, 400), dtype=torch.int64)
    x = distortion.distorted(pool, index, torch.tensor([9]), 0, torch.float64)[
        0, :, 0, 24:40, 24:40
    ]
    flat = x.flatten(1)
    noise = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)
    inner = noise[((flat > 0.05) & (flat < 0.95)).all(1)]
    assert len(inner) > 200
    assert abs(float((inner**4).mean()) - 3) < 0.15
    assert abs(float((inner**3).mean())) < 0.05
