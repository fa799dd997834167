"""The commands."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from weightspace.cli import arguments, inspecting, interop, parts, reading, show
from weightspace.cli.arguments import DataDir, Json, ZooName, ZooPath
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer, fail, set_debug, told
from weightspace.errors import UsageError, WeightspaceError
from weightspace.sampling.options import LEAST, Options

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Sample trained neural networks, and read from weights how they were trained.",
)


def _version(value: bool) -> None:
    if value:
        print(f"weightspace {importlib.metadata.version('weightspace')}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sample trained neural networks, and read from weights how they were trained."""


@app.command()
def sample(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The zoo's folder. An unfinished zoo is continued.")],
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A preset's name, or a YAML file.")
    ] = None,
    nets: Annotated[
        int | None,
        typer.Option(min=LEAST["nets"], help="Nets in the zoo. A larger number adds nets."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=LEAST["seed"], help="Seed of the random recipes.")
    ] = Options.seed,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Sample only part I of N disjoint parts.")
    ] = "/".join(map(str, Options.shard)),
    data_dir: DataDir = Options.data_dir,
    datasets: Annotated[
        str | None, typer.Option(help="Comma-separated image sets, instead of those of the space.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=LEAST["epochs"], help="The number of epochs, instead of that of the space."
        ),
    ] = Options.epochs,
    snapshots: Annotated[
        int, typer.Option(min=LEAST["snapshots"], help="Snapshots to keep of each net.")
    ] = Options.snapshots,
    snapshot_epochs: Annotated[
        str | None, typer.Option(help="Keep snapshots after these epochs, such as 0,0.5,1,2,5.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=LEAST["workers"], help="Processes; by default one per core."),
    ] = Options.workers,
    device: Annotated[str, typer.Option(help="Train on auto, cpu or cuda.")] = Options.device,
    dtype: Annotated[
        str, typer.Option(help="Store weights as float32, or as bfloat16 in half the space.")
    ] = Options.dtype,
    engine: Annotated[
        str, typer.Option(help="Train on this machine (local) or on a Ray cluster (ray).")
    ] = Options.engine,
    address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the Ray cluster; by default one is found, or started here."
        ),
    ] = Options.address,
    via: Annotated[
        str, typer.Option(help="How nets get from Ray's nodes into the zoo: auto, driver or a URL.")
    ] = Options.via,
    evaluation_images: Annotated[
        int,
        typer.Option(
            min=LEAST["evaluation_images"], help="The most images on which a snapshot is evaluated."
        ),
    ] = Options.evaluation_images,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Only print the estimated time, disk space and memory."),
    ] = False,
    only: Annotated[
        str | None, typer.Option(metavar="NET", help="Train one net again, as `reproduce` does.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sample trained nets into a zoo, or continue a zoo."""
    from weightspace import sampling

    if only is not None:
        _refuse_others(context, {"only", "out", "data_dir", "device", "as_json", "debug"})
        parts.reproduce(out, only, data_dir, None if device == Options.device else device, as_json)
        return
    if space is None or nets is None:
        raise UsageError("SPACE and --nets", "say what to sample, such as `sample demo --nets 300`")
    options = arguments.options(context.params)  # all of the above, by their names
    if estimate:
        needs = sampling.estimate(**options)
        answer(as_json, needs.to_dict(), lambda: show.estimate(needs))
        return
    with bars() as listener:
        zoo = sampling.sample(**options, progress=listener)
    answer(as_json, show.facts(zoo), lambda: show.zoo(zoo))


def _refuse_others(context: typer.Context, taken: set[str]) -> None:
    """Refuse options beside --only: the net is trained again with the zoo's own settings."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name == "COMMANDLINE":
            typed = "SPACE" if name == "space" else f"--{name.replace('_', '-')}"
            raise UsageError(typed, "--only reads it from the zoo", "leave it out")


@app.command()
def info(zoo: ZooName, as_json: Json = False, debug: Debug = False) -> None:
    """Print what a zoo holds."""
    from weightspace.zoo import Zoo

    found = Zoo(zoo)
    answer(as_json, show.facts(found), lambda: show.zoo(found))


@app.command()
def check(
    zoo: ZooPath,
    full: Annotated[
        bool, typer.Option("--full", help="Also verify every vector's checksum.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find damaged and unfinished parts of a zoo.

    The exit code is 1 if a part of the zoo is damaged.
    """
    import dataclasses

    from weightspace import zoo as room

    with bars() as listener:
        findings = room.check(zoo, full=full, progress=listener)
    plain = [dataclasses.asdict(finding) for finding in findings]
    answer(as_json, plain, lambda: show.findings(findings, zoo, full))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


_COMMANDS: tuple[Callable[..., None], ...] = (
    *(parts.merge, parts.repair, parts.index, parts.reproduce),
    *(interop.export, interop.add, interop.publish, interop.import_),
    *(reading.evaluate, reading.dissect, reading.fit, reading.predict, inspecting.inspect),
)
for command in _COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


@app.command()
def demo(
    nets: Annotated[
        int, typer.Option(min=LEAST["nets"], help="The number of nets.")
    ] = arguments.DEMO_NETS,
    out: Annotated[
        Path, typer.Option(help="The folder for the zoo and the report.")
    ] = arguments.DEMO_FOLDER,
    seed: Annotated[
        int, typer.Option(min=LEAST["seed"], help="Seed of the random recipes.")
    ] = Options.seed,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sample and dissect a small zoo, and write a report.

    The images come with the package.
    """
    from weightspace.cli.demo import demo as run

    if not as_json:
        show.welcome(nets, out)
    with bars() as listener:
        result = run(out, nets=nets, seed=seed, progress=listener)
    plain = {
        "zoo": str(result.zoo),
        "page": str(result.page),
        "facts": result.dissection.facts,
        "how_much": result.dissection.much.to_dict()["rows"],
    }
    answer(as_json, plain, lambda: show.demo(result))


@app.command()
def spaces(as_json: Json = False, debug: Debug = False) -> None:
    """List the spaces that come with the package."""
    from weightspace.space import PRESETS, preset

    found = [preset(name) for name in PRESETS]
    answer(as_json, [space.to_dict() for space in found], lambda: show.spaces(found))


@app.command()
def images(data_dir: DataDir = None, as_json: Json = False, debug: Debug = False) -> None:
    """List image sets, and where their files must be."""
    import dataclasses

    from weightspace.images import catalogue

    entries = catalogue(data_dir)
    plain = [dataclasses.asdict(entry) for entry in entries]
    answer(as_json, plain, lambda: show.images(entries))


def main() -> None:
    """Run a command and exit with its exit code."""
    # On SIGTERM, as on Ctrl-C, worker processes are ended before the exit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(sys.argv[1:]))


def run(typed: list[str]) -> int:
    """Run a command; returns its exit code."""
    arguments.typed[:] = typed
    set_debug(False)
    try:
        code = app(typed or ["--help"], prog_name="weightspace", standalone_mode=False)
    except TyperException as error:
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        where = f"{typed[0]} " if typed[:1] and typed[0] in _commands() else ""
        return fail(f"{said.rstrip('.')}; see `weightspace {where}--help`", 2)
    except WeightspaceError as error:
        return fail(told(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror}; check path and disk", 2)
    except MemoryError:
        return fail("out of memory; finished work is kept, free some memory and run it again", 2)
    except Exception as error:  # a bug: one line for the user, the traceback on request
        return fail(f"{type(error).__name__}: {error}; this is a bug, --debug shows where", 1)
    if code == 130:
        kept = "; finished nets are kept, the same command continues"
        return fail(f"stopped{kept if typed[:1] in (['sample'], ['demo']) else ''}", 130)
    return code if isinstance(code, int) else 0


def _commands() -> set[str]:
    return {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
