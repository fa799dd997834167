"""The options that several commands share, and what their text means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightspace.errors import UsageError
from weightspace.sampling.options import Options

if TYPE_CHECKING:
    from weightspace.zoo import Split, Zoo

MOST_NUMBERS = 10_000
DEMO_NETS, DEMO_FOLDER = 300, Path("demo")

typed: list[str] = []
"""What was typed after `weightspace`, for results that say how they were made."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ZooPath = Annotated[Path, typer.Argument(metavar="ZOO", help="The zoo's directory.")]
ZooName = Annotated[str, typer.Argument(metavar="ZOO", help="The zoo's directory, or its URL.")]
Out = Annotated[Path, typer.Option(help="Where the results go; made when missing.")]
DataDir = Annotated[
    str | None, typer.Option(help="Where image files are; see `weightspace images`.")
]
Names = Annotated[str | None, typer.Option(help="Comma-separated names.")]
SliceLength = Annotated[
    int | None,
    typer.Option(help="Values that a slice holds; default 5000, or all that the shortest net has."),
]
Part = Annotated[str, typer.Option(help="Which part of the net is read: all, conv or fc.")]
RunningStats = Annotated[
    bool,
    typer.Option(
        "--running-stats/--no-running-stats", help="Read batch norm's running statistics."
    ),
]
Moments = Annotated[
    str, typer.Option(help="Snapshots to read, like 20 or 1,10,20 or 1-20; -1 is the last.")
]
Seeds = Annotated[str, typer.Option(help="Seeds of the protocol, comma-separated.")]
SlicesPerNet = Annotated[int, typer.Option(min=1, help="Slices drawn of each net.")]
Permutations = Annotated[
    int, typer.Option(help="Repetitions with permuted labels, the control; 0 for none.")
]
StoredSplit = Annotated[
    bool, typer.Option("--split", help="Test on the nets that the zoo sets aside, without folds.")
]
LeaveOut = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=LEVEL", help="Test on the nets of a level, like depth_conv=5; train without."
    ),
]


def names(option: str, text: str | None) -> list[str] | None:
    """Names from comma-separated text; None where the option was not given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{option}: {text!r} names nothing; leave it out for all")
    return names


def properties(text: str | None) -> list[str] | None:
    """Property names as tables show them ("learning rate") or as recipes have them."""
    found = names("properties", text)
    return found and [name.lower().replace(" ", "_").replace("-", "_") for name in found]


def also(text: str) -> tuple[str, ...]:
    """What a dissection holds besides how much, where and when."""
    from weightspace.dissection import ALSO

    if text in ("all", "none"):
        return ALSO if text == "all" else ()
    return tuple(names("also", text) or ())


def split(zoo: Zoo, stored: bool, left_out: str | None) -> Split | None:
    """The split that was asked for; None for folds."""
    if left_out is None:
        return zoo.split() if stored else None
    if stored:
        raise UsageError("--split and --leave-out: are two ways to test; give one of them")
    name, equals, level = left_out.partition("=")
    if not equals:
        raise UsageError(f"leave_out: {left_out!r} names no level; write like depth_conv=5")
    return zoo.split(leave_out=(name.strip(), level.strip()))


def shard(text: str) -> tuple[int, int]:
    """Which of how many shards, from text like 2/8."""
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError(f"shard: {text!r} is no shard; write 2/8 for the second of eight")
    return int(number), int(count)


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `sampling.sample` among a command's parameters, text made what it means."""
    meant: dict[str, Callable[[Any], Any]] = {
        "shard": shard,
        "datasets": partial(names, "datasets"),
        "snapshot_epochs": partial(epochs, "snapshot_epochs"),
    }
    found = {field.name: given[field.name] for field in fields(Options)}
    return {name: meant[name](value) if name in meant else value for name, value in found.items()}


def folder(out: Path) -> Path:
    """`out`, if results can go there: said before anything is computed."""
    from weightspace.zoo.files.places import refuse_url

    refuse_url(out)
    if out.is_symlink() and not out.exists():
        raise UsageError(f"{out}: is a link that leads nowhere; remove it, or choose another --out")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; choose another --out")
    if (out / "zoo.json").exists():
        raise UsageError(f"{out}: is a zoo, which results would litter; choose another --out")
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UsageError(f"{out}: cannot be written, {there} is not writable; choose another --out")
    return out


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers from text like 20, 1,10,20 or 1-20."""
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().rpartition("-")
        try:
            ends = (int(first), int(last)) if dash and first else (int(piece), int(piece))
        except ValueError:
            raise UsageError(
                f"{option}: {piece.strip()!r} is no number; write 20, 1,10,20 or 1-20"
            ) from None
        if not 0 <= ends[1] - ends[0] < MOST_NUMBERS:
            raise UsageError(f"{option}: {piece.strip()!r} is no range of up to {MOST_NUMBERS:,}")
        found += range(ends[0], ends[1] + 1)
    return tuple(found)


def epochs(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers of epochs from text like 0,0.5,1,2; None where the option was not given."""
    if text is None:
        return None
    try:
        return tuple(float(piece) for piece in text.split(","))
    except ValueError:
        raise UsageError(f"{option}: {text!r} are no numbers; write like 0,0.5,1,2,5") from None
