"""`import --format modelzoos`: trial folders of Ray Tune, as the Model Zoos data sets have them.

Schürholt et al., "Model Zoos", NeurIPS 2022; keys, files and models are those of its code
(github.com/ModelZoos/ModelZooDataset). A folder with params.json is a trial: one net.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from weightspace.doors.arrivals import Arrival, Origin, Vectors
from weightspace.doors.checkpoints import read
from weightspace.doors.words import word
from weightspace.errors import DataError, UsageError
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
"""What the code fixes for a `model::type`, in small letters."""
_MONOTONE = ("relu", "leaky_relu", "tanh", "sigmoid", "elu")
"""Activations that may as well be applied before a maximum is taken as after."""
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
_LARGEST = 2**28  # bytes of a JSON file


def arrivals(folder: Path, *, rounded: bool = False) -> Iterator[Arrival]:
    """The nets of all trial folders in a folder, in the order of their names."""
    for params in sorted(folder.rglob("params.json")):
        yield _trial(params.parent, params.parent.relative_to(folder).as_posix())


def _trial(folder: Path, source: str) -> Arrival:
    config = _object(folder / "params.json", (folder / "params.json").read_text)
    recipe = _recipe(config, folder / "params.json")
    results = _results(folder / "result.json")
    checkpoints = _checkpoints(folder)
    return Arrival(
        source=source if source != "." else folder.name,
        recipe=recipe,
        moments=[
            {"step": None, "epoch": float(n), **_metrics(results.get(n, {}), folder)}
            for n in checkpoints
        ],
        read=partial(_read, list(checkpoints.values()), recipe),
    )


def _read(files: Sequence[Path], recipe: Mapping[str, Any]) -> Vectors:
    return (read(file, recipe) for file in files)


def _checkpoints(folder: Path) -> dict[int, Path]:
    """The file of each checkpoint by the number of epochs before it, ascending."""
    found: dict[int, Path] = {}
    for path in folder.glob("checkpoint_*"):
        match = re.fullmatch(r"checkpoint_(\d{1,9})", path.name)
        if not match or not path.is_dir():
            continue
        file, epoch = path / "checkpoints", int(match.group(1))
        if epoch in found:
            raise DataError(
                f"{path}: net {folder.name}: is number {epoch} as is {found[epoch].parent.name}; "
                "remove one"
            )
        if not file.is_file():
            raise DataError(
                f"{path}: net {folder.name}: has no file 'checkpoints'; fetch the trial again"
            )
        found[epoch] = file
    if not found:
        raise DataError(f"{folder}: net {folder.name}: has no folder checkpoint_*; move it away")
    return dict(sorted(found.items()))


def _results(path: Path) -> dict[int, dict[str, Any]]:
    """The lines of result.json by their training iteration; none where there is no such file."""
    found: dict[int, dict[str, Any]] = {}
    if not path.exists():
        return found
    if path.stat().st_size > _LARGEST:
        raise DataError(f"{path}: is larger than {_LARGEST:,} bytes, which no such file is")
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = _object(f"{path}:{number}", lambda line=line: line)
                epoch = row.get("training_iteration")
                if type(epoch) is int:
                    found[epoch] = row
    return found


def _metrics(row: Mapping[str, Any], folder: Path) -> dict[str, float]:
    found = {}
    for key, name in _RESULTS.items():
        value = row.get(key)
        # Before the first epoch the code writes -999 for what it has not measured.
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            found[name] = float(value)
    return found


def _recipe(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What params.json tells; settings that a recipe does not have are left aside."""
    model = str(config.get("model::type", "")).strip()
    found: dict[str, Any] = dict(_MODELS.get(model.lower(), {}))
    for key, name in _SETTINGS.items():
        value = config.get(key)
        if isinstance(value, str):
            value = word(key, value, str(path), _WORDS.get(name, {}))
        if value is None:
            continue
        if FIELDS[name] is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            found[name] = checked(name, value)
        except UsageError as error:
            raise DataError(f"{path}: {key}: {error}; correct it, or move the trial away") from None
    momentum = config.get("optim::momentum")
    if found.get("optimizer") == "sgd" and isinstance(momentum, int | float) and momentum > 0:
        found["optimizer"] = "momentum"
    if model:
        found["architecture"] = _architecture(model, found.get("activation"), path)
    if data := _dataset(config):
        found["dataset"] = data
    return found


def _architecture(model: str, activation: str | None, path: Path) -> str:
    """The plan's architecture where the model computes the same, else a name of its own.

    The models pool first and apply the activation afterwards, which is the same unless it bends.
    """
    if model.lower() == "cnn" and activation in _MONOTONE:
        return "model_zoos"
    name = word("model::type", model, str(path), {})
    return f"model_zoos_{name}"


def _dataset(config: Mapping[str, Any]) -> str | None:
    """The image set, which only the paths of its files tell."""
    for key in ("dataset::dump", "training::data_path"):
        for part in reversed(re.split(r"[\\/]", str(config.get(key) or ""))):
            plain = part.upper().replace("-", "_")
            if found := _SETS.get(plain) or _SETS.get(plain.replace("_", "")):
                return found
    return None


def _object(place: Path | str, text: Any) -> dict[str, Any]:
    """A JSON object, which is all that a file or a line of these may be."""
    try:
        if isinstance(place, Path) and place.stat().st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST:,} bytes")
        found = json.loads(text())
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}); check permissions") from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: is no JSON ({printable(error)}); fetch the trial again"
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"{place}: holds no JSON object; fetch the trial again")
    return found
