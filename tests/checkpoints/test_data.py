"""Files of data, such as images, labels and predictions, which may be taken for nets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.networks.roles.data import doubt
from weightspace.networks.roles.entries import Entry

BY_SHAPE = (
    "may be data, not weights: no tensor has the name of a part of a net or is a bias, and none "
    "takes what another gives"
)


def told(**shapes: tuple[int, ...]) -> str:
    return doubt(
        [Entry(name.replace("__", "."), shape, "float32") for name, shape in shapes.items()]
    )


@pytest.mark.parametrize(
    "shapes",
    [
        {"array": (10000, 10)},
        {"resnet18": (10000, 10), "vgg16": (10000, 10)},
        {"a": (5000, 28, 28), "z": (1000, 28, 28)},
        {"arr_0": (60000, 784), "arr_1": (10000, 784)},
        {"mean_of_runs": (40, 7)},
    ],
)
def test_arrays_without_a_sign_of_a_net_may_be_data(shapes):
    assert told(**shapes) == BY_SHAPE


@pytest.mark.parametrize(
    ("shapes", "names"),
    [
        ({"x_train": (60000, 28, 28), "y_train": (60000,)}, "x_train, y_train"),
        ({"images": (100, 3, 32, 32), "labels": (100,)}, "images, labels"),
        ({"train__X": (300, 20), "train__y": (300,), "w": (300, 1)}, "train.X, train.y"),
        ({"predictions": (10000, 10)}, "predictions"),
        ({"gt": (10, 10), "softmax": (10, 10)}, "gt, softmax"),
        ({"X": (9, 4), "y": (9,), "test_x": (4, 4), "test_y": (4,)}, "X, y, test_x and 1 more"),
    ],
)
def test_names_of_data_are_told(shapes, names):
    assert told(**shapes) == f"may be data, not weights, by the names {names}"


@pytest.mark.parametrize(
    "shapes",
    [
        {"0__weight": (10, 784)},
        {"w": (784, 10)},
        {"W1": (784, 30), "W2": (31, 10)},
        {"arr_0": (784, 128), "arr_1": (128,), "arr_2": (128, 10), "arr_3": (10,)},
        {"arr_0": (784, 128), "arr_1": (128, 10)},
        {"arr_0": (8, 1, 3, 3), "arr_1": (10, 1152)},
        {"a": (3, 3, 1, 8), "b": (3, 3, 8, 16)},
        {"coef_": (10, 784)},
        {"classes__fc": (10, 4), "output__weight": (4, 4), "target__weight": (4, 4)},
        {"log_std": (4,)},
        {"recurrent": (50, 50), "other": (50, 50)},
    ],
)
def test_what_could_be_a_net_is_not_called_data(shapes):
    assert told(**shapes) == ""


def test_inspect_and_read_checkpoint_say_it(tmp_path):
    np.save(tmp_path / "predictions.npy", np.random.default_rng(0).random((1000, 10)))
    found = inspect(tmp_path / "predictions.npy")
    assert [str(one) for one in found.findings] == [BY_SHAPE]
    assert (found.architecture.kind, found.architecture.evidence) == ("unknown", BY_SHAPE)
    assert (found.plans.plans, found.plans.reason) == ((), BY_SHAPE)
    (one,) = read_checkpoint(tmp_path / "predictions.npy").findings
    assert (one.kind, one.text) == ("doubt", BY_SHAPE)


def test_data_sets_as_npz_and_pickle(tmp_path):
    content = {"x_test": np.ones((50, 8)), "y_test": np.arange(50)}
    np.savez(tmp_path / "data.npz", **content)
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(content))
    torch.save({k: torch.from_numpy(v) for k, v in content.items()}, tmp_path / "data.pt")
    for name in ("data.npz", "data.pkl", "data.pt"):
        (one,) = inspect(tmp_path / name).findings
        assert one.text == "may be data, not weights, by the names x_test, y_test"


def test_a_net_is_never_called_data(tmp_path):
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(5, 2, bias=False))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert not any("data" in one.text for one in inspect(tmp_path / "net.pt").findings)
