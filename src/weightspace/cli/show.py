"""The text output of the commands."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import SITE
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.cli.demo import Demo
    from weightspace.dissection import Dissection
    from weightspace.images import Entry
    from weightspace.interop import Exported, Published
    from weightspace.meta import Evaluation, Model, Regression
    from weightspace.sampling import Estimate, Reproduction
    from weightspace.space import Space
    from weightspace.zoo import Finding, Repair, Zoo

WIDTH = 118
_LONGEST_LINE = 4096  # characters, as many as a path may have


def terminal() -> Console:
    """The terminal to print to."""
    # A fixed width when piped, so that tables are not squeezed into 80 columns.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def safe(said: object, style: str = "") -> Text:
    """A line with names from outside: without markup and without control characters."""
    return Text(printable(said, _LONGEST_LINE), style=style)


def plain_table(*columns: str) -> Table:
    """A table with these columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def facts(zoo: Zoo) -> dict[str, Any]:
    """The contents of a zoo as plain values."""
    import polars as pl  # it takes long to load, and most commands need none of it

    nets = zoo.nets
    indices = nets["index"].to_numpy()
    missing_nets = sum(one.count - int(one.held(indices).sum()) for one in zoo.rounds.values())
    return {
        "path": zoo.name,
        "space": zoo.space.name,
        "properties": list(zoo.space.properties),
        "recorded_of": {
            name: nets.height - missing
            for name in zoo.space.properties
            if (missing := nets[name].null_count())
        },
        "seed": zoo.meta["seed"],
        "dtype": zoo.dtype.name,
        "nets": nets.height,
        "nets_planned": nets.height + missing_nets,
        "snapshots": zoo.snapshots.height,
        "values": int(zoo.snapshots["length"].sum()),
        "bytes": _size(zoo),
        "shortest_vector": zoo.snapshots["length"].min(),
        "longest_vector": zoo.snapshots["length"].max(),
        "dead": int(nets["dead"].sum()),
        "diverged": int(nets["diverged"].sum()),
        "test_accuracy": {
            row["dataset"]: row["test_accuracy"]
            for row in nets.group_by(pl.col("dataset").fill_null("unknown"))
            .agg(pl.col("test_accuracy").mean())
            .sort("dataset")
            .to_dicts()
        },
        "created": zoo.meta["created"],
        "versions": zoo.meta["versions"],
    } | _not_ended(zoo)


def _not_ended(zoo: Zoo) -> dict[str, list[str]]:
    """The recorded runs that are not in the zoo yet, which only its folder tells."""
    if "recorded" not in zoo.meta["info"] or zoo.name != str(zoo.path):
        return {}
    from weightspace.recording.stories import not_ended

    return {"not_ended": not_ended(zoo.path)}


def _size(zoo: Zoo) -> int | None:
    """The bytes of a zoo's files; None at a URL, where files are not all listed."""
    if zoo.name != str(zoo.path):
        return None
    files = disk.walk(InnerPath(zoo.path))
    return sum(disk.size(file) for file in files if disk.is_file(file))


def zoo(zoo: Zoo) -> None:
    """Print the facts of a zoo, a line for each."""
    found = facts(zoo)
    planned = found["nets_planned"]
    whole = planned == found["nets"]
    accuracy = ", ".join(
        f"{name} {value:.0%}" for name, value in found["test_accuracy"].items() if value is not None
    )
    known = zoo.nets.height == 0 or zoo.nets["dead"].null_count() < zoo.nets.height
    dead = f"{found['dead']:,}" if known else "an unknown number"
    partly = ", ".join(f"{name} ({count:,} nets)" for name, count in found["recorded_of"].items())
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("zoo", found["path"]),
        ("space", f"{found['space']}, seed {found['seed']}"),
        ("varies", ", ".join(found["properties"]) or "nothing that was recorded"),
        (
            "nets",
            f"{found['nets']:,}"
            + ("" if whole else f" of {planned:,}; the command that started it continues it"),
        ),
        *([("recorded", f"for some nets only: {partly}")] if partly else []),
        *([("not ended", ", ".join(found["not_ended"]))] if found.get("not_ended") else []),
        ("of these", f"{dead} stayed at chance (dead), {found['diverged']:,} diverged"),
        (
            "snapshots",
            f"{found['snapshots']:,} with {found['values']:,} {found['dtype']} values in all",
        ),
        (
            "size of a net",
            f"{found['shortest_vector'] or 0:,} to {found['longest_vector'] or 0:,} values",
        ),
        *([("on disk", _bytes(found["bytes"]))] if found["bytes"] is not None else []),
        ("test accuracy", accuracy or ("not measured" if found["nets"] else "no net yet")),
        ("created", f"{found['created']} by {_versions(found['versions'])}"),
    ):
        table.add_row(Text(name, style="bold"), safe(text))
    terminal().print(table)


def estimate(needs: Estimate) -> None:
    """Print what a run needs."""
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("nets", f"{needs.nets:,} in {needs.stacks:,} stacks, {needs.snapshots} snapshots each"),
        ("weights", f"{needs.values:,} values"),
        ("disk", _bytes(needs.disk_bytes)),
        ("memory", f"{_bytes(needs.memory_bytes)} with {needs.workers} workers"),
        ("arithmetic", needs.arithmetic),
        ("time", f"{_duration(needs.seconds)} on this machine"),
    ):
        table.add_row(Text(name, style="bold"), text)
    terminal().print(table)


def reproduction(found: Reproduction) -> None:
    """Print how much a net trained again differs from the stored one."""
    table = plain_table("snapshot", "step", "largest difference", "relative", "equal bits")
    for one in found.differences:
        apart = ("-" if v is None else f"{v:.2g}" for v in (one.largest, one.relative))
        table.add_row(str(one.snapshot), f"{one.step:,}", *apart, "yes" if one.equal else "no")
    terminal().print(table)
    odd = [one.snapshot for one in found.differences if not one.equal]
    said = f"bits differ from snapshot {odd[0]} on" if odd else "every bit is equal"
    terminal().print(
        f"net {found.net}: {said}; trained in a stack of {found.stack} before, alone now"
    )


def exported(made: Exported) -> None:
    """Print where a zoo was exported, and which nets were left out."""
    for net, reason in made.left_out.items():
        terminal().print(safe(f"left out: net {net}: {reason}"), soft_wrap=True)
    if made.without_plan:
        said = f"{_counted(len(made.without_plan), 'net')} fit no recipe's plan"
        terminal().print(safe(f"{said}; tensors there keep the names that the zoo has"))
    terminal().print(safe(f"{_counted(made.nets, 'net')}: {made.path}"), soft_wrap=True)


def published(made: Published) -> None:
    """Print where a repository was prepared, and where it is on the hub."""
    terminal().print(safe(f"{made.folder}: {made.files:,} files, {made.bytes / 1e6:,.2f} MB"))
    where = made.url or f"not uploaded; check it, then leave out --dry-run to make {made.repo}"
    terminal().print(safe(where))


def findings(found: Sequence[Finding], path: Path, full: bool) -> None:
    """Print the findings of a check, a line for each."""
    for finding in found:
        terminal().print(safe(finding), soft_wrap=True)
    errors = sum(finding.severity == "error" for finding in found)
    depth = "every vector was verified" if full else "add --full to verify every vector"
    counts = f"{_counted(errors, 'error')}, {_counted(len(found) - errors, 'remark')}"
    terminal().print(safe(f"{path}: {counts}; {depth}"), soft_wrap=True)


def repair(done: Repair) -> None:
    """Print what a repair found, moved and kept."""
    for finding in done.findings:
        terminal().print(safe(str(finding)), soft_wrap=True)
    if done.aside is None:
        terminal().print("nothing is damaged")
        return
    errors = _counted(len(done.findings), "error")
    terminal().print(safe(f"set aside in {done.aside}: {errors}"), soft_wrap=True)
    terminal().print(f"nets of damaged shards: {len(done.kept):,} kept, {len(done.lost):,} lost")
    if done.lost:
        terminal().print("run the same `weightspace sample` command to train them again")


def index(folder: Path, size: int) -> None:
    """Print where an index was written."""
    terminal().print(safe(f"index: {folder}, {size:,} bytes"), soft_wrap=True)


def evaluation(result: Evaluation, numbers: Regression | None, out: Path) -> None:
    """Print the tables of properties and of numbers, and where they were written."""
    from weightspace.report import number_table

    _tables(result)
    if numbers is not None:
        terminal().print(number_table(numbers))
    terminal().print(safe(f"tables: {out}"))


def _tables(result: Evaluation) -> None:
    """Print the tables of slices and of whole nets, and the comparison of classifiers."""
    from weightspace.report import rival_tables, table

    units = result.frame()["unit"].unique().to_list()
    for unit in ("slice", "net"):
        if unit in units:
            terminal().print(table(result, unit))
    for compared in rival_tables(result):
        terminal().print(compared)


def dissection(result: Dissection, page: Path) -> None:
    """Print the tables of properties and of numbers, and where the page was written."""
    from weightspace.report import number_table

    _tables(result.much)
    if result.numbers is not None:
        terminal().print(number_table(result.numbers))
    if "no_numbers" in result.facts:
        terminal().print(safe(f"no numbers: {result.facts['no_numbers']}"), soft_wrap=True)
    terminal().print(safe(f"page: {page}"))


def model(fitted: Model, out: Path) -> None:
    """Print what a model predicts, and how well."""
    table = plain_table("property", "accuracy by net", "95 % interval", "chance")
    for row in fitted.to_dict()["properties"]:
        table.add_row(
            safe(row["property"]),
            f"{row['accuracy']:.0%}",
            f"{row['low']:.0%}-{row['high']:.0%}",
            f"{row['chance']:.0%}",
        )
    terminal().print(table)
    terminal().print(safe(f"model: {out}; try: weightspace predict {out} FILE"))


def welcome(nets: int, out: Path) -> None:
    """Print what the demo will do."""
    said = (
        f"Training {nets:,} small nets that differ in data, optimizer, activation and more, then "
        f"reading from their weights how they were trained. All results are written to {out}/."
    )
    terminal().print(safe(said))


def demo(result: Demo) -> None:
    """Print the demo's tables, and what to do next."""
    _tables(result.dissection.much)
    # The name as it was called, because `make demo` puts no command on the path.
    name = "weightspace" if shutil.which("weightspace") else sys.argv[0]
    lines = (
        "What next:",
        f"  open {result.page}",
        f"  {name} info {result.zoo}",
        f"  {name} fit {result.zoo} --out model --slice-length 1000",
        f"  {name} images        which image sets are ready, and where the others must be",
        f"  {name} sample nws-small --nets 300 --out zoo --estimate",
    )
    for line in lines:
        terminal().print(safe(line), soft_wrap=True)


def spaces(found: Sequence[Space]) -> None:
    """Print the presets and what varies in each."""
    table = plain_table("space", "what it is", "varies")
    for space in found:
        table.add_row(space.name, space.description, ", ".join(space.properties))
    terminal().print(table)
    terminal().print(
        f"Define your own space in a YAML file: {SITE}spaces/ shows how.", soft_wrap=True
    )


def images(entries: Sequence[Entry]) -> None:
    """Print every image set with its state, and what to do about those that are not ready."""
    table = plain_table("set", "state", "shape", "train + test", "note")
    ready = [entry for entry in entries if entry.state == "ready"]
    for entry in entries:
        is_ready = entry.state == "ready"
        counts = f"{entry.train:,} + {entry.test:,}" if is_ready else ""
        shape = "x".join(map(str, entry.shape)) if entry.shape else ""
        note = entry.note or entry.where if is_ready else "see below"
        style = "green" if is_ready else "dim"
        table.add_row(safe(entry.name), Text(entry.state, style=style), shape, counts, safe(note))
    terminal().print(table)
    for entry in entries:
        if entry not in ready:
            terminal().print(safe(f"{entry.name}: {entry.note}"), soft_wrap=True)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


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
