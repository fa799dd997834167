"""The spaces that come with the package."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

from weightspace.errors import UsageError
from weightspace.space.space import Space, load_space

PRESETS = ("demo", "nws-small", "nws-fixed", "nws-main", "model-zoos")
"""The names of the spaces that come with the package."""


def preset(name: str) -> Space:
    """Load one of the spaces that come with the package, or the space in a YAML file.

    Parameters
    ----------
    name : str
        One of `PRESETS`, or the path of a YAML file.

    Returns
    -------
    Space

    Raises
    ------
    UsageError
        If there is no such preset or file, or the file is not a space.

    Examples
    --------
    >>> preset("nws-small").properties[:3]
    ('dataset', 'learning_rate', 'batch_size')
    """
    if name in PRESETS:
        with resources.as_file(resources.files("weightspace.space") / f"{name}.yaml") as path:
            return replace(load_space(path), places={})
    # Not `Path.exists`, which raises for a name that is too long.
    if Path(name).suffix in (".yaml", ".yml") or os.path.exists(name):  # noqa: PTH110
        return load_space(name)
    raise UsageError(
        name, "no such space", f"presets are {', '.join(PRESETS)}, or give a .yaml file"
    )
