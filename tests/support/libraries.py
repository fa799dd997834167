"""What tests of other libraries' files share: which are installed, and comparisons of values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightspace.checkpoints import Inspection, read_checkpoint
from weightspace.checkpoints.files import read_contents
from weightspace.checkpoints.tensors import Tensor

WHY = "pip install -e '.[libraries]' brings {}, whose files this test reads"


def needed(*packages: str) -> None:
    """Skip a test, with a message, where a package is not installed."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for package in packages:
        pytest.importorskip(package, reason=WHY.format(package))


def values_of(path: Path, key: str | None = None) -> dict[str, np.ndarray]:
    """The values that a checkpoint gives, by the names of its tensors."""
    read = read_checkpoint(path, key=key)
    return {
        spec.name: read.vector[spec.offset : spec.stop].reshape(spec.shape)
        for spec in read.layout.tensors
    }


def everything_in(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file that is one dict of them, used or not."""
    with read_contents(path) as (contents, _):
        return {
            name: contents.values.read(tensor)
            for name, tensor in contents.content.items()
            if isinstance(tensor, Tensor)
        }


def same(path: Path, state: Mapping[str, Any], key: str | None = None) -> None:
    """Assert that the tensors of a state dict of torch are read or told, and nothing else is."""
    read = read_checkpoint(path, key=key)
    found = values_of(path, key)
    told = {note.name for note in read.skipped}
    assert set(state) <= set(found) | told
    assert set(found) <= set(state)
    for name, values in found.items():
        np.testing.assert_array_equal(values, state[name].float().numpy(), err_msg=name)


def randomise(net: Any, seed: int = 0) -> Any:
    """Give every parameter and statistic of a module of torch values of its own."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
    return net


def layers(found: Inspection) -> list[str]:
    """The modules with kernels, in the order that was found."""
    return [layer.name.removesuffix(".weight") for layer in found.architecture.layers]


def side(found: Inspection, norm: str) -> str:
    """What is said of the place of a norm: "before", "after" or both, and the layer."""
    reason = next(note.reason for note in found.used if note.name.startswith(f"{norm}."))
    return reason.partition(" of the norm ")[2].removesuffix(".weight")


def facts(found: Inspection) -> dict[str, Any]:
    """The facts by where they stand."""
    return {fact.where: fact.value for fact in found.facts}
