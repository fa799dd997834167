"""Writes the zoos that every later version must open: `python make_zoos.py FOLDER`.

Run once for each released version, with that version; what it wrote is never written again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from weightspace.sampling import sample
from weightspace.space import Space
from weightspace.zoo import Zoo, write_index

SPACE = Space.from_dict(
    {
        "name": "kept",
        "description": "Nets as small as they get.",
        "recipe": {
            "dataset": ["digits", "textures"],
            "optimizer": ["adam", "momentum"],
            "activation": ["relu", "tanh"],
            "learning_rate": {"low": 0.001, "high": 0.01, "scale": "log"},
            "batch_norm": [False, True],
            "batch_size": 16,
            "depth_conv": 1,
            "depth_fc": 1,
            "width_conv": 2,
            "width_fc": 4,
            "blocks": 1,
            "input_size": 8,
            "channels": 1,
            "outputs": 10,
            "epochs": 1,
            "train_images": 64,
        },
    }
)


def digests(zoo: Zoo) -> dict[str, str]:
    """SHA-256 of every vector's bytes as float32, by net and snapshot."""
    keys = zoo.snapshots.select("net", "snapshot").rows()
    return {f"{n} {k}": hashlib.sha256(zoo.vector(n, k).tobytes()).hexdigest() for n, k in keys}


def main(folder: Path) -> None:
    """One zoo of each kind, and beside it what reading it must give."""
    for name, dtype in (("", "float32"), ("-bfloat16", "bfloat16")):
        out = folder / f"zoo-{version('weightspace')}{name}"
        zoo = sample(SPACE, nets=5, out=out, seed=1, snapshots=2, workers=1, dtype=dtype)
        if not name:
            write_index(out)
        told = {"nets": zoo.nets.to_dicts(), "vectors": digests(zoo)}
        (folder / f"{out.name}.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
