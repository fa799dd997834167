"""The form "nws" of an export: write a zoo in the format of the NWS data set's release."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.interop import nws_form as form
from weightspace.interop import sheets
from weightspace.interop.inside import below
from weightspace.interop.plans import planned
from weightspace.printable import printable
from weightspace.progress import Progress
from weightspace.zoo import Zoo

_INSTEAD = 'give `format="safetensors"`, which takes any net'


def write(zoo: Zoo, nets: Iterable[str], out: InnerPath, progress: Progress) -> dict[str, str]:
    """Write a folder for each net, and the split tables; returns the reasons of nets left out.

    Raises UsageError for a net that the data set's columns cannot describe.
    """
    about = {row["net"]: row for row in zoo.nets.iter_rows(named=True)}
    left_out: dict[str, str] = {}
    tables: dict[tuple[str, str], list[list[str]]] = {}
    chosen = list(nets)
    codes = {net: _codes(about[net], zoo) for net in chosen}
    taken = {frame["net"][0]: frame for frame in zoo.snapshots.partition_by("net")}
    for done, net in enumerate(chosen):
        progress("exporting nets", done, len(chosen))
        row, order = about[net], form.Order.of(form.recipe_of(about[net]))
        moments = taken.get(net)
        reason = _unfit(row, moments)
        if reason or moments is None:
            left_out[net] = reason
            continue
        folder, table = _folder(row, out), _table(row)
        if disk.exists(folder):
            raise _strange(net, f"its source {folder.thing!r} is that of another net as well")
        disk.make_folder(folder / "weights")
        for number in moments["snapshot"]:
            values = order.from_zoo(zoo.verified(net, number)).astype("<f8")
            disk.put(folder / "weights" / f"{number:03d}.bin", values.tobytes())
        error, stat = _history(row, moments)
        disk.put(folder / "error.bin", error)
        disk.put(folder / "stat.bin", stat)
        disk.put(folder / "meta.csv", sheets.text([list(form.COLUMNS), codes[net]]))
        sizes = [str(form.count(order.layout, part)) for part in ("conv", "fc")]
        tables.setdefault((table, row["split"]), []).append([*codes[net], *sizes, folder.thing])
    progress("exporting nets", len(chosen), len(chosen))
    for (table, split), rows in tables.items():
        header = [*form.COLUMNS, *form.SIZES, "path"]
        disk.put(out / f"{table}_{split}.csv", sheets.text([header, *rows]))
    return left_out


def _codes(row: Mapping[str, Any], zoo: Zoo) -> list[str]:
    """The cells of a net in meta.csv."""
    net = row["net"]
    for name, value in form.GEOMETRY.items():
        if row[name] != value:
            raise UsageError(
                f"net {net}", f"{name} is {row[name]}, that of an NWS net {value}", _INSTEAD
            )
    found = []
    for column, name in form.COLUMNS.items():
        code = form.code_of(column, row[name])
        if row[name] is None or code is None:
            known = ", ".join(form.CODES[column].values()) if column in form.CODES else "any value"
            raise UsageError(
                f"net {net}", f"{name} is {row[name]}, an NWS net has one of {known}", _INSTEAD
            )
        found.append(code)
    if planned(row, zoo.layout(net)) is None:
        raise UsageError(f"net {net}", "its tensors are not those of an NWS net", _INSTEAD)
    return found


def _unfit(row: Mapping[str, Any], moments: pl.DataFrame | None) -> str:
    """Why a net cannot be in a split table, whose nets have 20 snapshots of a complete training."""
    numbers = [] if moments is None else moments["snapshot"].to_list()
    if moments is None or numbers != list(range(1, len(numbers) + 1)):
        return "some of its snapshots are missing"
    if row.get("nws_error") is None:
        if row["diverged"]:
            return "it diverged"
        if len(numbers) != form.SNAPSHOTS:
            return f"it has {len(numbers)} snapshots, an NWS net {form.SNAPSHOTS}"
        if moments["step"].null_count():
            return "the steps of its snapshots are not known"
    return ""


def _folder(row: Mapping[str, Any], out: InnerPath) -> InnerPath:
    """Where to write a net: at its original path, if it was imported from this format."""
    if row.get("nws_table") is None:
        net: str = row["net"]
        return out / "nets" / net
    found = below(out, str(row["source"]))
    if found is None:
        raise _strange(
            row["net"], f"its source {printable(row['source'], 80)!r} is not a relative path"
        )
    return found


def _table(row: Mapping[str, Any]) -> str:
    """The name of the table that a net came from, without its split."""
    name = str(row.get("nws_table") or "nws")
    found = disk.stays_inside(name)
    if found is None or str(found) != name or len(found.parts) > 1:
        raise _strange(row["net"], f"its table {printable(name, 80)!r} is not a file name")
    return name


def _strange(net: str, what: str) -> UsageError:
    return UsageError(
        f"net {net}",
        what,
        "the zoo is not to be trusted, run `weightspace check`, reading all (`full=True`)",
    )


def _history(row: Mapping[str, Any], moments: pl.DataFrame) -> tuple[bytes, bytes]:
    """The bytes of error.bin and stat.bin: the imported ones, or made from snapshots' metrics."""
    if row.get("nws_error") is not None:
        try:
            return base64.b64decode(row["nws_error"]), base64.b64decode(row["nws_stat"])
        except (ValueError, TypeError):
            raise DataError(
                f"net {row['net']}",
                "its columns nws_error and nws_stat are damaged",
                "import the net again",
            ) from None
    kinds = ("train", "validation", "test")
    wrong = [
        100 * (1 - moments[f"{kind}_accuracy"].cast(pl.Float64).fill_null(np.nan).to_numpy())
        for kind in kinds
    ]
    smoothed = wrong[1].copy()
    for i in range(1, len(smoothed)):
        smoothed[i] = 0.5 * smoothed[i - 1] + 0.5 * wrong[1][i]
    steps = moments["step"].to_numpy().astype(np.float64)
    epochs = moments["epoch"].fill_null(np.nan)
    error = np.stack([steps, *wrong, smoothed], axis=1)
    stat = np.array([len(error), steps[-1], epochs[-1], np.nan])
    return error.astype("<f8").tobytes(), stat.astype("<f8").tobytes()
