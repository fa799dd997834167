"""`export_zoo`: write a zoo in a format that other software reads."""

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
    """The result of an export.

    Attributes
    ----------
    path : Path
        The folder.
    format : str
        The format.
    nets : int
        The number of exported nets.
    left_out : dict of str to str
        For each net that the format cannot represent, the reason.
    without_plan : tuple of str
        The nets whose state dict fits no module that a recipe describes.
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
    """Write a zoo, or some of its nets, into a folder in another format.

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo, or where it lies.
    out : str or Path
        The new folder. It is written completely or not at all.
    format : {"safetensors", "nws"}
        "safetensors": `out`/NET/NNN.safetensors, one torch state dict for each net and snapshot,
        which `sequential(recipe)` loads with strict=True, and known.csv, which `add` reads. "nws":
        the release of the NWS data set, for nets of its grid with 20 snapshots.
    nets : iterable of str, optional
        The names of the nets; all by default.
    snapshots : sequence of int, optional
        Numbers from 1, or counted back from -1, only for "safetensors"; all by default.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Exported

    Raises
    ------
    UsageError
        If the folder contains anything, or the format cannot represent a net.
    """
    zoo, out = opened(zoo), Path(out)
    if format not in FORMATS:
        raise UsageError("format", f"{format!r} is unknown", f"known are {', '.join(FORMATS)}")
    if format == "nws" and snapshots is not None:
        raise UsageError(
            "snapshots", "an NWS net has all 20", "leave it out, or export to safetensors"
        )
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
            raise UsageError(zoo.name, "no net can be exported", f"net {net}: {reason}")
    return Exported(out, format, len(chosen) - len(left_out), left_out, tuple(strangers))


def _chosen(zoo: Zoo, nets: Iterable[str] | None) -> list[str]:
    if nets is None:
        return zoo.nets["net"].to_list()
    chosen = list(dict.fromkeys(nets))
    for net in chosen:
        zoo.layout(net)  # raises for an unknown net
    if not chosen:
        raise UsageError("nets", "the list is empty", "leave it out for all nets")
    return chosen


def _moments(
    zoo: Zoo, nets: Sequence[str], snapshots: Sequence[int] | None
) -> dict[str, list[int]]:
    """The wanted snapshot numbers that each net has."""
    wanted = check_snapshots(snapshots)
    found: dict[str, list[int]] = {net: [] for net in nets}
    for frame in zoo.snapshots.partition_by("net"):
        numbers = frame["snapshot"].to_numpy()
        if (net := frame["net"][0]) in found:
            found[net] = np.asarray(numbers)[choose(numbers, wanted)].tolist()
    return found
