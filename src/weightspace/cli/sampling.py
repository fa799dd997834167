"""The commands that train nets: sample, and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weightspace.cli import arguments, completing, parts, show
from weightspace.cli.arguments import DataDir, Json
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer
from weightspace.errors import UsageError
from weightspace.sampling.options import LEAST, Options


def sample(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The zoo's folder. An unfinished zoo is continued.")],
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE",
            help="A preset's name, or a YAML file.",
            autocompletion=completing.one_of(completing.presets),
        ),
    ] = None,
    nets: Annotated[
        int | None,
        typer.Option(
            min=LEAST["nets"],
            help="Number of nets. For an existing zoo, a larger number adds nets.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=LEAST["seed"], help="Seed of the random settings.")
    ] = Options.seed,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Train only shard I of N, to share the work.")
    ] = "/".join(map(str, Options.shard)),
    data_dir: DataDir = Options.data_dir,
    datasets: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated image data sets, instead of those of the space.",
            autocompletion=completing.some_of(completing.image_sets),
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=LEAST["epochs"], help="The number of epochs, instead of that of the space."
        ),
    ] = Options.epochs,
    snapshots: Annotated[
        int, typer.Option(min=LEAST["snapshots"], help="Number of snapshots to keep of each net.")
    ] = Options.snapshots,
    snapshot_epochs: Annotated[
        str | None, typer.Option(help="Keep snapshots after these epochs, such as 0,0.5,1,2,5.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=LEAST["workers"], help="Number of processes; by default one per core."),
    ] = Options.workers,
    device: Annotated[
        str,
        typer.Option(
            help="The device to train on: auto, cpu or cuda.",
            autocompletion=completing.one_of(completing.DEVICES),
        ),
    ] = Options.device,
    dtype: Annotated[
        str,
        typer.Option(
            help="Store weights as float32, or as bfloat16 in half the space.",
            autocompletion=completing.one_of(completing.DTYPES),
        ),
    ] = Options.dtype,
    engine: Annotated[
        str,
        typer.Option(
            help="Train on this machine (local) or on a Ray cluster (ray).",
            autocompletion=completing.one_of(completing.ENGINES),
        ),
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
    module: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:FUNCTION",
            help="A function of a recipe that gives a torch module, as the architecture; the file "
            "is run.",
        ),
    ] = None,
    evaluation_images: Annotated[
        int,
        typer.Option(
            min=LEAST["evaluation_images"],
            help="Evaluate each snapshot on at most this many images.",
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
    """Train a zoo of nets with random settings, or continue one."""
    from weightspace import sampling

    if only is not None:
        _refuse_others(context, {"only", "out", "data_dir", "device", "module", "as_json", "debug"})
        used = None if device == Options.device else device
        parts.reproduce(out, only, data_dir, used, module, as_json)
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


def demo(
    nets: Annotated[
        int, typer.Option(min=LEAST["nets"], help="The number of nets.")
    ] = arguments.DEMO_NETS,
    out: Annotated[
        Path, typer.Option(help="The folder for the zoo and the report.")
    ] = arguments.DEMO_FOLDER,
    seed: Annotated[
        int, typer.Option(min=LEAST["seed"], help="Seed of the random settings.")
    ] = Options.seed,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train and dissect a small zoo, and write a report.

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


def _refuse_others(context: typer.Context, taken: set[str]) -> None:
    """Refuse options beside --only: the net is trained again with the zoo's own settings."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name == "COMMANDLINE":
            typed = "SPACE" if name == "space" else f"--{name.replace('_', '-')}"
            raise UsageError(typed, "--only reads it from the zoo", "leave it out")
