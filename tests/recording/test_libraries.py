"""Lightning, the trainer of transformers, and Keras: their runs are recorded by a callback.

The libraries are no dependencies. docs/recording.md says how to install them; a test of one that is
missing is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest
import torch
from torch import nn

import weightspace
from weightspace.recording import Recorder
from weightspace.zoo import Zoo, check

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 24
IMAGES, LABELS = torch.rand(48, 1, 8, 8), torch.arange(48) % 10


def needed(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"install {package}; docs/recording.md says how")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def recorder(path) -> Recorder:
    return Recorder(path, {"dataset": "noise"}, snapshots=4)


def one(path, columns: list[str]) -> tuple[dict, list[tuple]]:
    """The only net, which is sound, and these columns of its snapshots."""
    assert check(path, full=True) == []
    zoo = Zoo(path)
    assert zoo.nets.height == 1
    return zoo.nets.row(0, named=True), zoo.snapshots.select(columns).rows()


# ---- Lightning


class Stop(Exception):
    pass


def lightning_module(stop_at: int = -1):
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net()

        def training_step(self, batch, index):
            if self.global_step == stop_at:
                raise Stop
            images, labels = batch
            return nn.functional.cross_entropy(self.net(images), labels)

        def validation_step(self, batch, index):
            images, labels = batch
            logits = self.net(images)
            self.log("val_loss", nn.functional.cross_entropy(logits, labels))
            self.log("val_acc", (logits.argmax(1) == labels).float().mean())

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    return Module()


def lightning_fit(folder, module, callback, **options):
    import lightning

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, LABELS), 4)
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
        "max_epochs": 2,
    }
    trainer = lightning.Trainer(**(defaults | options), callbacks=[callback])
    trainer.fit(module, data, data, ckpt_path=options.pop("ckpt_path", None))
    return trainer


def test_lightning(tmp_path, monkeypatch):
    needed("lightning")
    import lightning

    monkeypatch.setattr(os, "environ", dict(os.environ))
    lightning.seed_everything(3, verbose=False)
    module = lightning_module()
    trainer = lightning_fit(tmp_path, module, recorder(tmp_path / "zoo").lightning(name="a"))
    row, moments = one(tmp_path / "zoo", ["step", "epoch"])
    assert moments == [(0, 0.0), (8, 8 / 12), (16, 16 / 12), (24, 2.0)]
    assert (row["optimizer"], row["learning_rate"], row["weight_decay"]) == ("adamw", 0.01, 0.1)
    assert (row["batch_size"], row["epochs"], row["seed"], row["steps"]) == (4, 2, 3, 24)
    assert (row["schedule"], row["dataset"], row["dropout"]) == ("StepLR", "noise", None)
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.snapshots["batch_loss"].null_count() == 1
    last = zoo.snapshots.row(-1, named=True)
    assert last["validation_loss"] == pytest.approx(trainer.callback_metrics["val_loss"].item())
    assert last["validation_accuracy"] is not None
    assert zoo.snapshots["validation_loss"].null_count() == 3
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = weightspace.read_checkpoint(tmp_path / "a.ckpt")
    assert checkpoint.layout.key == zoo.layout("a").key
    np.testing.assert_array_equal(zoo.vector("a"), checkpoint.vector)


def test_lightning_that_stops_and_is_resumed(tmp_path):
    needed("lightning")
    import lightning

    recording = recorder(tmp_path / "zoo")
    keeping = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, "kept", every_n_train_steps=6)
    with pytest.raises(Stop):
        lightning_fit_with(tmp_path, lightning_module(stop_at=18), recording, keeping)
    assert recording.stopped == ["a"]
    assert Zoo(tmp_path / "zoo").nets.height == 0
    path = next(tmp_path.glob("*.ckpt"))
    lightning_fit_with(tmp_path, lightning_module(), recording, keeping, ckpt_path=path)
    _, moments = one(tmp_path / "zoo", ["step"])
    assert moments == [(0,), (8,), (16,), (24,)]
    assert recording.stopped == []


def lightning_fit_with(folder, module, recording, keeping, ckpt_path=None):
    import lightning

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, LABELS), 4)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        max_epochs=2, callbacks=[recording.lightning(name="a"), keeping],
    )  # fmt: skip
    trainer.fit(module, data, ckpt_path=ckpt_path)


def test_lightning_accumulates_gradients(tmp_path):
    needed("lightning")
    recording = recorder(tmp_path / "zoo").lightning()
    lightning_fit(tmp_path, lightning_module(), recording, accumulate_grad_batches=3)
    row, moments = one(tmp_path / "zoo", ["step"])
    assert (row["batch_size"], row["steps"]) == (12, 8)
    assert moments == [(0,), (3,), (5,), (8,)]


# ---- transformers


def trainer(folder, callback, **options):
    import transformers

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, images, labels):
            logits = self.net(images)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    rows = [{"images": i, "labels": label} for i, label in zip(IMAGES, LABELS, strict=True)]
    defaults = {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "eval_strategy": "steps",
        "eval_steps": 8,
        "logging_steps": 4,
        "save_strategy": "steps",
        "save_steps": 6,
        "seed": 5,
        "label_names": ["labels"],
    }
    arguments = transformers.TrainingArguments(**(defaults | options))
    return transformers.Trainer(
        Net(), arguments, train_dataset=rows, eval_dataset=rows[:8], callbacks=[callback]
    )


def test_transformers(tmp_path):
    needed("transformers", "accelerate")
    made = trainer(tmp_path, recorder(tmp_path / "zoo").transformers(name="a"))
    made.train()
    row, moments = one(tmp_path / "zoo", ["step", "epoch"])
    assert moments == [(0, 0.0), (8, 8 / 12), (16, 16 / 12), (24, 2.0)]
    assert (row["optimizer"], row["learning_rate"], row["weight_decay"]) == ("adamw", 0.01, 0.1)
    assert (row["batch_size"], row["epochs"], row["seed"], row["steps"]) == (4, 2, 5, 24)
    assert (row["schedule"], row["label_smoothing"], row["augmentation"]) == ("linear", 0.0, None)
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.snapshots["validation_loss"].null_count() == 1
    assert zoo.snapshots["logged_loss"].null_count() == 1
    made.save_model(str(tmp_path / "saved"))
    checkpoint = weightspace.read_checkpoint(tmp_path / "saved")
    assert checkpoint.layout.key == zoo.layout("a").key
    np.testing.assert_array_equal(zoo.vector("a"), checkpoint.vector)


def test_transformers_that_stops_and_is_resumed(tmp_path):
    needed("transformers", "accelerate")
    import transformers

    class Stopper(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **objects):
            if state.global_step == 18:
                raise Stop

    recording = recorder(tmp_path / "zoo")
    callback = recording.transformers(name="a")
    made = trainer(tmp_path, callback)
    made.add_callback(Stopper())
    with pytest.raises(Stop):
        made.train()
    callback.leave()
    assert recording.stopped == ["a"]
    trainer(tmp_path, recording.transformers(name="a")).train(resume_from_checkpoint=True)
    _, moments = one(tmp_path / "zoo", ["step"])
    assert moments == [(0,), (8,), (16,), (24,)]


def test_transformers_that_ends_early(tmp_path):
    needed("transformers", "accelerate")
    import transformers

    made = trainer(
        tmp_path,
        recorder(tmp_path / "zoo").transformers(),
        load_best_model_at_end=True,
        eval_steps=10,
        save_steps=10,
        metric_for_best_model="eval_loss",
        greater_is_better=True,
    )
    made.add_callback(transformers.EarlyStoppingCallback(1))
    made.train()
    row, moments = one(tmp_path / "zoo", ["step"])
    assert row["steps"] == 20
    assert moments == [(0,), (8,), (16,), (20,)]


# ---- Keras


@pytest.fixture
def keras(monkeypatch):
    needed("keras")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(0)
    return keras


def keras_model(keras, kind: str = "sequential", **options):
    layers = keras.layers
    if kind == "sequential":
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, name="conv"),
                layers.BatchNormalization(),
                layers.DepthwiseConv2D(3),
                layers.SeparableConv2D(4, 2),
                layers.Flatten(),
                layers.Dropout(0.1),
                layers.Dense(10),
            ]
        )
    elif kind == "functional":
        given = keras.Input((8, 8, 1))
        wide = layers.Conv2D(4, 3, padding="same")(given)
        sum_ = layers.Add()([wide, layers.Conv2D(4, 1)(wide)])
        inner = keras.Sequential([layers.Flatten(), layers.Dense(6)], name="inner")
        model = keras.Model(given, layers.Dense(10)(inner(sum_)))
    else:

        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.flat, self.first = layers.Flatten(), layers.Dense(9)
                self.blocks = [layers.Dense(9), layers.Dense(9)]
                self.head = layers.Dense(10)

            def call(self, values):
                values = self.first(self.flat(values))
                for block in self.blocks:
                    values = block(values)
                return self.head(values)

        model = Own()
        model.build((None, 8, 8, 1))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(**({"optimizer": optimizer, "loss": loss, "metrics": ["accuracy"]} | options))
    return model


def keras_fit(model, *callbacks, **options):
    images, labels = IMAGES.permute(0, 2, 3, 1).numpy(), LABELS.numpy()
    data = {"batch_size": 4, "epochs": 2, "verbose": 0, "validation_data": (images, labels)}
    model.fit(images, labels, callbacks=list(callbacks), **(data | options))


@pytest.mark.parametrize("kind", ["sequential", "functional", "own"])
def test_keras(tmp_path, keras, kind):
    model = keras_model(keras, kind)
    keras_fit(model, recorder(tmp_path / "zoo").keras(name="a", batch_size=4, seed=0))
    row, moments = one(tmp_path / "zoo", ["step", "epoch"])
    assert moments == [(0, 0.0), (8, 8 / 12), (16, 16 / 12), (24, 2.0)]
    assert (row["optimizer"], row["learning_rate"], row["momentum"]) == ("momentum", 0.01, 0.9)
    assert (row["batch_size"], row["epochs"], row["weight_decay"]) == (4, 2, 0.0)
    zoo = Zoo(tmp_path / "zoo")
    last = zoo.snapshots.row(-1, named=True)
    assert None not in (last["validation_loss"], last["validation_accuracy"], last["logged_loss"])
    model.save(tmp_path / "model.keras")
    checkpoint = weightspace.read_checkpoint(tmp_path / "model.keras")
    assert checkpoint.layout.key == zoo.layout("a").key
    np.testing.assert_array_equal(zoo.vector("a"), checkpoint.vector)


def test_keras_settings(tmp_path, keras):
    decay = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    optimizer = keras.optimizers.Adam(decay, weight_decay=0.1)
    model = keras_model(keras, optimizer=optimizer)
    keras_fit(model, recorder(tmp_path / "zoo").keras())
    row, _ = one(tmp_path / "zoo", ["step"])
    assert (row["optimizer"], row["learning_rate"], row["weight_decay"]) == ("adamw", 0.01, 0.1)
    assert (row["schedule"], row["beta1"], row["batch_size"]) == ("ExponentialDecay", 0.9, None)


def test_keras_that_stops_and_is_resumed(tmp_path, keras):
    class Stopper(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 18:
                raise Stop

    recording = recorder(tmp_path / "zoo")
    model = keras_model(keras)
    callback = recording.keras(name="a")
    keeping = keras.callbacks.ModelCheckpoint(tmp_path / "m.keras")
    with pytest.raises(Stop):
        keras_fit(model, callback, Stopper(), keeping)
    callback.leave()
    assert recording.stopped == ["a"]
    model = keras.models.load_model(tmp_path / "m.keras")
    keras_fit(model, recording.keras(name="a"), initial_epoch=1)
    _, moments = one(tmp_path / "zoo", ["step"])
    assert moments == [(0,), (8,), (16,), (24,)]


def test_a_callback_is_the_library_s(tmp_path):
    for library in ("lightning", "transformers", "keras"):
        if importlib.util.find_spec(library) is None:
            with pytest.raises(ModuleNotFoundError, match=library):
                getattr(recorder(tmp_path / "zoo"), library)()
    assert "tensorflow" not in sys.modules
