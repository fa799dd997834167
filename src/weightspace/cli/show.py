"""What the commands say to people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from weightspace.audit.prediction import Prediction
    from weightspace.cli.demo import Demo
    from weightspace.dissection import Dissection
    from weightspace.images import Entry
    from weightspace.meta import Evaluation, Model
    from weightspace.sampling import Estimate
    from weightspace.space import Space
    from weightspace.zoo import Finding, Zoo

WIDTH = 118


def _out() -> Console:
    # Wrapping at a fixed width when piped, so that tables are not squeezed into 80 columns.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def facts(zoo: Zoo) -> dict[str, Any]:
    """What a zoo holds, as plain values."""
    nets = zoo.nets
    return {
        "path": str(zoo.path),
        "space": zoo.space.name,
        "properties": list(zoo.space.properties),
        "seed": zoo.meta["seed"],
        "nets": nets.height,
        "nets_planned": zoo.meta["info"].get("nets"),
        "snapshots": zoo.snapshots.height,
        "values": int(zoo.snapshots["length"].sum()),
        "bytes": sum(f.stat().st_size for f in zoo.path.rglob("*") if f.is_file()),
        "shortest_vector": zoo.snapshots["length"].min(),
        "longest_vector": zoo.snapshots["length"].max(),
        "dead": int(nets["dead"].sum()),
        "diverged": int(nets["diverged"].sum()),
        "test_accuracy": {
            row["dataset"]: row["test_accuracy"]
            for row in nets.group_by("dataset")
            .agg(pl.col("test_accuracy").mean())
            .sort("dataset")
            .to_dicts()
        },
        "created": zoo.meta["created"],
        "versions": zoo.meta["versions"],
    }


def zoo(zoo: Zoo) -> None:
    """A zoo's facts, a line each."""
    found = facts(zoo)
    planned = found["nets_planned"]
    whole = planned in (None, found["nets"])
    accuracy = ", ".join(
        f"{name} {value:.0%}" for name, value in found["test_accuracy"].items() if value is not None
    )
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("zoo", found["path"]),
        ("space", f"{found['space']}, seed {found['seed']}"),
        ("varies", ", ".join(found["properties"])),
        (
            "nets",
            f"{found['nets']:,}"
            + ("" if whole else f" of {planned:,}; the same sample command continues"),
        ),
        ("of these", f"{found['dead']:,} dead (at chance), {found['diverged']:,} diverged"),
        ("snapshots", f"{found['snapshots']:,} vectors, {found['values']:,} values"),
        (
            "lengths",
            f"{found['shortest_vector'] or 0:,} to {found['longest_vector'] or 0:,} values",
        ),
        ("on disk", _bytes(found["bytes"])),
        ("test accuracy", accuracy or "no net yet"),
        ("made", f"{found['created']} by {_versions(found['versions'])}"),
    ):
        table.add_row(Text(name, style="bold"), Text(str(text)))
    _out().print(table)


def estimate(needs: Estimate) -> None:
    """What a run would need."""
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("nets", f"{needs.nets:,} in {needs.stacks:,} stacks, {needs.snapshots} snapshots each"),
        ("weights", f"{needs.values:,} values"),
        ("disk", _bytes(needs.disk_bytes)),
        ("memory", f"{_bytes(needs.memory_bytes)} with {needs.workers} workers"),
        ("time", f"{_duration(needs.seconds)} on this machine"),
    ):
        table.add_row(Text(name, style="bold"), text)
    _out().print(table)


def findings(found: Sequence[Finding], path: Path, full: bool) -> None:
    """What a check found, a line each."""
    for finding in found:
        _out().print(Text(str(finding)), soft_wrap=True)
    errors = sum(finding.severity == "error" for finding in found)
    depth = "every vector was re-hashed" if full else "add --full to re-hash every vector"
    _out().print(f"{path}: {errors} errors, {len(found) - errors} remarks; {depth}", markup=False)


def evaluation(result: Evaluation, out: Path) -> None:
    """The table by property, and where the tables went."""
    from weightspace.report import table

    _out().print(table(result))
    _out().print(f"tables: {out}", markup=False)


def dissection(result: Dissection, page: Path) -> None:
    """The table by property, and where the page went."""
    from weightspace.report import table

    _out().print(table(result.much))
    _out().print(f"page: {page}", markup=False)


def model(fitted: Model, out: Path) -> None:
    """What a fitted model reads, and how well."""
    table = _table("property", "accuracy by net", "95 % interval", "chance")
    for row in fitted.to_dict()["properties"]:
        table.add_row(
            Text(row["property"]),
            f"{row['accuracy']:.0%}",
            f"{row['low']:.0%}-{row['high']:.0%}",
            f"{row['chance']:.0%}",
        )
    _out().print(table)
    _out().print(f"model: {out}; try: weightspace predict {out} FILE", markup=False)


def predictions(results: Sequence[Prediction]) -> None:
    """A model's answer for each checkpoint, with the tensors that were used and skipped."""
    for result in results:
        _prediction(result)


def _prediction(result: Prediction) -> None:
    from weightspace.report import answer_table

    checkpoint = result.checkpoint
    _out().print(Text(str(checkpoint.path), style="bold"))
    _out().print(answer_table(result.answer))
    used, skipped = len(checkpoint.used), checkpoint.skipped
    _out().print(f"{checkpoint.vector.size:,} values of {used} tensors were read")
    for note in skipped:
        _out().print(Text(f"skipped {note.name}: {note.reason}"))


def welcome(nets: int, out: Path) -> None:
    """What the demo is about to do."""
    _out().print(
        f"Training {nets:,} small nets that differ in data, optimizer, activation and more, then "
        f"reading off their weights how they were trained. Everything goes to {out}/.",
        markup=False,
    )


def demo(result: Demo) -> None:
    """The demo's table, and what to do next."""
    from weightspace.report import table

    much = result.dissection.much
    _out().print(table(much))
    _out().print(table(much, unit="net"))
    lines = (
        "What next:",
        f"  open {result.page}",
        f"  weightspace info {result.zoo}",
        f"  weightspace fit {result.zoo} --out model --slice-length 1000",
        "  weightspace images        which real image sets are ready, and where others belong",
        "  weightspace sample nws-small --nets 300 --out zoo --estimate",
    )
    for line in lines:
        _out().print(Text(line), soft_wrap=True)


def spaces(found: Sequence[Space]) -> None:
    """The presets and what varies in each."""
    table = _table("space", "what it is", "varies")
    for space in found:
        table.add_row(space.name, space.description, ", ".join(space.properties))
    _out().print(table)
    _out().print("A YAML file makes your own; docs/spaces.md shows how.")


def images(entries: Sequence[Entry]) -> None:
    """Every image set with its state."""
    table = _table("set", "state", "shape", "where", "note")
    for entry in entries:
        style = "green" if entry.state == "ready" else "dim"
        table.add_row(
            Text(entry.name),
            Text(entry.state, style=style),
            Text(str(entry.shape or "")),
            Text(str(entry.where)),
            Text(entry.note or ""),
        )
    _out().print(table)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
