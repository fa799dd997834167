"""Plans of plain chains: rebuilt from a file, they compute what the net computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from support.commands import printed
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import UsageError
from weightspace.networks import Plan
from weightspace.networks.chains import chain, is_chain
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Norm,
    Pool,
    Residual,
)
from weightspace.networks.sequential import sequential, state_dict


class Functional(nn.Module):
    """Layers as attributes, whose pools are functions and leave no trace."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers, 1):
            kind = "conv" if isinstance(layer, nn.Conv2d) else "fc"
            setattr(self, f"{kind}{number}", layer)


def conv(*sizes: int, **more: int) -> list[nn.Module]:
    return [nn.Conv2d(*sizes, **more), nn.ReLU()]


def pooled(*sizes: int, **more: int) -> list[nn.Module]:
    return [*conv(*sizes, **more), nn.MaxPool2d(2)]


def normed(i: int, o: int) -> list[nn.Module]:
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "LeNet-5": (
        nn.Sequential(
            *pooled(1, 6, 5, padding=2), *pooled(6, 16, 5), nn.Flatten(), nn.Linear(400, 120),
            nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        ),
        (1, 28, 28),
    ),
    "torch's CIFAR tutorial": (
        nn.Sequential(
            *pooled(3, 6, 5), *pooled(6, 16, 5), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(),
            nn.Linear(120, 10),
        ),
        (3, 32, 32),
    ),
    "torch's MNIST example": (
        nn.Sequential(
            *conv(1, 32, 3), *pooled(32, 64, 3), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(),
            nn.Linear(128, 10),
        ),
        (1, 28, 28),
    ),
    "VGG with batch norm": (
        nn.Sequential(
            *normed(3, 8), nn.MaxPool2d(2), *normed(8, 16), *normed(16, 16), nn.MaxPool2d(2),
            *normed(16, 32), *normed(32, 32), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10),
        ),
        (3, 32, 32),
    ),
    "DQN": (
        nn.Sequential(
            *conv(4, 32, 8, stride=4), *conv(32, 64, 4, stride=2), *conv(64, 64, 3), nn.Flatten(),
            nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 6),
        ),
        (4, 84, 84),
    ),
    "MLP": (
        nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
        ),
        (1, 28, 28),
    ),
    "grouped": (
        nn.Sequential(
            *pooled(3, 8, 3, padding=1), *pooled(8, 12, 3, padding=1, groups=4), nn.Flatten(),
            nn.Linear(768, 10),
        ),
        (3, 32, 32),
    ),
}  # fmt: skip


def rebuilt(plan: Plan, path: Path) -> nn.Module:
    """The module of a plan with the values of a file."""
    module = sequential(plan, activation="relu")
    module.load_state_dict(state_dict(plan, read_checkpoint(path).vector, steps=1), strict=True)
    return module.eval()


@pytest.mark.parametrize("form", ["state dict", "module"])
@pytest.mark.parametrize("name", NETS)
def test_the_first_plan_computes_what_the_net_does(tmp_path, name, form):
    net, shape = NETS[name]
    torch.save(net.state_dict() if form == "state dict" else net, tmp_path / "net.pt")
    plan = inspect(tmp_path / "net.pt").plans.plans[0]
    assert plan.input == shape
    x = torch.rand(3, *shape)
    with torch.no_grad():
        expected = net.eval()(x)
        assert torch.allclose(rebuilt(plan, tmp_path / "net.pt")(x), expected, atol=1e-5)


def test_pools_that_are_functions_are_found_by_the_sizes(tmp_path):
    net = Functional(
        nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5), nn.Linear(400, 120), nn.Linear(120, 10)
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    plans = inspect(tmp_path / "net.pt").plans.plans
    assert plans[0].input == (1, 28, 28)
    assert str(plans[0]) == (
        "conv 5x5 to 6 pad 2 > activation > max pool 2 > conv 5x5 to 16 > activation > "
        "max pool 2 > flatten > dense 120 > activation > dense 10"
    )
    # 28 pixels with two zeros on each side, or 32 without: the file is the same.
    assert plans[1].input == (1, 32, 32)
    assert str(plans[1]) == str(plans[0]).replace(" pad 2", "")


@pytest.mark.parametrize("name", NETS)
def test_what_inspect_shows_is_an_architecture(capsys, tmp_path, name):
    torch.save(NETS[name][0].state_dict(), tmp_path / "net.pt")
    plan = inspect(tmp_path / "net.pt").plans.plans[0]
    lines = [line for line in printed(capsys, "inspect", tmp_path / "net.pt").splitlines() if line]
    at = next(number for number, line in enumerate(lines) if line.startswith("plan"))
    shown = lines[at].removeprefix("plan").strip()
    assert is_chain(shown)
    assert chain(shown) == plan.layers
    assert lines[at + 1].split()[-1] == "x".join(map(str, plan.input))


def test_a_whole_module_says_stride_padding_and_pools(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 8, 5, padding=1),
        nn.ReLU(), nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(8 * 144, 5),
    )  # fmt: skip
    torch.save(net, tmp_path / "net.pt")
    plans = inspect(tmp_path / "net.pt").plans.plans
    x = torch.rand(2, *plans[0].input)
    assert Conv(8, 5, 1, 1) in plans[0].layers
    assert Pool(3, 2, kind="average") in plans[0].layers
    with torch.no_grad():
        assert torch.allclose(rebuilt(plans[0], tmp_path / "net.pt")(x), net(x), atol=1e-5)


def test_after_a_global_pool_the_input_is_called_a_guess(tmp_path):
    layers = [*normed(3, 8), *normed(8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(16, 10))
    torch.save(net, tmp_path / "net.pt")
    found = inspect(tmp_path / "net.pt").plans
    assert AdaptivePool(1) in found.plans[0].layers
    assert found.reason == "pooling to 1x1 pixels hides the size of the input: it is a guess"


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (nn.LSTM(4, 8), "recurrent, as weight_ih_l0 shows"),
        (nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv1d(4, 4, 3)), "1-D convolution"),
        (nn.Sequential(nn.ConvTranspose2d(4, 2, 3)), "transposed|one of its"),
        (nn.Sequential(nn.Conv2d(1, 4, (3, 5)), nn.Conv2d(4, 4, 3)), "a kernel is not square"),
        (nn.Sequential(nn.Linear(9, 4), nn.Linear(7, 2)), "do not follow each other in a chain"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 700**2, 2)), "no usual"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(24, 2)), "are no square"),
    ],
)
def test_what_is_no_plain_chain_has_no_plan(tmp_path, net, reason):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = inspect(tmp_path / "net.pt").plans
    assert not found.plans or "transposed" in reason  # [in, out] looks like a kernel
    if not found.plans:
        assert any(one in found.reason for one in reason.split("|"))


def test_a_norm_of_which_nothing_shows_the_side_is_taken_to_follow_its_layer(tmp_path):
    net = nn.Sequential()
    for number in (1, 2):
        net.add_module(f"fc{number}", nn.Linear(8, 8))
        net.add_module(f"ln{number}", nn.LayerNorm(8))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    plans = inspect(tmp_path / "net.pt").plans
    assert plans.reason.endswith(
        "; nothing shows the side of a norm, which is taken to follow its layer"
    )
    first = plans.plans[0]
    assert [layer for layer in first.layers if not isinstance(layer, Activation)] == [
        Dense(8, True), Norm("layer"), Dense(8, True), Norm("layer"),
    ]  # fmt: skip


def test_a_residual_net_has_no_plan(tmp_path):
    """All its convolutions follow each other by their widths; a name shows the shortcuts."""
    net = Functional(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 10))
    net.shortcut = nn.Conv2d(8, 8, 1)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = inspect(tmp_path / "net.pt")
    assert found.architecture.kind == "residual CNN"
    assert not found.plans.plans
    assert found.plans.reason == "residual CNN, as shortcut.weight shows"


def test_a_plan_goes_through_json(tmp_path):
    net, _ = NETS["VGG with batch norm"]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = inspect(tmp_path / "net.pt")
    told = json.loads(json.dumps(found.to_dict()["plans"]))
    assert [Plan.from_dict(plan) for plan in told["plans"]] == list(found.plans.plans)
    with pytest.raises(UsageError, match=r"plan: not a plan"):
        Plan.from_dict({"input": [3, 8, 8], "layers": [{"layer": "pool", "sides": 2}]})


def test_every_kind_of_layer_goes_through_json():
    block = Residual(
        (Conv(4, 3, padding=1, bias=False), Norm("group", 2), Activation()), (Conv(4, 1),)
    )
    layers = (
        block, Residual((Norm(),)), Dropout(True), Pool(2), AdaptivePool(2), Flatten(),
        Dense(8), Norm("layer"), Dropout(), Dense(3, bias=False),
    )  # fmt: skip
    plan = Plan((2, 8, 8), layers)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert str(plan) == (
        "(conv 3x3 to 4 pad 1 no bias > group norm 2 > activation) + (conv 1x1 to 4) > "
        "(batch norm) + () > channel dropout > max pool 2 > average pool to 2x2 > flatten > "
        "dense 8 > layer norm > dropout > dense 3 no bias"
    )
