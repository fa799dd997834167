"""The form "safetensors" of an export: a state dict a net and snapshot, and known.csv."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop import sheets
from weightspace.interop.known import COLUMNS, TABLE
from weightspace.interop.plans import known, planned
from weightspace.networks import Layout
from weightspace.networks.sequential import state_dict
from weightspace.progress import Progress
from weightspace.zoo import Zoo


def write(
    zoo: Zoo,
    nets: Sequence[str],
    moments: Mapping[str, list[int]],
    out: InnerPath,
    progress: Progress,
) -> list[str]:
    """Write `out`/NET/NNN.safetensors for the snapshots `moments[net]`, and `out`/known.csv.

    Returns the nets that no plan describes: their tensors have the names in the zoo's layout.
    """
    strangers, rows = [], []
    about = {row["net"]: row for row in zoo.nets.iter_rows(named=True)}
    taken = {(row["net"], row["snapshot"]): row for row in zoo.snapshots.iter_rows(named=True)}
    for done, net in enumerate(nets):
        progress("exporting nets", done, len(nets))
        layout, row = zoo.layout(net), about[net]
        recipe = planned(row, layout)
        if recipe is None:
            strangers.append(net)
        disk.make_folder(out / net)
        for snapshot in moments[net]:
            moment = taken[net, snapshot]
            vector = zoo.verified(net, snapshot)
            if recipe is None:
                values = _as_stored(net, vector, layout)
            else:
                values = state_dict(recipe, vector, moment["step"])
            file = out / net / f"{snapshot:03d}.safetensors"
            disk.put(file, save(values, metadata=_metadata(row, moment)))
            said = {**row, **moment, "file": file.thing}
            rows.append([_text(said[column]) for column in COLUMNS])
    disk.put(out / TABLE, sheets.text([COLUMNS, *rows]))
    progress("exporting nets", len(nets), len(nets))
    return strangers


def _as_stored(net: str, vector: np.ndarray, layout: Layout) -> dict[str, torch.Tensor]:
    names = {spec.name for spec in layout.tensors if spec.name.isprintable()} - {"__metadata__"}
    if len(names) < len(layout.tensors):
        raise DataError(
            f"net {net}",
            "its tensors have names that a file cannot hold, or one name twice",
            "the zoo is not to be trusted, run `weightspace check`, reading all (`full=True`)",
        )
    return {
        spec.name: torch.from_numpy(np.array(vector[spec.offset : spec.stop])).view(spec.shape)
        for spec in layout.tensors
    }


def _metadata(row: Mapping[str, Any], moment: Mapping[str, Any]) -> dict[str, str]:
    """The texts in the header of the file: the recipe as JSON, without unknown values."""
    facts = {"net": row["net"], "snapshot": moment["snapshot"], "step": moment["step"]}
    said = {name: str(value) for name, value in facts.items() if value is not None}
    return said | {"recipe": json.dumps(known(row), separators=(",", ":"))}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
