"""Whole models and weights that Keras 3 writes today, with the state of their optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.libraries import everything_in, facts, layers, needed, side
from weightspace.checkpoints import inspect

pytestmark = pytest.mark.filterwarnings("ignore")

FORMS = ("net.keras", "net.h5", "net.weights.h5")
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "AdamW": ("AdamW", {"learning_rate": 0.25, "weight_decay": 0.5, "beta_1": 0.75}),
    "Adam": ("Adam", {"learning_rate": 0.25, "amsgrad": True}),
    "SGD": ("SGD", {"learning_rate": 0.5, "momentum": 0.75}),
    "SGD, Nesterov": (
        "SGD with Nesterov momentum", {"learning_rate": 0.5, "momentum": 0.75, "nesterov": True}
    ),
    "RMSprop": ("RMSprop", {"learning_rate": 0.25, "rho": 0.5}),
    "Lion": ("Lion", {"learning_rate": 0.25}),
    "Adagrad": ("Adagrad", {"learning_rate": 0.25}),
}  # fmt: skip


def fitted(optimizer: Any, folder: Path) -> Any:
    """A net of many kinds of layers after four steps, saved in three forms."""
    import keras

    part = keras.layers
    start = keras.Input((8, 8, 3))
    x = part.BatchNormalization(name="n1")(part.Conv2D(4, 3, name="c1")(start))
    x = part.GroupNormalization(2, name="gn")(part.DepthwiseConv2D(3, name="dw")(x))
    x = part.Reshape((-1, 4))(x)
    x = part.LayerNormalization(name="ln")(part.MultiHeadAttention(2, 3, name="att")(x, x))
    net = keras.Model(start, part.Dense(3, name="fc")(part.LSTM(5, name="lstm")(x)))
    net.compile(optimizer, "sparse_categorical_crossentropy")
    draw = np.random.default_rng(0)
    images = draw.normal(size=(8, 8, 8, 3)).astype(np.float32)
    net.fit(images, np.arange(8) % 3, batch_size=4, epochs=2, verbose=0)
    net.save(folder / "net.keras")
    net.save(folder / "net.h5")
    net.save_weights(folder / "net.weights.h5")
    return net


def made(name: str) -> Any:
    needed("h5py", "keras")
    import keras

    return getattr(keras.optimizers, name.partition(",")[0])(**OPTIMIZERS[name][1])


def test_order_norms_and_values_in_every_form(tmp_path):
    net = fitted(made("AdamW"), tmp_path)
    stored = {w.path: np.array(w) for w in net.weights}
    for form in FORMS:
        found = inspect(tmp_path / form)
        assert found.form == "Keras"
        names = [name.removesuffix("kernel").rstrip(".") for name in layers(found)]
        assert names == [
            "c1", "dw", "att.query", "att.key", "att.value", "att.attention_output",
            "lstm.lstm_cell", "lstm.lstm_cell.recurrent_", "fc",
        ]  # fmt: skip
        assert side(found, "n1") == "after c1.kernel"
        assert {"n1.moving_mean", "n1.moving_variance"} <= {note.name for note in found.used}
        assert not found.findings
        values = everything_in(tmp_path / form)
        assert len(values) == len(stored)
        lstm = stored["lstm/lstm_cell/recurrent_kernel"].T
        for name, wanted in {
            "c1.kernel": stored["c1/kernel"].transpose(3, 2, 0, 1),
            "dw.kernel": stored["dw/kernel"].transpose(2, 3, 0, 1).reshape(4, 1, 3, 3),
            "n1.moving_variance": stored["n1/moving_variance"],
            "gn.gamma": stored["gn/gamma"],
            "ln.beta": stored["ln/beta"],
            "att.query.kernel": stored["att/query/kernel"].reshape(4, 6).T,
            "att.attention_output.kernel": stored["att/attention_output/kernel"].reshape(6, 4).T,
            "lstm.lstm_cell.recurrent_kernel": lstm,
            "fc.kernel": stored["fc/kernel"].T,
            "fc.bias": stored["fc/bias"],
        }.items():
            np.testing.assert_array_equal(values[name], wanted, err_msg=f"{form}: {name}")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_in_every_form(tmp_path, name):
    net = fitted(made(name), tmp_path)
    kind, settings = OPTIMIZERS[name]
    for form in FORMS:
        (optimizer,) = inspect(tmp_path / form).optimizers
        assert optimizer.steps == (4, 4)
        if form == "net.weights.h5":  # there is no configuration in it
            assert optimizer.kind == kind.partition(" ")[0]
            assert optimizer.groups == ({"learning_rate": settings["learning_rate"]},)
            continue
        assert optimizer.kind == kind
        assert {key: optimizer.groups[0][key] for key in settings} == settings
        assert optimizer.parameters == len(net.trainable_weights)


def test_a_schedule_of_the_learning_rate(tmp_path):
    needed("h5py", "keras")
    import keras

    fitted(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.25, 100)), tmp_path)
    for form in FORMS[:2]:
        found = inspect(tmp_path / form)
        (schedule,) = found.schedules
        assert schedule.kind == "CosineDecay"
        assert schedule.where.endswith("/config/learning_rate")
        wanted = {"initial_learning_rate": 0.25, "decay_steps": 100, "last_step": 4}
        assert {key: schedule.settings[key] for key in wanted} == wanted
        assert found.optimizers[0].groups[0]["learning_rate"] == "of CosineDecay"
    assert facts(inspect(tmp_path / "net.keras"))["metadata"]["keras_version"] == keras.__version__


def test_layers_of_every_kind(tmp_path):
    needed("h5py", "keras")
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((9, 9, 4)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="deep"),
            layers.SeparableConv2D(6, 2, name="apart"),
            layers.BatchNormalization(scale=False, name="norm"),
            layers.Conv2DTranspose(3, 2, name="back"),
            layers.LayerNormalization(name="last"),
            layers.Reshape((-1, 3)),
            layers.Dense(5, name="a"),
            layers.GRU(4, name="recurrent"),
            layers.Dense(2, use_bias=False, name="fc"),
        ]
    )
    draw = np.random.default_rng(0)
    net.set_weights([draw.normal(size=w.shape) for w in net.get_weights()])
    stored = {w.path.partition("/")[2]: np.array(w) for w in net.weights}
    net.save(tmp_path / "net.keras")
    net.save(tmp_path / "net.h5")
    for name in ("net.keras", "net.h5"):
        found = everything_in(tmp_path / name)
        deep = stored["deep/kernel"].transpose(2, 3, 0, 1).reshape(8, 1, 3, 3)
        np.testing.assert_array_equal(found["deep.kernel"], deep)
        np.testing.assert_array_equal(
            found["apart.pointwise.kernel"], stored["apart/pointwise_kernel"].transpose(3, 2, 0, 1)
        )
        np.testing.assert_array_equal(found["norm.beta"], stored["norm/beta"])
        np.testing.assert_array_equal(
            found["back.kernel"], stored["back/kernel"].transpose(3, 2, 0, 1)
        )
        np.testing.assert_array_equal(found["last.gamma"], stored["last/gamma"])
        np.testing.assert_array_equal(found["fc.kernel"], stored["fc/kernel"].T)
        assert sorted(values.size for values in found.values()) == sorted(
            values.size for values in stored.values()
        )


def test_models_in_models(tmp_path):
    needed("h5py", "keras")
    import keras

    layers = keras.layers
    start = keras.Input((6, 4))
    x = layers.MultiHeadAttention(2, 3, name="heads")(start, start)
    parts = [keras.Input((6, 4)), layers.Dense(5, name="d1"), layers.Dense(5, name="d2")]
    x = keras.Sequential(parts, name="inner")(x)
    x = layers.Bidirectional(layers.LSTM(3, name="steps"), name="both")(x)
    net = keras.Model(start, layers.Dense(2, name="fc")(x))
    net.save(tmp_path / "net.keras")
    net.save(tmp_path / "net.h5")
    net.save_weights(tmp_path / "net.weights.h5")
    read = []
    for name in ("net.h5", "net.keras", "net.weights.h5"):
        read.append(everything_in(tmp_path / name))
    assert set(read[0]) == set(read[1]) == set(read[2])
    for name, values in read[0].items():
        np.testing.assert_array_equal(read[1][name], values)
        np.testing.assert_array_equal(read[2][name], values)
    assert read[0]["heads.query.kernel"].shape == (6, 4)  # heads and their width together
    assert read[0]["heads.attention_output.kernel"].shape == (4, 6)
    assert read[0]["both.backward_steps.lstm_cell.recurrent_kernel"].shape == (12, 3)
