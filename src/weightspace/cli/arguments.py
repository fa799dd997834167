"""The options that several commands share, and how their text is parsed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightspace.cli import completing
from weightspace.errors import UsageError
from weightspace.sampling.options import Options

if TYPE_CHECKING:
    from weightspace.zoo import Split, Zoo

MOST_NUMBERS = 10_000
DEMO_NETS, DEMO_FOLDER = 300, Path("demo")

typed: list[str] = []
"""The command-line arguments, for results that record their command."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ZooPath = Annotated[Path, typer.Argument(metavar="ZOO", help="The zoo's folder.")]
ZooName = Annotated[str, typer.Argument(metavar="ZOO", help="The zoo's folder, or its URL.")]
Out = Annotated[Path, typer.Option(help="The folder for the results; made if missing.")]
DataDir = Annotated[
    str | None, typer.Option(help="The folder of image files; see `weightspace images`.")
]
Key = Annotated[
    str | None,
    typer.Option(
        help="The state dict to read if there are several, such as ema; by default the net's."
    ),
]
Names = Annotated[str | None, typer.Option(help="Comma-separated names; by default all.")]
Properties = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated names; by default all.",
        autocompletion=completing.some_of(completing.properties),
    ),
]
Classifiers = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated names; by default shallow, kernel and layers, and raw if all nets "
        "have the same layers and shapes.",
        autocompletion=completing.some_of(completing.CLASSIFIERS),
    ),
]
SliceLength = Annotated[
    int | None,
    typer.Option(
        help="Weights in a slice; by default 5000, or the length of the shortest net if it is less."
    ),
]
Part = Annotated[
    str,
    typer.Option(
        help="Layers to read: all, conv or fc.",
        autocompletion=completing.one_of(completing.PARTS),
    ),
]
RunningStats = Annotated[
    bool,
    typer.Option(
        "--running-stats/--no-running-stats", help="Read batch norm's running statistics, too."
    ),
]
Snapshots = Annotated[
    str, typer.Option(help="Snapshots to read, such as 20, 1,10,20 or 1-20; -1 is the last.")
]
Seeds = Annotated[
    str, typer.Option(help="Comma-separated seeds; the evaluation runs once for each.")
]
SlicesPerNet = Annotated[int, typer.Option(min=1, help="Number of slices to read of each net.")]
Permutations = Annotated[
    int, typer.Option(help="How often the control with permuted labels is repeated; 0 for never.")
]
StoredSplit = Annotated[
    bool, typer.Option("--split", help="Test on the zoo's test nets, without cross-validation.")
]
LeaveOut = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=LEVEL",
        help="Test on the nets with this level, such as depth_conv=5; train on the others.",
    ),
]


def names(option: str, text: str | None) -> list[str] | None:
    """Names from comma-separated text; None where the option was not given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(option, f"{text!r} has no names", "leave the option out for all")
    return names


def properties(text: str | None) -> list[str] | None:
    """Property names as tables show them ("learning rate") or as recipes have them."""
    found = names("properties", text)
    return found and [name.lower().replace(" ", "_").replace("-", "_") for name in found]


def also(text: str) -> tuple[str, ...]:
    """The optional analyses of a dissection, from text."""
    from weightspace.dissection import ALSO

    if text in ("all", "none"):
        return ALSO if text == "all" else ()
    return tuple(names("also", text) or ())


def split(zoo: Zoo, stored: bool, left_out: str | None) -> Split | None:
    """The requested split; None for folds."""
    if left_out is None:
        return zoo.split() if stored else None
    if stored:
        raise UsageError("--split and --leave-out", "cannot be combined", "give one of them")
    name, equals, level = left_out.partition("=")
    if not equals:
        raise UsageError("leave_out", f"{left_out!r} names no level", "write it as in depth_conv=5")
    return zoo.split(leave_out=(name.strip(), level.strip()))


def shard(text: str) -> tuple[int, int]:
    """The number of a shard and the number of shards, from text such as 2/8."""
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError("shard", f"{text!r} is no shard", "write 2/8 for the second of eight")
    return int(number), int(count)


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `sampling.sample` among a command's parameters, parsed from text."""
    meant: dict[str, Callable[[Any], Any]] = {
        "shard": shard,
        "datasets": partial(names, "datasets"),
        "module": partial(names, "module"),
        "snapshot_epochs": partial(epochs, "snapshot_epochs"),
    }
    found = {field.name: given[field.name] for field in fields(Options)}
    return {name: meant[name](value) if name in meant else value for name, value in found.items()}


def folder(out: Path) -> Path:
    """`out`, if results can be written there; checked before anything is computed."""
    from weightspace.zoo.files.places import refuse_url

    refuse_url(out)
    if out.is_symlink() and not out.exists():
        raise UsageError(out, "is a link that leads nowhere", "remove it, or choose another --out")
    if out.exists() and not out.is_dir():
        raise UsageError(out, "is a file", "choose another --out")
    if (out / "zoo.json").exists():
        raise UsageError(out, "is a zoo, not a folder for results", "choose another --out")
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UsageError(out, f"cannot be written, {there} is not writable", "choose another --out")
    return out


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers from text such as 20, 1,10,20 or 1-20."""
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().rpartition("-")
        try:
            ends = (int(first), int(last)) if dash and first else (int(piece), int(piece))
        except ValueError:
            raise UsageError(
                option, f"{piece.strip()!r} is no number", "write 20, 1,10,20 or 1-20"
            ) from None
        if not 0 <= ends[1] - ends[0] < MOST_NUMBERS:
            raise UsageError(option, f"{piece.strip()!r} is no range of up to {MOST_NUMBERS:,}")
        found += range(ends[0], ends[1] + 1)
    return tuple(found)


def epochs(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers of epochs from text such as 0,0.5,1,2; None where the option was not given."""
    if text is None:
        return None
    try:
        return tuple(float(piece) for piece in text.split(","))
    except ValueError:
        raise UsageError(option, f"{text!r} holds no numbers", "write 0,0.5,1,2,5") from None
