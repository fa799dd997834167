"""What lies beside the tensors, as typed fields with where they stand in the file."""

from __future__ import annotations

import argparse
import hashlib
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from support.commands import document, printed, refused
from weightspace.checkpoints import Inspection, inspect, read_checkpoint
from weightspace.checkpoints.dtypes import DTYPES
from weightspace.errors import DataError

OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD, momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
    "SGD, Nesterov": (
        "SGD with Nesterov momentum", {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    ),
    "Adam": ("Adam", {"lr": 0.001, "betas": (0.8, 0.99)}),
    "AdamW": ("AdamW", {"lr": 0.001, "weight_decay": 0.02}),
    "NAdam": ("NAdam", {"lr": 0.001}),
    "RAdam": ("a relative of Adam", {"lr": 0.001}),
    "Adamax": ("Adamax", {"lr": 0.001}),
    "RMSprop": ("RMSprop", {"lr": 0.001, "momentum": 0.9}),
    "Adagrad": ("Adagrad", {"lr": 0.001}),
    "Adadelta": ("Adadelta", {"lr": 0.001}),
    "Rprop": ("Rprop", {"lr": 0.001}),
}  # fmt: skip


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def trained(name: str, settings: dict, steps: int = 3):
    whole = net()
    optimizer = getattr(torch.optim, name.partition(",")[0])(whole.parameters(), **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        whole(torch.randn(8, 1, 4, 4)).square().sum().backward()
        optimizer.step()
    return whole, optimizer


def saved(tmp_path, content, **form) -> Inspection:
    torch.save(content, tmp_path / "net.pt", **form)
    return inspect(tmp_path / "net.pt")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_is_told_by_its_state(tmp_path, name, zipped):
    kind, settings = OPTIMIZERS[name]
    whole, optimizer = trained(name, settings)
    content = {"model": whole.state_dict(), "opt": {"first": optimizer.state_dict()}}
    (state,) = saved(tmp_path, content, _use_new_zipfile_serialization=zipped).optimizers
    if name == "RAdam":  # its state is that of Adam, and nothing names it
        assert state.kind in ("a relative of Adam", "Adam or AdamW", "Adam")
    else:
        assert state.kind == kind
    assert state.where == "opt/first"
    for key, value in settings.items():
        assert state.groups[0][key] == (list(value) if isinstance(value, tuple) else value)
    if "SGD" not in name:
        assert state.steps == (3, 3)
        assert state.parameters == 6


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("StepLR", lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.5)),
        ("MultiStepLR", lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5])),
        ("CosineAnnealingLR", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 9)),
        ("OneCycleLR", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, 9)),
        ("ExponentialLR", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        ("ReduceLROnPlateau", lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o)),
    ],
)
def test_the_schedule_is_told_by_its_settings(tmp_path, kind, make):
    whole, optimizer = trained("SGD", {"lr": 0.1, "momentum": 0.5})
    schedule = make(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule.step(*([1.0] if "Plateau" in kind else []))
    (found,) = saved(
        tmp_path, {"net": whole.state_dict(), "sched": schedule.state_dict()}
    ).schedules
    assert (found.kind, found.where) == (kind, "sched")
    assert found.settings["last_epoch"] == schedule.state_dict()["last_epoch"]


def test_counts_measures_and_settings_with_where_they_stand(tmp_path):
    whole, _ = trained("SGD", {"lr": 0.1})
    content = {
        "state_dict": whole.state_dict(),
        "epoch": 7,
        "global_step": 1234,
        "best_acc": torch.tensor(0.5),
        "arch": "resnet18",
        "hyper_parameters": {"lr": 0.1, "layers": (1, 2)},
        "args": argparse.Namespace(batch_size=64),
    }
    found = saved(tmp_path, content)
    facts = {f.where: (f.kind, f.value) for f in found.facts if f.kind != "metadata"}
    assert facts == {
        "epoch": ("epoch", 7),
        "global_step": ("step", 1234),
        "best_acc": ("other", 0.5),
        "arch": ("other", "resnet18"),
        "hyper_parameters": ("settings", {"lr": 0.1, "layers": [1, 2]}),
        "args": ("settings", {"batch_size": 64}),
    }
    assert found.batches == {"1": 3}
    assert found.versions["1"] == 2  # of batch norm, since it counts batches
    assert found.devices == {"cpu": len(whole.state_dict())}
    data = (tmp_path / "net.pt").read_bytes()
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert {f.name: f.value for f in found.facts}["saved_as"] == "net"


def test_metadata_of_safetensors(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(net().state_dict(), path, metadata={"format": "pt", "epoch": "7"})
    facts = {fact.name: fact.value for fact in inspect(path).facts}
    assert facts["metadata"] == {"format": "pt", "epoch": "7"}


@pytest.mark.parametrize("grid", ["bfloat16", "float16", None])
def test_the_grid_of_numbers(tmp_path, grid):
    state = {"fc.weight": torch.randn(300, 300)}
    if grid:
        state = {n: v.to(getattr(torch, grid)).float() for n, v in state.items()}
    found = saved(tmp_path, state)
    assert found.grid.dtype == (grid or "float32")
    assert found.dtypes == {"float32": 90_000}


def test_shared_and_equal_tensors(tmp_path):
    whole = nn.ModuleDict({"enc": nn.Linear(8, 8), "dec": nn.Linear(8, 8)})
    whole["dec"].weight = whole["enc"].weight
    state = whole.state_dict() | {
        "copy.weight": whole["enc"].weight.clone(),
        "zero.bias": torch.zeros(8), "zero2.bias": torch.zeros(8),
    }  # fmt: skip
    found = saved(tmp_path, state)
    assert found.shared == (("enc.weight", "dec.weight"),)
    assert found.duplicates == (("enc.weight", "copy.weight"),)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("MLP", lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))),
        ("CNN", net),
        ("transformer", lambda: nn.TransformerEncoderLayer(8, 2, 16)),
        ("recurrent", lambda: nn.LSTM(4, 5)),
    ],
)
def test_the_architecture_is_a_fact(tmp_path, kind, make):
    found = saved(tmp_path, make().state_dict())
    assert found.architecture.kind == kind
    assert sum(found.architecture.parameters.values()) == sum(
        value.numel() for value in make().parameters()
    )


def test_inputs_and_outputs_of_kernels_stored_the_other_way_round(tmp_path):
    state = {
        "c_fc.weight": torch.ones(16, 64), "c_fc.bias": torch.ones(64),
        "up.weight": torch.ones(4, 2, 3, 3), "up.bias": torch.ones(2),
        "patch.kernel": torch.ones(5, 5, 3, 7), "patch.bias": torch.ones(7),
    }  # fmt: skip
    layers = {one.name: one for one in saved(tmp_path, state).architecture.layers}
    wanted = {
        "c_fc.weight": ("dense", 16, 64, ()),
        "up.weight": ("convolution", 4, 2, (3, 3)),
        "patch.kernel": ("convolution", 3, 7, (5, 5)),
    }
    assert {n: (o.kind, o.inputs, o.outputs, o.kernel) for n, o in layers.items()} == wanted


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [("", "LoRA adapter"), ("q", "transformer"), ("q.base_layer", "transformer")],
)
def test_an_adapter_with_a_new_head_is_no_net(tmp_path, kernel, kind):
    state = {
        "attention.q.lora_A.weight": torch.ones(2, 8),
        "attention.q.lora_B.weight": torch.ones(8, 2),
        "head.weight": torch.ones(3, 8),
    }  # fmt: skip
    if kernel:
        state[f"attention.{kernel}.weight"] = torch.ones(8, 8)
    assert saved(tmp_path, state).architecture.kind == kind


@pytest.mark.parametrize(
    "name", [n for n in DTYPES if n.startswith("float8") or n in ("bfloat16", "float16")]
)
def test_small_types_are_decoded_as_torch_does(name):
    dtype = DTYPES[name]
    codes = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    wanted = torch.from_numpy(codes.copy()).view(getattr(torch, name)).float().numpy()
    found = dtype.decode(codes.view(np.uint8)).astype(np.float32)
    np.testing.assert_array_equal(found, wanted)


def test_placeholders_of_zero_3_are_told(tmp_path):
    state = {name: torch.empty(0) for name in net().state_dict()}
    torch.save({"module": state}, tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"none of its 9 tensors holds a value.* zero_to_fp32\.py"):
        read_checkpoint(tmp_path / "net.pt")


def test_the_command_prints_text_and_json(tmp_path, capsys):
    whole, optimizer = trained("AdamW", {"lr": 3e-4})
    content = {"net": whole.state_dict(), "ema": net().state_dict(), "o": optimizer.state_dict()}
    found, path = saved(tmp_path, content), tmp_path / "net.pt"
    text = printed(capsys, "inspect", path)
    for said in ("CNN of 2 layers", "AdamW, 3 steps (lr 0.0003", "ema; choose one with --key"):
        assert said in text
    plain = document(capsys, "inspect", path)
    assert plain["sha256"] == found.sha256
    assert plain["optimizers"][0]["kind"] == "AdamW"
    listed = printed(capsys, "inspect", path, "--key", "ema", "--tensors")
    assert "3.weight  float32 3x16: dense kernel" in listed
    gone = tmp_path / "gone.pt"
    assert refused(capsys, "inspect", gone) == f"error: {gone}: no such file"


def test_the_command_counts_one_thing_as_one(tmp_path, capsys):
    saved(tmp_path, {"fc.weight": torch.ones(1, 1), "n": torch.tensor(3)})
    text = printed(capsys, "inspect", tmp_path / "net.pt")
    assert "MLP of 1 layer, 1 parameter (1 fc)\n" in text
    assert "1 entry; --tensors lists them" in text
    np.save(tmp_path / "labels.npy", np.arange(3))
    assert "unknown, 0 parameters\n" in printed(capsys, "inspect", tmp_path / "labels.npy")
