"""`weightspace compare`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from support.commands import document, printed, refused
from weightspace.cli.app import run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10))
    torch.save(net.state_dict(), tmp_path / "a.pt")
    torch.save({"model": {f"net.{k}": v.half() for k, v in net.state_dict().items()}},
               tmp_path / "half.pt")  # fmt: skip
    torch.save(nn.Linear(20, 10).state_dict(), tmp_path / "linear.pt")
    return tmp_path


def test_compare(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "compare", files / "a.pt", files / "half.pt")
    assert "verdict       same weights" in text
    assert "The weights are the same, rounded to float16." in text
    row = next(line for line in text.splitlines() if line.startswith("0.weight"))
    assert row.split()[:3] == ["0.weight", "net.0.weight", "32x20"]
    assert "2 more tensors; --tensors lists them" in text
    every = printed(capsys, "compare", files / "a.pt", files / "half.pt", "--tensors")
    assert "0.bias" in every
    found = document(capsys, "compare", files / "a.pt", files / "a.pt")
    assert found["verdict"] == "identical"
    assert found["related"] is True
    assert [one["relation"] for one in found["tensors"]] == ["equal"] * 4


def test_exit_codes_of_compare(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(files / "a.pt"), str(files / "linear.pt"), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "not comparable"
    assert "no such file" in refused(capsys, "compare", files / "a.pt", files / "nowhere.pt")
    (files / "text.pt").write_text("no checkpoint")
    assert "text.pt" in refused(capsys, "compare", files / "text.pt", files / "a.pt")
