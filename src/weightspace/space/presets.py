"""The spaces that come with the package."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

from weightspace.errors import UsageError
from weightspace.space.space import Space, load_space

PRESETS = ("demo", "nws-small", "nws-fixed", "nws-main", "model-zoos")


def preset(name: str) -> Space:
    """The preset called `name`, or the space in the YAML file of that path."""
    if name in PRESETS:
        with resources.as_file(resources.files("weightspace.space") / f"{name}.yaml") as path:
            return replace(load_space(path), places={})
    # By os: `Path.exists` raises for a name that is too long to be one.
    if Path(name).suffix in (".yaml", ".yml") or os.path.exists(name):  # noqa: PTH110
        return load_space(name)
    raise UsageError(
        f"{name}: no such space; presets are {', '.join(PRESETS)}, or give a .yaml file"
    )
