"""`export_zoo`: a zoo in a form that others read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weightspace import disk
from weightspace.errors import UsageError
from weightspace.interop import nws_writing, states
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo, opened
from weightspace.zoo.files.places import refuse_url
from weightspace.zoo.reading.slices import check_snapshots, choose

FORMATS = ("nws", "safetensors")


@dataclass(frozen=True)
class Exported:
    """Where a zoo went and what of it.

    `left_out` gives the reason for each net that the format cannot take; `without_plan` names the
    nets whose state dict fits no net that a recipe describes.
    """

    path: Path
    format: str
    nets: int
    left_out: dict[str, str]
    without_plan: tuple[str, ...] = ()


def export_zoo(
    zoo: Zoo | str | Path,
    out: str | Path,
    format: str,
    *,
    nets: Iterable[str] | None = None,
    snapshots: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Exported:
    """Write a zoo, or some of its `nets`, to the folder `out` in another format.

    "safetensors": `out`/NET/NNN.safetensors, one torch state dict a net and snapshot, that
    `sequential(recipe)` loads with strict=True, and known.csv, the form that `add` takes.
    "nws": the release of the NWS data set, for nets of its grid with 20 snapshots.
    `snapshots` (of safetensors alone) count from 1, or back from -1; by default all.

    The folder is there whole or not at all. Raises UsageError where it holds anything, and for a
    net that the format cannot describe.
    """
    zoo, out = opened(zoo), Path(out)
    if format not in FORMATS:
        raise UsageError(f"format: {format!r} is unknown; known are {', '.join(FORMATS)}")
    if format == "nws" and snapshots is not None:
        raise UsageError("snapshots: an NWS net has all 20; leave it out, or export to safetensors")
    chosen = _chosen(zoo, nets)
    left_out: dict[str, str] = {}
    strangers: list[str] = []
    refuse_url(out)
    with disk.whole_folder(out) as folder:
        if format == "nws":
            left_out = nws_writing.write(zoo, chosen, folder, progress)
        else:
            moments = _moments(zoo, chosen, snapshots)
            left_out = {net: "it has none of the snapshots" for net in chosen if not moments[net]}
            kept = [net for net in chosen if moments[net]]
            strangers = states.write(zoo, kept, moments, folder, progress)
        if len(left_out) == len(chosen):
            net, reason = next(iter(left_out.items()))
            raise UsageError(f"{zoo.name}: no net can be exported; net {net}: {reason}")
    return Exported(out, format, len(chosen) - len(left_out), left_out, tuple(strangers))


def _chosen(zoo: Zoo, nets: Iterable[str] | None) -> list[str]:
    if nets is None:
        return zoo.nets["net"].to_list()
    chosen = list(dict.fromkeys(nets))
    for net in chosen:
        zoo.layout(net)  # raises for a net that is not there
    if not chosen:
        raise UsageError("nets: none is named; leave it out for all")
    return chosen


def _moments(
    zoo: Zoo, nets: Sequence[str], snapshots: Sequence[int] | None
) -> dict[str, list[int]]:
    """The snapshot numbers asked for that each net has."""
    wanted = check_snapshots(snapshots)
    found: dict[str, list[int]] = {net: [] for net in nets}
    for frame in zoo.snapshots.partition_by("net"):
        numbers = frame["snapshot"].to_numpy()
        if (net := frame["net"][0]) in found:
            found[net] = np.asarray(numbers)[choose(numbers, wanted)].tolist()
    return found
