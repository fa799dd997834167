"""A folder as a training leaves it: what lies beside the weights is told, and cannot do harm."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from support.commands import printed
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import DataError


@pytest.fixture
def folder(tmp_path) -> Path:
    found = tmp_path / "checkpoint-3"
    found.mkdir()
    net = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.25)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    safetensors.torch.save_file(net.state_dict(), found / "model.safetensors")
    torch.save(optimizer.state_dict(), found / "optimizer.pt")
    torch.save(schedule.state_dict(), found / "scheduler.pt")
    said = {"epoch": 1.5, "global_step": 3, "log_history": [{"loss": 1.0}], "best_metric": None}
    (found / "trainer_state.json").write_text(json.dumps(said))
    (found / "adapter_config.json").write_text('{"r": 8, "lora_alpha": 16}')
    return found


def test_optimizer_schedule_counts_and_settings(folder, capsys):
    found = inspect(folder)
    (optimizer,), (schedule,) = found.optimizers, found.schedules
    assert (optimizer.where, optimizer.kind, optimizer.steps) == ("optimizer.pt", "AdamW", (1, 1))
    assert optimizer.groups[0]["lr"] == 0.25
    assert (schedule.where, schedule.kind) == ("scheduler.pt", "StepLR")
    told = {fact.where: (fact.kind, fact.value) for fact in found.facts}
    assert told["trainer_state.json/epoch"] == ("epoch", 1.5)
    assert told["trainer_state.json/global_step"] == ("step", 3)
    assert told["adapter_config.json"] == ("settings", {"r": 8, "lora_alpha": 16})
    assert "AdamW, 1 step (lr 0.25" in printed(capsys, "inspect", folder)
    assert inspect(folder / "model.safetensors").optimizers == ()  # a file is looked at alone


def test_files_that_cannot_be_read_are_listed_and_the_weights_are_read(folder, tmp_path):
    (folder / "optimizer.pt").write_bytes((folder / "optimizer.pt").read_bytes()[:200])
    (folder / "scheduler.pt").write_bytes(b"no torch file")
    (folder / "trainer_state.json").write_text("[" * 100_000)
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").symlink_to("/etc/passwd")
    found = inspect(folder)
    assert found.optimizers == found.schedules == ()
    assert len(found.used) == 2
    told = {note.name: note.reason for note in found.left_out}
    assert set(told) == {
        "optimizer.pt", "scheduler.pt", "trainer_state.json", "adapter_config.json"
    }  # fmt: skip
    assert told["scheduler.pt"] == "cannot be read: no torch file"
    assert told["trainer_state.json"] == "cannot be read: no JSON object"
    assert all(reason.startswith("cannot be read: ") for reason in told.values())
    assert len(read_checkpoint(folder).used) == 2


class Runs:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_hostile_names_in_them_are_told_and_nothing_is_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"param_groups": [], "state": {}, "more": Runs()}, folder / "optimizer.pt")
    (finding,) = inspect(folder).findings
    assert finding.kind == "hostile"
    assert finding.where.endswith("of its pickle in optimizer.pt")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["checkpoint-12", "12", "step_12", "epoch=12"])
def test_a_folder_of_such_folders_names_the_last(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / name)
    with pytest.raises(DataError) as caught:
        inspect(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: a folder of checkpoints; name one in it, ")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ({"last_epoch": 3, "_step_count": 4}, "holds the state of a learning-rate schedule"),
        ({"python": (3,), "numpy": 1, "cpu": 2}, "holds the states of random generators"),
        ({"state": {}, "param_groups": []}, "holds the state of an optimizer"),
    ],
)
def test_each_of_them_alone_is_no_net(tmp_path, content, cause):
    torch.save(content, tmp_path / "one.pt")
    with pytest.raises(DataError) as caught:
        inspect(tmp_path / "one.pt")
    wanted = f"{tmp_path / 'one.pt'}: {cause}, not a net; name the file of the weights"
    assert str(caught.value) == wanted
