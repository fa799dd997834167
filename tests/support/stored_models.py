"""Changes to the files of a stored model."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import load_file, save_file


def rewrite(folder, change):
    """Apply `change` to the JSON and the arrays of a stored model."""
    plain = json.loads((folder / "model.json").read_text())
    arrays = load_file(folder / "arrays.safetensors")
    change(plain, arrays)
    (folder / "model.json").write_text(json.dumps(plain))
    save_file(
        {k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "arrays.safetensors"
    )


def put(name, index, value):
    def change(plain, arrays):
        arrays[f"0.{name}"].reshape(-1)[index] = value

    return change


def say(value, *keys):
    def change(plain, arrays):
        for key in keys[:-1]:
            plain = plain[key]
        plain[keys[-1]] = value

    return change
