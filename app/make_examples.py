"""Train the nets of the app's examples, and write them into the package.

    python app/make_examples.py

Each net is a perceptron with one hidden layer of 48 units, trained on the digits that come with
scikit-learn. The card of `true` says how its net was trained. The card of `false` says the same,
but its net was trained by Adam. The card of `open` is true, but claims only what such weights do
not show. `zoo` is a zoo of small convolutional nets as one archive, for the explorer. It takes
seconds, and gives the same nets again on the same machine.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from safetensors.numpy import load_file, save_file

import weightspace as ws

PLACE = Path(__file__).parents[1] / "src" / "weightspace" / "app" / "examples"
RECIPE = {
    "dataset": "digits",
    "architecture": "mlp",
    "depth_fc": 1,
    "width_fc": 48,
    "batch_norm": False,
    "dropout": 0.0,
    "input_size": 8,
    "channels": 1,
    "outputs": 10,
    "train_images": 1200,
    "batch_size": 32,
    "epochs": 30,
    "initialization": "glorot_uniform",
}
TRAINED = {
    "true": {"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.02},
    "false": {"optimizer": "adam", "learning_rate": 0.01},
    "open": {"optimizer": "rmsprop", "learning_rate": 0.001, "dropout": 0.25},
}
SAID = {
    "true": {
        "optimizer": "SGD(momentum=0.9)",
        "learning_rate": 0.02,
        "initialization": "glorot_uniform",
        "architecture": "mlp",
        "classes": 10,
        "batch_norm": "false",
        "precision": "float32",
    },
    "false": {
        "optimizer": "SGD(momentum=0.9)",
        "learning_rate": 0.02,
        "loss": "cross_entropy",
        "output_activation": "none",
        "gradient_clipping": 0,
        "architecture": "mlp",
        "classes": 10,
        "batch_norm": "false",
    },
    "open": {
        "optimizer": "RMSprop",
        "learning_rate": 0.001,
        "train_batch_size": 32,
        "num_epochs": 30,
        "dropout": 0.25,
        "augmentation": "false",
        "lr_scheduler_type": "constant",
    },
}
ZOO = """\
name: digits
description: Small convolutional nets on the digits of scikit-learn.
recipe:
  dataset: digits
  learning_rate: {low: 0.001, high: 0.02, scale: log}
  batch_size: 32
  optimizer: [adam, rmsprop, momentum]
  activation: [relu, tanh]
  initialization: [normal, glorot_uniform]
  filter_size: [3, 5]
  depth_conv: 2
  depth_fc: 1
  width_conv: 4
  width_fc: 12
  blocks: 2
  dropout: 0.0
  input_size: 8
  channels: 1
  outputs: 10
  train_images: 1200
  epochs: 12
"""
TITLES = {
    "true": "Digits by momentum",
    "false": "Digits by momentum",
    "open": "Digits by RMSprop",
}


def main() -> None:
    """Train three nets, one after the other, and a zoo."""
    for name in TRAINED:
        with tempfile.TemporaryDirectory() as folder:
            place = PLACE / name
            place.mkdir(parents=True, exist_ok=True)
            # Without what the export says of the training: the weights alone shall tell.
            save_file(load_file(trained(name, Path(folder))), place / "net.safetensors")
            (place / "README.md").write_text(card(name), encoding="utf-8")
            print(f"{place / 'net.safetensors'}: {(place / 'net.safetensors').stat().st_size} B")
    with tempfile.TemporaryDirectory() as folder:
        place = PLACE / "zoo" / "digits.zip"
        place.parent.mkdir(exist_ok=True)
        archive(Path(folder), place)
        print(f"{place}: {place.stat().st_size} B")


def archive(folder: Path, place: Path) -> None:
    """Sample a zoo in a folder, and pack it."""
    space = folder / "space.yaml"
    space.write_text(ZOO, encoding="utf-8")
    options = {"nets": 48, "snapshots": 6, "seed": 1, "workers": 1, "dtype": "bfloat16"}
    ws.sample(ws.load_space(space), out=folder / "digits", **options)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in (folder / "digits").rglob("*") if path.is_file()):
            packed.write(path, path.relative_to(folder).as_posix())


def trained(name: str, folder: Path) -> Path:
    """The last snapshot of a net, as a state dict."""
    path = folder / "space.yaml"
    lines = [f"  {key}: {str(value).lower()}" for key, value in (RECIPE | TRAINED[name]).items()]
    path.write_text("\n".join((f"name: example-{name}", "recipe:", *lines, "")), encoding="utf-8")
    zoo = ws.sample(ws.load_space(path), nets=1, out=folder / "zoo", seed=1, workers=1)
    ws.export_zoo(zoo, folder / "out", "safetensors", snapshots=[-1])
    (found,) = (folder / "out").rglob("*.safetensors")
    return found


def card(name: str) -> str:
    """The card of a net."""
    claims = "\n".join(f"- {key}: {value}" for key, value in SAID[name].items())
    return f"# {TITLES[name]}\n\n## Training hyperparameters\n\n{claims}\n"


if __name__ == "__main__":
    main()
