"""Which of several state dicts is the net, and what in it is no layer of its own."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import DataError


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def saved(tmp_path, content):
    torch.save(content, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def is_net(checkpoint, seed: int) -> bool:
    wanted = torch.cat([value.reshape(-1) for value in net(seed).state_dict().values()])
    return bool(np.array_equal(checkpoint.vector, wanted.numpy()))


FIRST, SECOND = 1, 2  # seeds: the net that is meant, and another


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"net": FIRST}, "net"),
        ({"params": FIRST}, "params"),
        ({"model_state": FIRST}, "model_state"),
        ({"ema": SECOND, "student": FIRST}, "student"),
        ({"teacher": SECOND, "anything": FIRST}, "anything"),
        ({"ema_state_dict": SECOND, "state_dict": FIRST}, "state_dict"),
        ({"model_ema": SECOND, "model": FIRST}, "model"),
        ({"policy_old": SECOND, "policy": FIRST}, "policy"),
        ({"target_net": SECOND, "q_net": FIRST}, "q_net"),
        ({"ema": FIRST}, "ema"),
        ({"a": {"b": {"weights": FIRST}}}, "a/b/weights"),
        ({"model": {"ema": SECOND, "net": FIRST}}, "model/net"),
        ([FIRST, 3], "0"),
    ],
)
def test_the_net_is_chosen_by_a_stated_rule(tmp_path, content, key):
    def filled(node):
        if isinstance(node, dict):
            return {name: filled(value) for name, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        return net(node).state_dict() if node in (FIRST, SECOND) else node

    checkpoint = read_checkpoint(saved(tmp_path, filled(content)))
    assert is_net(checkpoint, FIRST)
    assert checkpoint.key == key


def test_a_key_chooses_another_and_the_others_are_listed(tmp_path):
    path = saved(
        tmp_path,
        {"generator": net(1).state_dict(), "discriminator": net(2).state_dict(), "epoch": 3},
    )
    assert is_net(read_checkpoint(path, key="discriminator"), 2)
    first = read_checkpoint(path)
    assert {first.key, *first.others} == {"generator", "discriminator"}
    assert inspect(path, key="discriminator").others == ("generator",)
    with pytest.raises(DataError, match=r"has no state dict under 'ema'; known are generator, dis"):
        read_checkpoint(path, key="ema")


def test_an_optimizer_is_no_net(tmp_path):
    whole = net()
    optimizer = torch.optim.Adam(whole.parameters())
    whole(torch.ones(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    with pytest.raises(DataError, match="holds the state of an optimizer, not a net"):
        read_checkpoint(saved(tmp_path, optimizer.state_dict()))


@pytest.mark.parametrize(
    ("prefix", "average"),
    [("model.", "model_ema."), ("", "ema."), ("net.", "ema_model.module."), ("", "swa_model."),
     ("encoder_q.", "encoder_k."), ("student.", "teacher.")],
)  # fmt: skip
@pytest.mark.parametrize("dots", [True, False])
def test_a_moving_average_in_the_same_dict_is_no_layer(tmp_path, prefix, average, dots):
    own = {f"{prefix}{name}": value for name, value in net(1).state_dict().items()}
    other = {
        f"{average}{name if dots else name.replace('.', '')}": value
        for name, value in net(2).state_dict().items()
    }
    checkpoint = read_checkpoint(saved(tmp_path, own | other | {"model_ema.decay": torch.ones(())}))
    assert is_net(checkpoint, 1)
    reasons = [note.reason for note in checkpoint.skipped if note.name in other]
    assert len(reasons) == len(other)
    assert all(reason.startswith("a moving average of ") for reason in reasons)


@pytest.mark.parametrize(
    ("net_", "copy_", "reason"),
    [
        ("pi/", "oldpi/", "an older copy of the tensors under pi"),
        ("model/pi/", "model/oldpi/", "an older copy of the tensors under model/pi"),
        ("policy.", "policy_old.", "an older copy of the tensors under policy"),
        ("policy.", "old_policy.", "an older copy of the tensors under policy"),
        ("deepq/q_func/", "deepq/target_q_func/",
         "a moving average or an older copy of the tensors under deepq/q_func"),
        ("critic.", "critic_target.",
         "a moving average or an older copy of the tensors under critic"),
    ],
)  # fmt: skip
def test_the_copies_of_reinforcement_learning_are_no_layers(tmp_path, net_, copy_, reason):
    parts = {"fc0/w:0": (8, 16), "fc0/b:0": (16,), "final/w:0": (16, 2), "final/b:0": (2,)}
    state = {
        f"{prefix}{part}": torch.ones(shape)
        for prefix in (copy_, net_)
        for part, shape in parts.items()
    }
    checkpoint = read_checkpoint(saved(tmp_path, state))
    assert [note.name for note in checkpoint.used] == [f"{net_}{part}" for part in parts]
    assert {note.reason for note in checkpoint.skipped} == {reason}


def test_the_targets_of_two_critics_are_told_apart(tmp_path):
    names = ("q1", "q2", "target_q1", "target_q2")
    state = {f"{name}.{k}.weight": torch.ones(4, 4) for name in names for k in (0, 2)}
    skipped = read_checkpoint(saved(tmp_path, state)).skipped
    assert {note.name[:9]: note.reason.split()[-1] for note in skipped} == {
        "target_q1": "q1", "target_q2": "q2",
    }  # fmt: skip


def test_a_net_that_is_only_called_old_is_read(tmp_path):
    state = {f"policy_old.{k}.weight": torch.ones(4, 4) for k in (0, 2)}
    assert len(read_checkpoint(saved(tmp_path, state)).used) == 2


def test_a_layer_that_is_called_a_target_stays(tmp_path):
    state = {"target.weight": torch.ones(3, 4), "first.weight": torch.ones(4, 5)}
    assert len(read_checkpoint(saved(tmp_path, state)).layout.tensors) == 2


def reparametrised(how: str) -> nn.Module:
    torch.manual_seed(0)
    layers = {
        "conv": nn.Conv2d(3, 6, 3),
        "square": nn.Conv2d(8, 8, 3),
        "transposed": nn.ConvTranspose2d(5, 7, 3),
        "same transposed": nn.ConvTranspose2d(8, 8, 3),
        "dense": nn.Linear(7, 5),
        "one": nn.Linear(7, 1),
    }
    made = nn.ModuleDict({name.replace(" ", "_"): layer for name, layer in layers.items()})
    for layer in made.values():
        match how:
            case "weight norm":
                nn.utils.weight_norm(layer)
            case "weight norm of all":
                nn.utils.weight_norm(layer, dim=None)
            case "weight norm, new":
                parametrizations.weight_norm(layer)
            case "spectral norm":
                nn.utils.spectral_norm(layer)
            case "spectral norm, new":
                parametrizations.spectral_norm(layer)
            case "pruned":
                prune.random_unstructured(layer, "weight", 0.5)
                prune.random_unstructured(layer, "bias", 0.5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for layer in made.values():
            sides = (2, layer.weight.shape[0 if "Transpose" in type(layer).__name__ else 1], 9, 9)
            layer(torch.randn(sides[:2] if isinstance(layer, nn.Linear) else sides))
    return made.eval()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "how",
    ["weight norm", "weight norm of all", "weight norm, new", "spectral norm",
     "spectral norm, new", "pruned"],
)  # fmt: skip
def test_kernels_are_computed_from_their_factors(tmp_path, how):
    whole = reparametrised(how)
    checkpoint = read_checkpoint(saved(tmp_path, whole.state_dict()))
    found = {spec.name: spec for spec in checkpoint.layout.tensors}
    for name, layer in whole.items():
        if "spectral" in how:
            layer(torch.zeros(1, layer.in_features) if isinstance(layer, nn.Linear)
                  else torch.zeros(1, layer.in_channels, 9, 9))  # fmt: skip
        wanted = layer.weight.detach().numpy()
        spec = found[f"{name}.weight"]
        assert spec.shape == wanted.shape
        values = checkpoint.vector[spec.offset : spec.stop].reshape(wanted.shape)
        np.testing.assert_allclose(values, wanted, rtol=2e-6, atol=1e-9)
    what = "a pruning mask" if how == "pruned" else " ".join(how.split(",")[0].split()[:2])
    reasons = {note.reason for note in checkpoint.skipped}
    assert f"a factor of conv.weight, which is computed ({what})" in reasons


def test_a_copy_of_a_net_is_not_read_as_its_average(tmp_path):
    content = {"net": net(1).state_dict(), "best": copy.deepcopy(net(2).state_dict())}
    checkpoint = read_checkpoint(saved(tmp_path, content))
    assert is_net(checkpoint, 1)
    assert checkpoint.others == ("best",)
