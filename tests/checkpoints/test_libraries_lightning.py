"""Checkpoints that Lightning writes today are read as what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from support.libraries import facts, layers, needed, same, side
from weightspace.checkpoints import Inspection, inspect, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")

LAYERS = ["conv", "fc"]


def fitted(path: Path, *callbacks: Any, weights_only: bool = False, schedule: Any = None) -> Any:
    """The net of a run of three epochs, and what torch loads from its checkpoint."""
    needed("lightning")
    import lightning

    class Net(lightning.LightningModule):
        def __init__(self, width: int = 8, lr: float = 1e-3) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.conv = nn.Conv2d(1, width, 3)
            self.bn = nn.BatchNorm2d(width)
            self.fc = nn.Linear(width, 3)

        def training_step(self, batch: Any, number: int) -> torch.Tensor:
            hidden = torch.relu(self.bn(self.conv(batch[0]))).mean((2, 3))
            return nn.functional.cross_entropy(self.fc(hidden), batch[1])

        def configure_optimizers(self) -> Any:
            one = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr, weight_decay=0.02)
            made = schedule or torch.optim.lr_scheduler.CosineAnnealingLR
            return [one], [made(one, 10)]

    torch.manual_seed(0)
    images, classes = torch.randn(12, 1, 6, 6), torch.arange(12) % 3
    data = torch.utils.data.TensorDataset(images, classes)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        default_root_dir=path.parent, callbacks=list(callbacks), enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Net(), torch.utils.data.DataLoader(data, batch_size=4))
    if not path.exists():
        trainer.save_checkpoint(path, weights_only=weights_only)
    return torch.load(path, weights_only=False)


def keeper(path: Path) -> Any:
    """A callback that saves after eight steps; at the end, averages become the net."""
    import lightning

    class Keeper(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 8:
                trainer.save_checkpoint(path)

    return Keeper()


def looked_at(path: Path, epoch: int = 3, step: int = 9) -> Inspection:
    found = inspect(path)
    assert found.form == "torch"
    assert found.architecture.kind == "CNN"
    assert layers(found) == LAYERS
    assert side(found, "bn") == "after conv"
    assert not found.findings
    told = {fact.where: (fact.kind, fact.value) for fact in found.facts}
    assert told["epoch"] == ("epoch", epoch)
    assert told["global_step"] == ("step", step)
    assert told["hyper_parameters"] == ("settings", {"width": 8, "lr": 1e-3})
    return found


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("CosineAnnealingLR", {"T_max": 10}), ("StepLR", {"step_size": 10})],
)
def test_a_checkpoint_with_optimizer_schedule_and_hyper_parameters(tmp_path, kind, settings):
    path = tmp_path / "net.ckpt"
    stored = fitted(path, schedule=getattr(torch.optim.lr_scheduler, kind))
    found = looked_at(path)
    same(path, stored["state_dict"])
    assert (found.key, found.others) == ("state_dict", ())
    (optimizer,) = found.optimizers
    assert (optimizer.where, optimizer.kind) == ("optimizer_states/0", "AdamW")
    assert (optimizer.parameters, optimizer.steps) == (6, (9, 9))
    (group,) = optimizer.groups
    assert group["weight_decay"] == 0.02
    assert group["lr"] == stored["optimizer_states"][0]["param_groups"][0]["lr"]
    (schedule,) = found.schedules
    assert (schedule.where, schedule.kind) == ("lr_schedulers/0", kind)
    assert schedule.settings["last_epoch"] == 3
    assert {key: schedule.settings[key] for key in settings} == settings
    assert found.batches == {"bn": 9}
    assert facts(found)["pytorch-lightning_version"] == stored["pytorch-lightning_version"]


def test_weights_alone(tmp_path):
    stored = fitted(tmp_path / "net.ckpt", weights_only=True)
    found = looked_at(tmp_path / "net.ckpt")
    same(tmp_path / "net.ckpt", stored["state_dict"])
    assert found.optimizers == found.schedules == ()


@pytest.mark.parametrize("kind", ["EMAWeightAveraging", "WeightAveraging"])
def test_where_the_net_is_an_average_the_trained_weights_are_read(tmp_path, kind):
    needed("lightning")
    from lightning.pytorch import callbacks

    if not hasattr(callbacks, kind):
        pytest.skip(f"this version of lightning has no {kind}")
    path = tmp_path / "net.ckpt"
    stored = fitted(path, getattr(callbacks, kind)(), keeper(path))
    found = looked_at(path, epoch=2, step=8)
    assert (found.key, found.others) == ("current_model_state", ("state_dict",))
    same(path, stored["current_model_state"])
    same(path, stored["state_dict"], key="state_dict")
    trained, average = read_checkpoint(path), read_checkpoint(path, key="state_dict")
    assert (trained.vector != average.vector).any()
    assert found.optimizers[0].kind == "AdamW"
    assert found.schedules[0].kind == "CosineAnnealingLR"
    assert facts(found)["averaging_state/n_averaged"] == 8


def test_stochastic_weight_averaging_before_it_ends(tmp_path):
    needed("lightning")
    from lightning.pytorch.callbacks import StochasticWeightAveraging

    path = tmp_path / "net.ckpt"
    stored = fitted(path, StochasticWeightAveraging(1e-2, swa_epoch_start=1), keeper(path))
    found = inspect(path)
    average = "callbacks/StochasticWeightAveraging/average_model_state"
    assert (found.key, found.others) == ("state_dict", (average,))
    same(path, stored["state_dict"])
    same(path, stored["callbacks"]["StochasticWeightAveraging"]["average_model_state"], average)
    assert layers(found) == LAYERS
    assert {schedule.kind for schedule in found.schedules} == {"SWALR"}
    assert found.optimizers[0].groups[0]["swa_lr"] == 1e-2
