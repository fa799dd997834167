"""Nets that were altered after training: what is still true of them is not contradicted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from support import seeded
from weightspace.audit import audit
from weightspace.evidence import compare

SEED, STEPS = 42, 200
TRUE = {"optimizer": "sgd", "momentum": 0, "learning_rate": 0.05, "weight_decay": 0.002,
        "schedule": "constant", "steps": STEPS, "checkpoint": "last", "loss": "cross_entropy",
        "output_activation": "none", "gradient_clipping_by": "none",
        "initialization": "torch_default", "seed": SEED}  # fmt: skip
State = dict[str, Tensor]


def net_of(seed: int = SEED, optimizer: str = "sgd") -> State:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
                        nn.Linear(64, 10))  # fmt: skip
    return seeded.trained(net, seeded.OPTIMIZERS[optimizer](net.parameters()), STEPS).state_dict()


@pytest.fixture(scope="module")
def base() -> State:
    return net_of()


def rescaled(state: State) -> State:
    """Hidden units times c, the next layer by c: the function stays."""
    draw = torch.Generator().manual_seed(0)
    found = dict(state)
    for layer, after in (("1", "3"), ("3", "5")):
        factors = torch.exp(1.4 * torch.rand(len(state[f"{layer}.bias"]), generator=draw) - 0.7)
        found[f"{layer}.weight"] = found[f"{layer}.weight"] * factors[:, None]
        found[f"{layer}.bias"] = found[f"{layer}.bias"] * factors
        found[f"{after}.weight"] = found[f"{after}.weight"] / factors
    return found


def noisy(state: State) -> State:
    draw = torch.Generator().manual_seed(0)
    return {k: v + 0.05 * v.std() * torch.randn(v.shape, generator=draw) for k, v in state.items()}


def pruned(state: State) -> State:
    return {
        k: torch.where(v.abs() > v.abs().median(), v, 0) if v.dim() > 1 else v
        for k, v in state.items()
    }


def to_eight_bits(state: State) -> State:
    def change(value: Tensor) -> Tensor:
        scale = value.abs().max() / 127
        return (value / scale).round() * scale

    return {k: change(v) if v.dim() > 1 else v for k, v in state.items()}


def mean_with_another(state: State) -> State:
    other = net_of(SEED + 10_000)
    return {name: (value + other[name]) / 2 for name, value in state.items()}


def contradicted(state: State, folder: Path, claims: dict[str, object]) -> set[str]:
    torch.save(state, folder / "net.pt")
    return {one.claim.name for one in audit(folder / "net.pt", claims, data="digits").contradicted}


@pytest.mark.parametrize("change", [dict, rescaled, noisy, pruned, to_eight_bits])
def test_true_claims_are_not_contradicted(
    change: Callable[[State], State], base: State, tmp_path: Path
) -> None:
    assert contradicted(change(base), tmp_path, TRUE) == set()


def test_the_mean_with_a_net_of_another_seed_does_not_look_adaptive(
    base: State, tmp_path: Path
) -> None:
    """It began with weights that are smaller than torch's, so that claim is no longer true."""
    claims = {key: value for key, value in TRUE.items() if key not in ("initialization", "seed")}
    assert contradicted(mean_with_another(base), tmp_path, claims) == set()


def test_a_false_optimizer_is_still_contradicted(base: State, tmp_path: Path) -> None:
    assert contradicted(base, tmp_path, TRUE | {"optimizer": "adam"}) >= {"optimizer"}
    assert contradicted(net_of(optimizer="adam"), tmp_path, TRUE) >= {"optimizer"}


def test_quantised_kernels_are_not_said_to_be_float32(base: State, tmp_path: Path) -> None:
    claims = {"precision": "float32"}
    for state, verdict in ((base, "consistent"), (to_eight_bits(base), "undecidable")):
        torch.save(state, tmp_path / "net.pt")
        (found,) = audit(tmp_path / "net.pt", claims).verdicts
        assert found.verdict == verdict
    assert any("quantised to 8 bits" in one.says for one in found.about)


@pytest.fixture(scope="module")
def averages() -> dict[str, State]:
    """A net with batch norm, the mean of its last epochs, and its moving averages."""
    torch.manual_seed(SEED)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                        nn.Linear(288, 32), nn.ReLU(), nn.Linear(32, 10))  # fmt: skip
    moving = get_ema_multi_avg_fn(0.9)
    found = {"mean": AveragedModel(net), "moving": AveragedModel(net, multi_avg_fn=moving),
             "with buffers": AveragedModel(net, multi_avg_fn=moving, use_buffers=True)}  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), 0.05, weight_decay=0.02)
    x, y = seeded.digits()
    for _ in range(4):
        for chosen in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
            found["moving"].update_parameters(net)
            found["with buffers"].update_parameters(net)
        found["mean"].update_parameters(net)
    update_bn(x.split(32), found["mean"])
    whole = {name: dict(one.state_dict()) for name, one in found.items()}
    alone = {f"{name}, alone": dict(one.module.state_dict()) for name, one in found.items()}
    return whole | alone | {"base": net.state_dict()}


@pytest.mark.parametrize("alone", ["", ", alone"])
@pytest.mark.parametrize("name", ["mean", "moving", "with buffers"])
def test_counters_of_averages_contradict_no_length(
    name: str, alone: str, averages: dict[str, State], tmp_path: Path
) -> None:
    length = {"steps": 164, "epochs": 4, "batch_size": 32, "train_images": 1297,
              "checkpoint": "last"}  # fmt: skip
    decay = {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.02, "momentum": 0,
             "schedule": "constant"}  # fmt: skip
    claims = length | decay | ({"ema": 0.9} if alone else {})
    assert contradicted(averages[name + alone], tmp_path, claims) == set()
    shorter = length | {"steps": 100}
    assert contradicted(averages["base"], tmp_path, shorter) != set()


@pytest.mark.parametrize("name", ["mean", "with buffers"])
def test_counters_of_averages_do_not_say_which_net_is_the_later_one(
    name: str, averages: dict[str, State], tmp_path: Path
) -> None:
    for file in (name, "base"):
        torch.save(averages[file], tmp_path / f"{file}.pt")
    found = compare(tmp_path / "base.pt", tmp_path / f"{name}.pt")
    assert found.related
    assert found.direction == ""
