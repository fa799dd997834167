"""Audits of real files, trained by plain PyTorch."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from support.audited import BATCH, EPOCHS, IMAGES, STEPS, normed, state_of, trained
from weightspace.audit import Claims, audit
from weightspace.errors import DataError, UsageError
from weightspace.evidence.untouched import kernel_test

LENGTH = {"train_images": IMAGES, "batch_size": BATCH, "epochs": EPOCHS}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict with batch norm, trained by SGD."""
    return state_of(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the state of its optimizer, the epoch and settings."""
    args = argparse.Namespace(lr=0.05, bs=BATCH, out="runs/1")
    folder = tmp_path_factory.mktemp("full")
    return state_of(folder, optimizer=True, epoch=EPOCHS - 1, args=args)


def words(path: Path, claims: dict) -> dict[str, str]:
    return {one.claim.name: one.verdict for one in audit(path, claims).verdicts}


def test_true_claims_of_a_bare_net(bare):
    found = words(bare, {**LENGTH, "steps": STEPS, "batch_norm": True, "precision": "float32",
                         "classes": 10, "architecture": "cnn", "optimizer": "sgd",
                         "dropout": 0})  # fmt: skip
    assert "contradicted" not in found.values()
    for name in ("steps", "epochs", "batch_size", "batch_norm", "precision", "classes",
                 "architecture"):  # fmt: skip
        assert found[name] == "consistent", name
    assert found["dropout"] == "undecidable"


@pytest.mark.parametrize(
    ("claim", "value"),
    [("steps", STEPS - 7), ("batch_norm", False), ("classes", 100), ("architecture", "mlp"),
     ("steps", 10 * STEPS)],
)  # fmt: skip
def test_false_claims_of_a_bare_net(bare, claim, value):
    found = words(bare, {claim: value, "checkpoint": "last"})
    assert found == {claim: "contradicted", "checkpoint": "undecidable"}


def test_a_file_of_an_earlier_step_contradicts_no_length(bare):
    assert words(bare, {"steps": 10 * STEPS}) == {"steps": "undecidable"}
    assert "contradicted" not in words(bare, {**LENGTH, "epochs": EPOCHS + 4}).values()


def test_a_length_that_is_false_as_a_whole(bare):
    """Four epochs do not make the counted batches, and nobody knows which claim is wrong."""
    found = audit(bare, {**LENGTH, "epochs": 4, "dataset": "x"})
    assert found.contradicted
    assert found.contradicted[0].given == () or "epochs" in found.contradicted[0].given
    length = [one for one in found.verdicts if one.claim.name == "training_length"]
    alone = [one for one in found.contradicted if one.claim.name != "training_length"]
    assert bool(length) != bool(alone)


def test_true_claims_of_a_saved_optimizer(full):
    claims = {"optimizer": "SGD", "momentum": 0.9, "lr": 0.05, "schedule": "constant",
              "wd": 5e-4, **LENGTH}  # fmt: skip
    found = words(full, claims)
    assert found.pop("schedule") == "undecidable"
    assert found.pop("train_images") in ("consistent", "undecidable")
    assert set(found.values()) == {"consistent"}


@pytest.mark.parametrize(
    ("claims", "wrong"),
    [
        ({"optimizer": "adam"}, "optimizer"),
        ({"optimizer": "SGD", "momentum": 0}, "momentum"),
        ({"weight_decay": 0}, "weight_decay"),
        ({"weight_decay": 0.01}, "weight_decay"),
        ({"learning_rate": 0.1, "schedule": "constant"}, "learning_rate"),
    ],
)
def test_false_claims_of_a_saved_optimizer(full, claims, wrong):
    assert words(full, claims)[wrong] == "contradicted"


def test_a_rate_that_a_schedule_may_have_changed_is_undecidable(full):
    assert words(full, {"learning_rate": 0.5}) == {"learning_rate": "undecidable"}


def test_a_name_of_an_optimizer_that_is_not_known_is_not_judged(full):
    assert words(full, {"optimizer": "MySGD2"}) == {"optimizer": "undecidable"}


def test_what_an_audit_holds(full):
    found = audit(full, {"optimizer": "adam", "colour": "red"})
    plain = found.to_dict()
    assert list(plain) == ["file", "facts", "verdicts", "findings", "evidence", "readings"]
    assert plain["readings"] is None
    assert plain["facts"]["form"] == "torch"
    optimizer, colour = plain["verdicts"]
    assert optimizer["claim"] == "optimizer"
    assert optimizer["verdict"] == "contradicted"
    assert {"law", "statistic", "p_value", "estimate", "says"} <= set(optimizer["evidence"][0])
    assert optimizer["evidence"][0]["p_value"] == 0
    assert (colour["claim"], colour["verdict"], colour["evidence"]) == ("colour", "undecidable", [])
    json.dumps(plain, default=str)
    assert any(one.claim == "batch_norm" and one.p_value == 0 for one in found.findings)


def test_without_claims_the_most_certain_comes_first(full):
    found = audit(full)
    assert found.verdicts == ()
    p_values = [one.p_value for one in found.findings if one.kind == "evidence"]
    assert p_values == sorted(p_values)
    said = {one.claim: one.text for one in found.findings}
    assert said["steps"].startswith(f"{STEPS}: ")
    fits, _, ruled_out = said["optimizer"].partition(", not ")
    assert "momentum" in fits
    assert "adam" in ruled_out


def test_values_that_were_stored_narrower(tmp_path):
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    wide = {name: value.bfloat16().float() for name, value in net.state_dict().items()}
    torch.save(wide, tmp_path / "wide.pt")
    assert words(tmp_path / "wide.pt", {"precision": "float32"}) == {"precision": "contradicted"}
    assert words(tmp_path / "wide.pt", {"precision": "bfloat16"}) == {"precision": "consistent"}
    torch.save(net.bfloat16().state_dict(), tmp_path / "narrow.pt")
    assert words(tmp_path / "narrow.pt", {"dtype": "bfloat16"}) == {"precision": "consistent"}
    for mixed in ("bf16", "fp16", "Native AMP", "16-mixed"):
        assert words(tmp_path / "narrow.pt", {"precision": mixed}) == {"precision": "undecidable"}


def test_a_net_that_needs_float32_may_have_been_trained_in_less(bare):
    assert words(bare, {"precision": "bfloat16"}) == {"precision": "undecidable"}
    assert words(bare, {"precision": "fp32"}) == {"precision": "consistent"}


def test_the_activation_of_a_whole_module(tmp_path):
    torch.save(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4)), tmp_path / "whole.pt")
    assert words(tmp_path / "whole.pt", {"activation": "tanh"}) == {"activation": "consistent"}
    assert words(tmp_path / "whole.pt", {"activation": "relu"}) == {"activation": "undecidable"}


def test_a_single_output_is_a_net_of_two_classes(tmp_path):
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    safetensors.torch.save_file(net.state_dict(), tmp_path / "net.safetensors")
    path = tmp_path / "net.safetensors"
    assert words(path, {"num_labels": 2}) == {"classes": "consistent"}
    assert words(path, {"num_labels": 3}) == {"classes": "contradicted"}
    assert words(path, {"batch_norm": True}) == {"batch_norm": "contradicted"}


def test_a_saved_adamw(tmp_path):
    net = normed()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    trained(net, optimizer, 500)
    content = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "net.pt")
    steps = EPOCHS * IMAGES // 500
    found = words(tmp_path / "net.pt", {"optimizer": "adamw", "betas": [0.9, 0.999],
                                        "steps": steps})  # fmt: skip
    assert set(found.values()) == {"consistent"}
    assert set(found) == {"optimizer", "beta1", "beta2", "steps"}
    for claims in ({"optimizer": "sgd"}, {"betas": [0.8, 0.999]}, {"steps": steps // 2}):
        assert "contradicted" in words(tmp_path / "net.pt", claims).values(), claims


def test_an_audit_takes_less_than_two_seconds(full):
    claims = {**LENGTH, "optimizer": "adam", "dataset": "mnist", "weight_decay": 5e-4}
    began = time.process_time()
    audit(full, claims)
    assert time.process_time() - began < 2


def test_claims_and_data_in_every_form(bare, tmp_path):
    (tmp_path / "card.yaml").write_text(f"steps: {STEPS}\n")
    draw = np.random.default_rng(0)
    images = {"x_train": draw.integers(0, 255, (IMAGES, 8, 8, 1), dtype=np.uint8),
              "y_train": np.arange(IMAGES) % 10,
              "x_test": draw.integers(0, 255, (20, 8, 8, 1), dtype=np.uint8),
              "y_test": np.arange(20) % 10}  # fmt: skip
    np.savez(tmp_path / "mine.npz", **images)
    for claims in (
        tmp_path / "card.yaml",
        str(tmp_path / "card.yaml"),
        Claims.of({"steps": STEPS}),
        {"steps": STEPS},
    ):
        found = audit(bare, claims, data=tmp_path / "mine.npz", seeds=5)
        assert [one.verdict for one in found.verdicts] == ["consistent"]


def test_what_cannot_be_audited(bare, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        audit(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("no net")
    with pytest.raises(DataError):
        audit(tmp_path / "text.pt")
    with pytest.raises(UsageError, match="learning_rate: -1 is not a positive number"):
        audit(bare, {"lr": -1})
    with pytest.raises(UsageError, match="seeds"):
        audit(bare, seeds=-1)
    with pytest.raises(DataError, match="nosuchset"):
        audit(bare, data="nosuchset")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-ran",)


def test_nothing_in_a_file_runs_and_names_do_not_steer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    torch.save({"net": net.state_dict(), "more": Hostile()}, tmp_path / "net.pt")
    found = audit(tmp_path / "net.pt", {"batch_norm": False})
    assert found.findings[0].kind == "hostile"
    assert not (tmp_path / "hostile-ran").exists()


SLOW = ("torch", "sklearn", "polars", "scipy.stats", "scipy.optimize")
"""Libraries that take longer to load than an audit takes."""


def test_an_audit_loads_nothing_slow(bare):
    code = (
        "import sys; from weightspace.cli.app import run; "
        f"run(['audit', {str(bare)!r}, '--claim', 'optimizer=sgd']); "
        f"assert not {set(SLOW)!r} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_page_tests_no_kernel_twice(bare, monkeypatch):
    tested = []

    def counted(subject, layer):
        tested.append(layer.weight)
        return kernel_test(subject, layer)

    monkeypatch.setattr("weightspace.evidence.initial.kernel_test", counted)
    assert audit(bare, traced=True).traces is not None
    assert len(tested) == len(set(tested)) > 0


def test_the_names_of_the_release_before_still_warn():
    with pytest.warns(
        DeprecationWarning, match=r"weightspace.audit is now weightspace.checkpoints"
    ):
        from weightspace.audit import read_checkpoint
    from weightspace.checkpoints import read_checkpoint as now

    assert read_checkpoint is now
    from weightspace.audit import formats  # a room of both, of which the own one is given

    assert formats.__name__ == "weightspace.audit.formats"
