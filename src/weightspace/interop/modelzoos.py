"""The form "modelzoos" of an import: trial folders of Ray Tune, as in the Model Zoos data sets.

Schürholt et al., "Model Zoos", NeurIPS 2022; keys, files and models are those of its code
(github.com/ModelZoos/ModelZooDataset). A folder with params.json is a trial: one net.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.interop.arrivals import Arrival, LeftOut, Origin, Vectors, sparing
from weightspace.interop.candidates import candidates
from weightspace.interop.checkpoints import read
from weightspace.interop.inside import reading
from weightspace.interop.words import word
from weightspace.printable import printable
from weightspace.space.recipe import FIELDS, checked

ORIGIN = Origin(
    "modelzoos", "model-zoos", "Nets in the form of Model Zoos (Schürholt et al., 2022), imported."
)
_SETTINGS = {
    "optim::lr": "learning_rate",
    "optim::wd": "weight_decay",
    "optim::optimizer": "optimizer",
    "training::batchsize": "batch_size",
    "training::epochs_train": "epochs",
    "model::nlin": "activation",
    "model::init_type": "initialization",
    "model::dropout": "dropout",
    "model::channels_in": "channels",
    "seed": "seed",
}
_WORDS = {
    "initialization": {
        "xavier_uniform": "glorot_uniform",
        "xavier_normal": "glorot_normal",
        "kaiming_uniform": "he_uniform",
        "kaiming_normal": "he_normal",
    },
    "activation": {"leakyrelu": "leaky_relu"},
    "optimizer": {"rms_prop": "rmsprop"},
}
_SMALL = {"depth_conv": 3, "depth_fc": 1, "width_fc": 20, "outputs": 10, "batch_norm": False}
_MODELS: dict[str, dict[str, Any]] = {
    "cnn": _SMALL | {"filter_size": 5, "width_conv": 8, "input_size": 28, "blocks": 3},
    "cnn2": _SMALL | {"filter_size": 5, "width_conv": 6, "input_size": 28},
    "cnn3": _SMALL | {"filter_size": 3, "width_conv": 16, "input_size": 32},
}
"""The settings that the code fixes for each `model::type`, in lower case."""
_MONOTONE = ("relu", "leaky_relu", "tanh", "sigmoid", "elu")
"""Activations that give the same result before and after max pooling."""
_SETS = {
    "MNIST": "mnist",
    "F_MNIST": "fashion_mnist",
    "FMNIST": "fashion_mnist",
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "SVHN": "svhn",
    "STL10": "stl10",
    "USPS": "usps",
    "TINYIMAGENET": "tiny_imagenet",
}
_RESULTS = {
    "train_loss": "train_loss",
    "train_acc": "train_accuracy",
    "test_loss": "test_loss",
    "test_acc": "test_accuracy",
}
_CHECKPOINT = re.compile(r"checkpoint_([0-9]{1,9})")
_FILE = "checkpoints"
_LARGEST = {"params.json": 2**20, "result.json": 2**24}
"""Bytes of a line: the settings of a trial have some thousand, and its results repeat them."""
_LONGEST_LINE = 2**20


def arrivals(
    folder: InnerPath, *, rounded: bool = False, left_out: LeftOut | None = None
) -> Iterator[Arrival]:
    """The nets of all trial folders in a folder, sorted by name."""
    trials: dict[InnerPath, None] = {}
    for place in disk.walk(folder):
        if place.name == "params.json":
            trials[place.parent] = None
        elif len(place.parts) > 1 and _CHECKPOINT.fullmatch(place.parent.name):
            trials[place.parent.parent] = None
    for trial in trials:
        with sparing(trial.thing or trial.name, left_out):
            yield _trial(trial)


def _trial(folder: InnerPath) -> Arrival:
    params = folder / "params.json"
    if not disk.exists(params):
        raise DataError(folder, "has checkpoints, but no params.json", "fetch the trial again")
    recipe = _recipe(_object(str(params), _content(params)), str(params))
    results = _results(folder / "result.json")
    checkpoints = _checkpoints(folder)
    return Arrival(
        source=folder.thing or folder.name,
        recipe=recipe,
        moments=[{"step": None, "epoch": float(n), **results.get(n, {})} for n in checkpoints],
        read=partial(_read, list(checkpoints.values()), recipe),
    )


def _read(files: Sequence[InnerPath], recipe: Mapping[str, Any]) -> Vectors:
    return (read(file, recipe) for file in files)


def _checkpoints(folder: InnerPath) -> dict[int, InnerPath]:
    """The file of each checkpoint by its number of epochs, ascending."""
    found: dict[int, InnerPath] = {}
    net = printable(folder.name)
    for name in disk.names(folder):
        match = _CHECKPOINT.fullmatch(name)
        path = folder / name
        if not match or disk.is_file(path):
            continue
        epoch = int(match.group(1))
        if epoch in found:
            raise DataError(
                path, f"net {net}: is number {epoch} as is {found[epoch].parent.name}", "remove one"
            )
        found[epoch] = _file(path, net)
    if not found:
        raise DataError(folder, f"net {net}: has no folder checkpoint_*", "move it away")
    return dict(sorted(found.items()))


def _file(folder: InnerPath, net: str) -> InnerPath:
    """The file of a checkpoint: `checkpoints` in the data set, other names in later trials."""
    if disk.exists(folder / _FILE):  # refuses a folder that is a link
        return folder / _FILE
    found = candidates(folder, (), lambda other: None)
    if len(found) == 1:
        return found[0].place
    if found:
        names = ", ".join(printable(one.way, 60) for one in found[:5])
        raise DataError(
            folder,
            f"net {net}: has {len(found)} files that may be the net, {names}",
            f"name one of them {_FILE!r}",
        )
    raise DataError(folder, f"net {net}: has no file {_FILE!r}", "fetch the trial again")


def _results(place: InnerPath) -> dict[int, dict[str, float]]:
    """The metrics in result.json by training iteration; empty if there is no such file."""
    found: dict[int, dict[str, float]] = {}
    if not disk.exists(place):
        return found
    lines = io.BytesIO(_content(place))
    for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE), b""), 1):
        here = f"{place}:{number}"
        if len(line) == _LONGEST_LINE:
            raise DataError(here, f"is longer than {_LONGEST_LINE:,} bytes, too long for a result")
        if line.strip():
            row = _object(here, line)
            epoch = row.get("training_iteration")
            if type(epoch) is int:
                found[epoch] = _metrics(row, here)
    return found


def _metrics(row: Mapping[str, Any], place: str) -> dict[str, float]:
    found = {}
    for key, name in _RESULTS.items():
        value = row.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        try:
            metric = float(value)
        except OverflowError:
            raise DataError(
                place, f"{key}: {printable(value, 40)} is not a measured number", "correct it"
            ) from None
        # Before the first epoch the code writes -999 for values that were not measured. Values
        # that are not finite mean that the net diverged, which its weights show, too.
        if math.isfinite(metric) and metric >= 0:
            found[name] = metric
    return found


def _recipe(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The hyper-parameters in params.json; settings that a recipe does not have are ignored."""
    model = _plain(config, "model::type").strip()
    found: dict[str, Any] = dict(_MODELS.get(model.lower(), {}))
    for key, name in _SETTINGS.items():
        value = config.get(key)
        if isinstance(value, dict | list):  # may be nested too deeply to be shown
            raise DataError(place, f"{key}: is not text or a number", "correct it")
        if isinstance(value, str):
            value = word(key, value, place, _WORDS.get(name, {}))
        if value is None:
            continue
        if FIELDS[name] is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            found[name] = checked(name, value)
        except UsageError as error:
            raise DataError(
                place, f"{key}: {printable(error, 400)}", "correct it, or move the trial away"
            ) from None
    momentum = config.get("optim::momentum")
    if found.get("optimizer") == "sgd" and isinstance(momentum, int | float) and momentum > 0:
        found["optimizer"] = "momentum"
    if model:
        found["architecture"] = _architecture(model, found.get("activation"), place)
    if data := _dataset(config):
        found["dataset"] = data
    return found


def _architecture(model: str, activation: str | None, place: str) -> str:
    """The plan's architecture if the model computes the same, else a name of its own.

    The models pool first and then apply the activation, which is the same for monotone activations.
    """
    if model.lower() == "cnn" and activation in _MONOTONE:
        return "model_zoos"
    name = word("model::type", model, place, {})
    return f"model_zoos_{name}"


def _dataset(config: Mapping[str, Any]) -> str | None:
    """The image set, which only the paths of its files show."""
    for key in ("dataset::dump", "training::data_path"):
        for part in reversed(re.split(r"[\\/]", _plain(config, key))):
            plain = part.upper().replace("-", "_")
            if found := _SETS.get(plain) or _SETS.get(plain.replace("_", "")):
                return found
    return None


def _plain(config: Mapping[str, Any], key: str) -> str:
    """A setting that is text; other kinds are ignored."""
    value = config.get(key)
    return value if isinstance(value, str) else ""


def _content(place: InnerPath) -> bytes:
    with reading(place, remedy="check permissions"):
        return disk.read_bytes(place, _LARGEST[place.name], within=True)


def _object(place: str, text: bytes) -> dict[str, Any]:
    """Parse a JSON object; a file, or a line of these files, is always one."""
    try:
        found = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            place, f"is not JSON ({printable(error)})", "fetch the trial again"
        ) from None
    if not isinstance(found, dict):
        raise DataError(place, "is not a JSON object", "fetch the trial again")
    return found
