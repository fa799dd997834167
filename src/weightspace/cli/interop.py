"""The commands that convert zoos: export, import, add, publish."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightspace.cli import arguments, completing, show
from weightspace.cli.arguments import Json, Names, ZooName, ZooPath
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer
from weightspace.errors import DataError
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.interop import NotTaken

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the nets.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="The new folder; nothing is overwritten.")]
Skip = Annotated[
    bool, typer.Option("--skip", help="Leave out nets that are damaged or wrongly described.")
]
_NAMED = 5  # files of each reason


def export(
    zoo: ZooName,
    out: Out,
    format: Annotated[
        str,
        typer.Option(
            help="The format to write: safetensors or nws.",
            autocompletion=completing.one_of(completing.EXPORT_FORMATS),
        ),
    ],
    nets: Names = None,
    snapshots: Annotated[
        str | None,
        typer.Option(help="Export only these, such as 20 or 1-20; -1 is the last."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Export a zoo to a format that other programs read.

    The formats are safetensors (a torch state dict for each net and snapshot) and nws (the format
    of the NWS data set).
    """
    from weightspace import interop

    with bars() as listener:
        made = interop.export_zoo(
            zoo,
            out,
            format,
            nets=arguments.names("nets", nets),
            snapshots=None if snapshots is None else arguments.numbers("snapshots", snapshots),
            progress=listener,
        )
    plain = {
        "path": str(made.path),
        "format": made.format,
        "nets": made.nets,
        "left_out": made.left_out,
        "without_plan": list(made.without_plan),
    }
    answer(as_json, plain, lambda: show.exported(made))


def import_(
    folder: Folder,
    out: Out,
    format: Annotated[
        str,
        typer.Option(
            help="The format, such as nws; an unknown name prints all.",
            autocompletion=completing.one_of(completing.IMPORT_FORMATS),
        ),
    ],
    rounded: Annotated[
        bool, typer.Option("--round", help="Round values of higher precision to float32.")
    ] = False,
    skip: Skip = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a zoo from a population of nets in another format."""
    from weightspace import interop

    left_out: dict[str, str] = {}
    try:
        with bars() as listener:
            made = interop.import_zoo(
                folder,
                out,
                format,
                rounded=rounded,
                left_out=_noting(left_out) if skip else None,
                progress=listener,
            )
    finally:  # an error may have the same reasons
        _tell(left_out)
    answer(as_json, show.facts(made) | {"left_out": left_out}, lambda: show.zoo(made))


def add(
    folder: Folder,
    out: Out,
    known: Annotated[
        Path | None,
        typer.Option(help="A CSV file with the known hyper-parameters, a row per checkpoint."),
    ] = None,
    skip: Skip = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a zoo from checkpoints that were trained elsewhere.

    FOLDER holds files such as .safetensors, .pt, .pth, .ckpt, .pth.tar and .bin.
    """
    from weightspace import interop

    left_out: dict[str, str] = {}
    others: list[NotTaken] = []
    try:
        with bars() as listener:
            made = interop.add(
                folder,
                out,
                known=known,
                left_out=_noting(left_out) if skip else None,
                not_taken=others.append,
                progress=listener,
            )
    finally:  # an error may have the same reasons
        _tell_others(others)
        _tell(left_out)
    plain = {"left_out": left_out, "not_taken": [dataclasses.asdict(one) for one in others]}
    answer(as_json, show.facts(made) | plain, lambda: show.zoo(made))


def publish(
    zoo: ZooPath,
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub.")],
    out: Annotated[Path, typer.Option(help="The folder in which the repository is prepared.")],
    licence: Annotated[
        str,
        typer.Option(help="The nets' licence: a name such as cc-by-4.0, or a file with its text."),
    ],
    title: Annotated[str | None, typer.Option(help="The title; by default NAME.")] = None,
    author: Annotated[
        list[str] | None, typer.Option(help="An author; may be repeated. By default OWNER.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prepare the folder, but upload nothing.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Publish a zoo as a data set on the Hugging Face hub."""
    from weightspace import interop

    with bars() as listener:
        made = interop.publish(
            zoo,
            repo,
            out,
            licence=licence,
            title=title,
            authors=author or [],
            dry_run=dry_run,
            private=private,
            progress=listener,
        )
    plain = dataclasses.asdict(made) | {"folder": str(made.folder)}
    answer(as_json, plain, lambda: show.published(made))


def _noting(left_out: dict[str, str]) -> Callable[[str, DataError], None]:
    return lambda net, error: left_out.update({net: str(error)})


def _tell(left_out: dict[str, str]) -> None:
    """Print on standard error which nets are not in the zoo, and how many."""
    for net, reason in left_out.items():
        print(f"left out: net {printable(net)}: {printable(reason, 4096)}", file=sys.stderr)
    if left_out:
        count = "1 net was" if len(left_out) == 1 else f"{len(left_out):,} nets were"
        print(f"{count} left out", file=sys.stderr)


def _tell_others(others: list[NotTaken]) -> None:
    """Print on standard error which files are no nets, and how many."""
    reasons: dict[str, list[NotTaken]] = {}
    for one in others:
        reasons.setdefault(one.reason, []).append(one)
    for reason, those in reasons.items():
        names = [printable(f"{a.file} ({a.detail})" if a.detail else a.file, 400) for a in those]
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        count = "1 file" if len(names) == 1 else f"{len(names):,} files"
        shown = ", ".join(names[:_NAMED])
        print(f"not taken: {count}, {reason}: {shown}{more}", file=sys.stderr)
