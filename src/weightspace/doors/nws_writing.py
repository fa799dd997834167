"""`export --format nws`: a zoo in the form of the NWS data set's release."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.doors import nws_form as form
from weightspace.doors.folders import inner
from weightspace.doors.plans import planned
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.progress import Progress
from weightspace.zoo import Zoo

_INSTEAD = "export it with --format safetensors, which takes any net"


def write(zoo: Zoo, nets: Iterable[str], out: Path, progress: Progress) -> dict[str, str]:
    """Write a folder a net and the split tables; returns the nets left out with the reason.

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
        folder = _folder(row)
        table = row.get("nws_table") or "nws"
        (out / folder / "weights").mkdir(parents=True)
        for number in moments["snapshot"]:
            values = order.from_zoo(zoo.verified(net, number)).astype("<f8")
            (out / folder / f"weights/{number:03d}.bin").write_bytes(values.tobytes())
        error, stat = _history(row, moments)
        (out / folder / "error.bin").write_bytes(error)
        (out / folder / "stat.bin").write_bytes(stat)
        _write(out / folder / "meta.csv", [list(form.COLUMNS), codes[net]])
        sizes = [str(len(order.layout.indices(part))) for part in ("conv", "fc")]
        tables.setdefault((table, row["split"]), []).append([*codes[net], *sizes, folder])
    progress("exporting nets", len(chosen), len(chosen))
    for (table, split), rows in tables.items():
        _write(out / f"{table}_{split}.csv", [[*form.COLUMNS, *form.SIZES, "path"], *rows])
    return left_out


def _codes(row: Mapping[str, Any], zoo: Zoo) -> list[str]:
    """The cells of a net in meta.csv."""
    net = row["net"]
    for name, value in form.GEOMETRY.items():
        if row[name] != value:
            raise UsageError(
                f"net {net}: {name} is {row[name]}, that of an NWS net {value}; {_INSTEAD}"
            )
    found = []
    for column, name in form.COLUMNS.items():
        code = form.code_of(column, row[name])
        if row[name] is None or code is None:
            known = ", ".join(form.CODES[column].values()) if column in form.CODES else "any value"
            raise UsageError(
                f"net {net}: {name} is {row[name]}, an NWS net has one of {known}; {_INSTEAD}"
            )
        found.append(code)
    if planned(row, zoo.layout(net)) is None:
        raise UsageError(f"net {net}: its tensors are not those of an NWS net; {_INSTEAD}")
    return found


def _unfit(row: Mapping[str, Any], moments: pl.DataFrame | None) -> str:
    """Why a net cannot stand in a split table, whose nets have 20 snapshots of a whole training."""
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


def _folder(row: Mapping[str, Any]) -> str:
    """Where a net lies: where it came from, if it came in this form."""
    if row.get("nws_table") is None:
        return f"nets/{row['net']}"
    found = inner(row["source"])
    if found is None:
        raise UsageError(
            f"net {row['net']}: its source {printable(row['source'], 80)!r} is no relative path; "
            "the zoo is not to be trusted, run `weightspace check --full`"
        )
    return found.as_posix()


def _history(row: Mapping[str, Any], moments: pl.DataFrame) -> tuple[bytes, bytes]:
    """The bytes of error.bin and stat.bin: as they came, or from the metrics of the snapshots."""
    if row.get("nws_error") is not None:
        try:
            return base64.b64decode(row["nws_error"]), base64.b64decode(row["nws_stat"])
        except (ValueError, TypeError):
            raise DataError(
                f"net {row['net']}: its columns nws_error and nws_stat are damaged; "
                "import the net again"
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


def _write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
